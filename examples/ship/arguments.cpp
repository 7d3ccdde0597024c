// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "arguments.hpp"

#include <algorithm>
#include <charconv>
#include <iostream>

#include <CLI/CLI.hpp>

#include <support/problem.hpp>

#include "endpoints.hpp"

namespace ship {

using support::problem;

namespace {

constexpr const char* usage =
    "Ships files, or generated values, from one process to another through lading.\n"
    "\n"
    "  ship --listen 5000 --into DIR            on the receiving side; 0 = any free port\n"
    "  ship --to HOST:5000 FILE...              on the sending side\n"
    "  ship --to HOST:5000 --generate 1gb       values that the receiver compares bit for bit\n"
    "  ship --transport loopback --generate     both sides in this process\n"
    "\n"
    "A receiver takes one shipment and ends. It listens on this host only, unless told a HOST of its own to listen at (0.0.0.0 is all of them); "
    "whoever\n"
    "can connect can send. Each slot is validated, with its checksum, before it is acknowledged; a file gets its name when it is whole.\n";

/// "100": batches. "30s": seconds.
void read_soak(const std::string& typed, sample_limits& limits) {
  const bool seconds = !typed.empty() && typed.back() == 's';
  const char* const end = typed.data() + typed.size() - (seconds ? 1 : 0);
  std::uint64_t number = 0;
  const auto [stopped, wrong] = std::from_chars(typed.data(), end, number);
  if (wrong != std::errc{} || stopped != end || number == 0 || number > 1'000'000'000)
    throw problem("--soak takes a number of batches, such as 100, or of seconds, such as 30s, and not \"" + typed + '"');
  if (seconds) {
    limits.seconds = static_cast<double>(number);
  } else {
    limits.batches = number;
  }
}

void check(const arguments& given) {
  const auto built = transports();
  if (std::find(built.begin(), built.end(), given.transport) == built.end())
    throw problem("this program was built without the transport " + given.transport + ": install what it needs and build again");
  const bool cargo = !given.files.empty() || given.generate || given.soak;
  if (given.loopback() && (!given.listen.empty() || !given.to.empty()))
    throw problem("--transport loopback stays in one process: leave out --listen and --to, or choose another transport");
  if (given.loopback() && (!given.lanes.empty() || !given.device.empty()))
    throw problem("--transport loopback uses no network: leave out --lanes and --device, or choose another transport");
  if (given.transport != "ucx" && !given.lanes.empty()) throw problem("--lanes is for ucx: leave it out, or choose --transport ucx");
  if (!given.loopback() && given.listen.empty() && given.to.empty())
    throw problem("pass --listen PORT to receive, --to HOST:PORT to send, or --transport loopback for both in one process");
  if (!given.listen.empty() && cargo) throw problem("--listen receives: pass files, --generate and --soak to the sender");
  if (given.listen.empty() && !cargo) throw problem("there is nothing to send: name files, or pass --generate");
  if (!given.to.empty() && (!given.into.empty() || given.force)) throw problem("--into and --force are for who receives: pass them to the receiver");
  if (given.force && given.into.empty()) throw problem("--force replaces files: pass --into DIR as well, or leave it out");
  if (given.loopback() && given.files.empty() && !given.into.empty())
    throw problem("generated values are compared and not written: leave out --into, or name files");
  if (given.loopback() && !given.files.empty() && given.into.empty()) throw problem("pass --into DIR: where are the files to be written?");
}

}  // namespace

std::optional<int> parse(arguments& given, int count, char** words) {
  CLI::App app{usage, "ship"};
  app.set_help_flag("-h,--help", "Print this and exit");
  std::string generate, soak, timeout;
  double seconds = 10;
  const auto built = transports();
  given.transport = built.front();
  auto* const listen = app.add_option("--listen", given.listen, "Receive one shipment")->type_name("[HOST:]PORT");
  app.add_option("--to", given.to, "Send to a receiver")->type_name("HOST:PORT")->excludes(listen);
  auto* const files = app.add_option("FILE", given.files, "Files to send, under their plain names");
  auto* const generated =
      app.add_option("--generate", generate, "Send generated values, about so many bytes of them (256mb)")->type_name("SIZE")->expected(0, 1);
  generated->excludes(files);
  app.add_option("--soak", soak, "Send N batches of generated values, or for N seconds (30s), and see that memory and descriptors stay flat")
      ->type_name("N")
      ->excludes(files)
      ->excludes(generated);
  app.add_option("--transport", given.transport, "One of: " + CLI::detail::join(built, ", "))->capture_default_str()->type_name("NAME");
  app.add_option("--lanes", given.lanes, "What ucx may use, as in UCX_TLS: tcp, or posix,sysv,self,cma, ...")->type_name("LIST");
  app.add_option("--device", given.device, "The network device to use: eth0, mlx5_0:1, ...")->type_name("NAME");
  app.add_option("--into", given.into, "The folder that received files are written into")->type_name("DIR");
  app.add_flag("--force", given.force, "Replace files that exist");
  app.add_option("--slot", given.slot_bytes, "Bytes of a slot; larger files travel in parts")
      ->capture_default_str()
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{4096}, max_slot_bytes));
  app.add_option("--slots", given.slots, "Slots that may be under way at once")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{1}, max_slots));
  app.add_option("--timeout", seconds, "Seconds of silence after which the other side is given up")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 86'400.0));
  app.add_flag("--json", given.json, "Print JSON instead of the table");
  try {
    app.parse(count, words);
    given.generate = generated->count() != 0;
    given.limits.bytes = std::uint64_t{256} << 20;
    if (!generate.empty()) {
      const std::string typed = generate;
      CLI::AsSizeValue(false)(generate);
      given.limits.bytes = std::stoull(generate);
      if (given.limits.bytes == 0 || typed.find('-') != std::string::npos)  // no limit, or one that wraps: it would never end
        throw problem("--generate takes a number of bytes from 1, such as 256mb, and not \"" + typed + '"');
    }
  } catch (const CLI::ParseError& wrong) {
    if (wrong.get_exit_code() == 0) return app.exit(wrong);  // --help
    std::cerr << "ship: " << wrong.what() << " (--help lists the options)\n";
    return 2;
  }
  given.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
  given.soak = !soak.empty();
  if (given.soak) {
    given.limits.bytes = 0;
    read_soak(soak, given.limits);
  }
  check(given);
  return std::nullopt;
}

}  // namespace ship
