// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include "kv.hpp"

#include <poll.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>

#include <lading/exchange/client.hpp>
#include <lading/exchange/prometheus.hpp>
#include <lading/exchange/server.hpp>
#include <lading/transports/ucx.hpp>

#include "metrics_port.hpp"
#include "workload.hpp"

namespace {

volatile std::sig_atomic_t stopping = 0;

int complain(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  return 1;
}
lading::result<lading::ucx> make(const std::string& lanes) {
  lading::ucx_options how;
  how.lanes = lanes;
  return lading::ucx::create(how);
}

}  // namespace

int kv::serve_ucx(const settings& how) {
  auto transport = make(how.lanes);
  if (!transport) return complain(transport.error().message());
  auto server = lading::store_server<lading::ucx>::create(
      std::move(*transport), {.memory = {.capacity = std::uint64_t{how.memory_mib} << 20, .slab_size = std::uint64_t{how.memory_mib} << 18},
                              .evict = lading::eviction::lru});
  if (!server) return complain(server.error().message());
  metrics_port metrics;
  if (how.metrics_port != 0 && !metrics.open(how.metrics_port)) return complain("cannot listen on port " + std::to_string(how.metrics_port));
  std::signal(SIGINT, [](int) { stopping = 1; });
  std::signal(SIGTERM, [](int) { stopping = 1; });
  {
    // Written aside and renamed, so that nobody reads half of it.
    const std::string aside = how.address_file + ".new";
    std::ofstream file(aside, std::ios::binary);
    // Safety: bytes may be viewed as characters.
    file.write(reinterpret_cast<const char*>((*server)->address().data()), static_cast<std::streamsize>((*server)->address().size()));
    file.close();
    if (!file || std::rename(aside.c_str(), how.address_file.c_str()) != 0) return complain("cannot write " + how.address_file);
  }
  std::printf("serving %zu MiB; address in %s; ^C ends it\n", how.memory_mib, how.address_file.c_str());
  std::fflush(stdout);
  for (unsigned idle = 0; stopping == 0;) {
    if ((*server)->progress() != 0) {
      idle = 0;
      continue;
    }
    if (++idle < 1000) continue;
    metrics.serve([&] { return lading::prometheus_text((*server)->metrics(), "server"); });
    ::pollfd waiting{.fd = (*server)->event_fd(), .events = POLLIN, .revents = 0};
    ::poll(&waiting, 1, 1);
  }
  std::printf("%s", (*server)->metrics().describe().c_str());
  std::remove(how.address_file.c_str());
  return 0;
}

int kv::run_ucx(const settings& how) {
  std::ifstream file(how.address_file, std::ios::binary);
  const std::string address((std::istreambuf_iterator<char>(file)), {});
  if (address.empty()) return complain("no address in " + how.address_file + ": is the server running?");
  auto transport = make(how.lanes);
  if (!transport) return complain(transport.error().message());
  auto client = lading::store_client<lading::ucx>::connect(std::move(*transport), std::as_bytes(std::span(address)));
  if (!client) return complain(client.error().message());
  const std::size_t failed = run(**client, how.keys);
  std::printf("\nthe client's metrics: %s", (*client)->metrics().describe().c_str());
  return failed == 0 ? 0 : 1;
}
