// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A store of keyed values. `kv` alone runs server and client in one process; `kv serve` and `kv run` are a server and a client over UCX.

#include <CLI/CLI.hpp>

#include "kv.hpp"

int main(int argc, char** argv) {
  kv::settings how;
  CLI::App program("Puts keys of mixed kinds into a store, reads them back and verifies them");
  program.add_option("--keys", how.keys, "how many keys")->check(CLI::Range(4, 10'000'000))->capture_default_str();
  program.add_option("--memory", how.memory_mib, "MiB that the server sets aside")->check(CLI::Range(16, 1 << 20))->capture_default_str();
#if defined(KV_HAS_UCX)
  CLI::App* const serve = program.add_subcommand("serve", "a server over UCX");
  serve->add_option("--metrics", how.metrics_port, "port of localhost on which /metrics is answered");
  CLI::App* const run = program.add_subcommand("run", "a client of a server over UCX");
  for (CLI::App* each : {serve, run}) {
    each->fallthrough();
    each->add_option("--address", how.address_file, "file with the server's address")->capture_default_str();
    each->add_option("--lanes", how.lanes, "as UCX_TLS: tcp, or posix,sysv,self,cma; empty = what UCX finds best");
  }
#endif
  CLI11_PARSE(program, argc, argv);
#if defined(KV_HAS_UCX)
  if (serve->parsed()) return kv::serve_ucx(how);
  if (run->parsed()) return kv::run_ucx(how);
#endif
  return kv::over_loopback(how);
}
