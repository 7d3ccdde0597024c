// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <memory>
#include <string>

#include <exchange/store_conformance.hpp>
#include <stores/redis/rig.hpp>

namespace redis_test {

struct over_tcp {
  static redis_options at(const redis_server& server) { return server.options(); }
};
struct over_a_socket_file {
  static redis_options at(const redis_server& server) {
    redis_options made;
    made.port = 1;  // nobody is there
    made.unix_socket = server.socket();
    return made;
  }
};
/// With a prefix that a careless pattern would misread, beside values that are none of the store's; and windows so small that everything is split.
struct beside_others {
  static redis_options at(const redis_server& server) {
    server.command({"SET", "other", "value"});
    server.command({"SET", "p*refix", "value"});
    redis_options made = server.options();
    made.prefix = "p*[r]?\\:";
    made.window = 3;
    made.window_bytes = 1000;
    return made;
  }
};

template <class Way>
struct redis_rig {
  redis_rig() {
    skip_without_server();
    if (server_program().empty()) return;
    server = std::make_unique<redis_server>();
    auto made = redis_store::connect(Way::at(*server));
    EXPECT_TRUE(made.has_value()) << made.error().message();
    if (made) store = std::move(*made);
  }
  redis_store& client() { return *store; }

  std::unique_ptr<redis_server> server;
  std::unique_ptr<redis_store> store;
};

}  // namespace redis_test

namespace lading::store_conformance {
using ways = ::testing::Types<redis_test::redis_rig<redis_test::over_tcp>, redis_test::redis_rig<redis_test::over_a_socket_file>,
                              redis_test::redis_rig<redis_test::beside_others>>;
INSTANTIATE_TYPED_TEST_SUITE_P(redis, store_conformance, ways);
}  // namespace lading::store_conformance
