// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include "kv.hpp"

#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>
#include <lading/exchange/service.hpp>
#include <lading/transports/loopback.hpp>

#include "workload.hpp"

int kv::over_loopback(const settings& how) {
  auto server = lading::store_server<lading::loopback>::create(
      lading::loopback::create().value(),
      {.memory = {.capacity = std::uint64_t{how.memory_mib} << 20, .slab_size = std::uint64_t{how.memory_mib} << 18}});
  if (!server) return std::fprintf(stderr, "%s\n", server.error().message().c_str()), 1;
  const lading::store_service serving(**server);
  auto client = lading::store_client<lading::loopback>::connect(lading::loopback::create().value(), (*server)->address());
  if (!client) return std::fprintf(stderr, "%s\n", client.error().message().c_str()), 1;
  std::printf("server and client in this process\n");
  const std::size_t failed = run(**client, how.keys);
  std::printf("\nthe client's metrics: %s", (*client)->metrics().describe().c_str());
  client->reset();
  return failed == 0 ? 0 : 1;
}
