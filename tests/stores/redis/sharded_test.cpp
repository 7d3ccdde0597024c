// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/sharded_store.hpp>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <exchange/store_conformance.hpp>
#include <stores/redis/rig.hpp>

namespace redis_test {

using sharded = sharded_store<redis_store>;
static_assert(store<sharded>);

/// A store in several servers.
struct sharded_rig {
  explicit sharded_rig(std::size_t count = 2) {
    skip_without_server();
    if (server_program().empty()) return;
    while (servers.size() < count) servers.push_back(std::make_unique<redis_server>());
    store.emplace(over(count));
  }
  /// A store in the first so many, in their order or the other way round.
  [[nodiscard]] sharded over(std::size_t count, bool reversed = false) const {
    std::vector<sharded::shard> shards;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t which = reversed ? count - 1 - i : i;
      shards.push_back({"server " + std::to_string(which), redis_store::connect(servers[which]->options()).value()});
    }
    return sharded::create(std::move(shards)).value();
  }
  sharded& client() { return *store; }

  std::vector<std::unique_ptr<redis_server>> servers;
  std::optional<sharded> store;
};

namespace {

using store_conformance::count_ok;
using store_conformance::keys;
using store_conformance::numbers;

std::vector<tensor> some_values(std::size_t count) {
  std::vector<tensor> made;
  for (std::size_t i = 0; i < count; ++i) made.push_back(numbers(10 + i % 7, static_cast<float>(i)));
  return made;
}

TEST(redis_sharded, shards_that_make_no_sense_are_refused) {
  EXPECT_EQ(sharded::create({}).error(), errc::invalid_argument);
  std::vector<sharded::shard> empty(1);
  EXPECT_EQ(sharded::create(std::move(empty)).error(), errc::invalid_argument);
  skip_without_server();
  if (server_program().empty()) return;
  const redis_server server;
  for (const char* second : {"a", "b"}) {
    std::vector<sharded::shard> two;
    two.push_back({"a", redis_store::connect(server.options()).value()});
    two.push_back({second, redis_store::connect(server.options()).value()});
    const auto made = sharded::create(std::move(two));
    EXPECT_EQ(made.has_value(), std::string(second) == "b");
  }
}

TEST(redis_sharded, keys_are_spread_and_all_clients_agree) {
  sharded_rig three(3);
  if (three.servers.empty()) return;
  const auto names = keys(600);
  const auto values = some_values(600);
  ASSERT_EQ(count_ok(three.client().put_batch(names, values)), 600u);
  std::size_t sum = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t here = three.client().at(i).stats().value().values;
    EXPECT_GT(here, 120u) << i;
    sum += here;
  }
  EXPECT_EQ(sum, 600u);
  EXPECT_EQ(three.client().stats().value().values, 600u);
  sharded other = three.over(3, true);
  const auto back = other.get_batch<tensor>(names);
  for (std::size_t i = 0; i < 600; ++i) EXPECT_EQ(back[i].value(), values[i]) << i;
}

TEST(redis_sharded, another_store_takes_only_its_own_keys) {
  const sharded_rig three(3);
  if (three.servers.empty()) return;
  const sharded two = three.over(2), all = three.over(3);
  std::size_t moved = 0;
  for (const std::string& each : keys(3000)) {
    if (all.place_of(each) == 2) {
      ++moved;
    } else {
      EXPECT_EQ(all.place_of(each), two.place_of(each)) << each;
    }
  }
  EXPECT_GT(moved, 800u);
  EXPECT_LT(moved, 1200u);
}

TEST(redis_sharded, a_server_that_is_gone_fails_for_its_own_keys) {
  sharded_rig two(2);
  if (two.servers.empty()) return;
  const auto names = keys(100);
  const auto values = some_values(100);
  ASSERT_EQ(count_ok(two.client().put_batch(names, values)), 100u);
  two.servers[1]->kill();
  const auto back = two.client().get_batch<tensor>(names);
  std::set<std::size_t> places;
  for (std::size_t i = 0; i < 100; ++i) {
    const std::size_t place = two.client().place_of(names[i]);
    places.insert(place);
    if (place == 0) {
      EXPECT_EQ(back[i].value(), values[i]) << i;
    } else {
      EXPECT_EQ(back[i].error(), errc::peer_lost) << i;
      EXPECT_EQ(back[i].error().details().item, i);
    }
  }
  EXPECT_EQ(places.size(), 2u);
  EXPECT_EQ(two.client().stats().error().details().item, 1u);
  ASSERT_TRUE(two.servers[1]->start());
  EXPECT_EQ(two.client().get_batch<tensor>(names)[0].has_value(), two.client().place_of(names[0]) == 0);
  EXPECT_EQ(count_ok(two.client().put_batch(names, values, {.mode = put_mode::replace})), 100u);
}

}  // namespace
}  // namespace redis_test

namespace lading::store_conformance {
INSTANTIATE_TYPED_TEST_SUITE_P(redis_sharded, store_conformance, redis_test::sharded_rig);
}  // namespace lading::store_conformance
