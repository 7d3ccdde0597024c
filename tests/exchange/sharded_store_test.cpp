// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/sharded_store.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <exchange/store_samples.hpp>
#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>
#include <lading/exchange/service.hpp>
#include <lading/transports/loopback.hpp>

// In several redis-servers, with the conformance suite: tests/stores/redis/sharded_test.cpp.

namespace lading {
namespace sharded_store_test {

using store_conformance::count_ok;
using store_conformance::keys;
using store_conformance::numbers;
using server_type = store_server<loopback>;
using client_type = store_client<loopback>;
using sharded = sharded_store<client_type>;
static_assert(store<sharded>);

TEST(sharded_store, keeps_values_in_several_servers_as_in_one) {
  std::vector<std::unique_ptr<server_type>> servers;
  std::vector<std::unique_ptr<store_service<server_type>>> running;
  std::vector<sharded::shard> shards;
  for (const char* name : {"one", "two"}) {
    servers.push_back(server_type::create(loopback::create().value(), {.memory = {.capacity = 8 << 20, .slab_size = 1 << 20}}).value());
    running.push_back(std::make_unique<store_service<server_type>>(*servers.back()));
    shards.push_back({name, client_type::connect(loopback::create().value(), servers.back()->address()).value()});
  }
  auto both = sharded::create(std::move(shards)).value();
  const auto names = keys(100);
  std::vector<tensor> values;
  for (std::size_t i = 0; i < names.size(); ++i) values.push_back(numbers(i, static_cast<float>(i)));
  ASSERT_EQ(count_ok(both.put_batch(names, values)), 100u);
  EXPECT_GT(both.at(0).stats().value().values, 20u);
  EXPECT_GT(both.at(1).stats().value().values, 20u);
  const auto back = both.get_batch<tensor>(names);
  const auto views = both.view_batch<tensor_view>(names);
  std::vector<std::vector<std::byte>> memory(names.size(), std::vector<std::byte>(400));
  const auto into = both.get_batch_into(names, std::vector<bytes_span>(memory.begin(), memory.end()));
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(back[i].value(), values[i]) << i;
    EXPECT_EQ(**views[i], values[i].view()) << i;
    ASSERT_EQ(into[i].value(), i * sizeof(float)) << i;
    EXPECT_TRUE(std::equal(values[i].bytes().begin(), values[i].bytes().end(), memory[i].begin())) << i;
  }
  const std::vector<std::string> some{"missing", names[7], "missing too", names[8]};
  const auto seen = both.exists_batch(some);
  EXPECT_FALSE(seen[0].value());
  EXPECT_TRUE(seen[1].value());
  const auto removed = both.remove_batch(some);
  for (std::size_t i = 0; i < some.size(); ++i) {
    EXPECT_EQ(removed[i].has_value(), i % 2 == 1);
    if (!removed[i]) {
      EXPECT_EQ(removed[i].error(), errc::not_found);
      EXPECT_EQ(removed[i].error().details().item, i) << "its place in the batch, not among its store's keys";
    }
  }
  EXPECT_EQ(both.stats().value().values, 98u);
}

}  // namespace sharded_store_test
}  // namespace lading
