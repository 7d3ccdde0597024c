// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <poll.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>

#include <lading/exchange/client.hpp>
#include <lading/exchange/prometheus.hpp>
#include <lading/exchange/server.hpp>
#include <lading/exchange/service.hpp>
#include <lading/transports/loopback.hpp>

#include "kv.hpp"
#include "metrics_port.hpp"
#include "ucx_endpoint.hpp"
#include "workload.hpp"

namespace {

using server_type = lading::store_server<lading::endpoint>;  // of any transport
using client_type = lading::store_client<lading::endpoint>;

int complain(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  return 1;
}
lading::store_server_options options_of(const kv::settings& how) {
  return {.memory = {.capacity = std::uint64_t{how.memory_mib} << 20, .slab_size = std::uint64_t{how.memory_mib} << 18},
          .evict = lading::eviction::lru};
}
int run(lading::endpoint transport, const kv::contact& there, std::size_t keys) {
  auto client = client_type::connect(std::move(transport), there.store);
  if (!client) return complain(client.error().message());
  auto bare = kv::bare_gets::create((*client)->transport_used(), there);
  if (!bare) return complain(bare.error().message());
  const std::size_t failed = kv::run(**client, *bare, keys);
  std::printf("\nthe client's metrics: %s", (*client)->metrics().describe().c_str());
  return failed == 0 ? 0 : 1;
}

}  // namespace

int kv::over_loopback(const settings& how) {
  auto server = server_type::create(lading::endpoint(lading::loopback::create().value()), options_of(how));
  if (!server) return complain(server.error().message());
  auto bare = bare_memory::create((*server)->transport_used());
  if (!bare) return complain(bare.error().message());
  const lading::store_service serving(**server);
  const lading::bytes_view address = (*server)->address();
  std::printf("server and client in this process\n");
  return ::run(lading::endpoint(lading::loopback::create().value()), {{address.begin(), address.end()}, bare->endpoint, bare->descriptor}, how.keys);
}

#if defined(KV_HAS_UCX)

namespace {

volatile std::sig_atomic_t stopping = 0;

/// Written aside and renamed, so that nobody reads half of it.
bool write_file(const std::string& name, lading::bytes_view bytes) {
  const std::string aside = name + ".new";
  std::ofstream file(aside, std::ios::binary);
  // Safety: bytes may be viewed as characters.
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  return file && std::rename(aside.c_str(), name.c_str()) == 0;
}

}  // namespace

int kv::serve_ucx(const settings& how) {
  auto transport = ucx_endpoint(how.lanes);
  if (!transport) return complain(transport.error().message());
  auto server = server_type::create(std::move(*transport), options_of(how));
  if (!server) return complain(server.error().message());
  auto bare = bare_memory::create((*server)->transport_used());
  if (!bare) return complain(bare.error().message());
  metrics_port metrics;
  if (how.metrics_port != 0 && !metrics.open(how.metrics_port)) return complain("cannot listen on port " + std::to_string(how.metrics_port));
  std::signal(SIGINT, [](int) { stopping = 1; });
  std::signal(SIGTERM, [](int) { stopping = 1; });
  const lading::bytes_view address = (*server)->address();
  const contact here{{address.begin(), address.end()}, bare->endpoint, bare->descriptor};
  std::vector<std::byte> words(lading::encoded_size(here));
  if (!lading::encode_into(here, words) || !write_file(how.address_file, words)) return complain("cannot write " + how.address_file);
  std::printf("serving %zu MiB; address in %s; ^C ends it\n", how.memory_mib, how.address_file.c_str());
  std::fflush(stdout);
  unsigned idle = 0;
  for (unsigned rounds = 0; stopping == 0; ++rounds) {
    idle = (*server)->progress() != 0 ? 0 : idle + 1;
    if (idle >= 1000 || rounds % 10'000 == 0) metrics.serve([&] { return lading::prometheus_text((*server)->metrics(), "server"); });
    if (idle < 1000) continue;
    ::pollfd waiting{.fd = (*server)->event_fd(), .events = POLLIN, .revents = 0};
    ::poll(&waiting, 1, 1);
  }
  std::printf("%s", (*server)->metrics().describe().c_str());
  std::remove(how.address_file.c_str());
  return 0;
}

int kv::run_ucx(const settings& how) {
  std::ifstream file(how.address_file, std::ios::binary);
  const std::string words((std::istreambuf_iterator<char>(file)), {});
  const auto there = lading::decode_from<contact>(std::as_bytes(std::span(words)));
  if (!there) return complain("no address in " + how.address_file + ": is the server running?");
  auto transport = ucx_endpoint(how.lanes);
  if (!transport) return complain(transport.error().message());
  return ::run(std::move(*transport), *there, how.keys);
}

#endif
