// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transport/registry.hpp>

#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace lading {
namespace {

using table = registry<int>;

TEST(registry, ids_are_never_given_out_twice) {
  table numbers;
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 20'000; ++i) {
    const auto id = numbers.insert(std::make_unique<int>(i)).value();
    EXPECT_NE(id, 0u);
    ASSERT_TRUE(seen.insert(id).second);
    ASSERT_EQ(*numbers.pin(id), i);
    ASSERT_EQ(numbers.unpin(id), nullptr);
    ASSERT_EQ(**numbers.remove(id), i);
    ASSERT_EQ(numbers.pin(id), nullptr);
  }
}

TEST(registry, records_stay_where_they_are) {
  table numbers;
  std::vector<std::uint32_t> ids;
  std::vector<int*> places;
  for (int i = 0; i < 5'000; ++i) {
    ids.push_back(numbers.insert(std::make_unique<int>(i)).value());
    places.push_back(numbers.pin(ids.back()));
  }
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(&numbers.pinned(ids[i]), places[i]);
  for (const std::uint32_t id : ids) EXPECT_EQ(numbers.unpin(id), nullptr);
}

TEST(registry, a_pinned_record_is_busy) {
  table numbers;
  const auto id = numbers.insert(std::make_unique<int>(1)).value();
  ASSERT_NE(numbers.pin(id), nullptr);
  EXPECT_EQ(numbers.remove(id).error(), errc::busy);
  EXPECT_EQ(numbers.unpin(id), nullptr);
  EXPECT_TRUE(numbers.remove(id).has_value());
  EXPECT_EQ(numbers.remove(id).error(), errc::not_registered);
  EXPECT_EQ(numbers.remove(0).error(), errc::not_registered);
  EXPECT_EQ(numbers.remove(~0u).error(), errc::not_registered);
}

TEST(registry, the_last_user_takes_a_retired_record_out) {
  table numbers;
  const auto id = numbers.insert(std::make_unique<int>(2)).value();
  ASSERT_NE(numbers.pin(id), nullptr);
  ASSERT_NE(numbers.pin(id), nullptr);
  EXPECT_EQ(numbers.retire(id), nullptr);
  EXPECT_EQ(numbers.pin(id), nullptr) << "nobody new";
  EXPECT_TRUE(numbers.contains(id));
  EXPECT_EQ(numbers.unpin(id), nullptr);
  const auto last = numbers.unpin(id);
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(*last, 2);
  EXPECT_FALSE(numbers.contains(id));
}

TEST(registry, threads_pin_and_retire_at_once) {
  table numbers;
  std::atomic<int> taken{0};
  for (int round = 0; round < 500; ++round) {
    const auto id = numbers.insert(std::make_unique<int>(round)).value();
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 20; ++i) {
          if (const int* found = numbers.pin(id); found != nullptr) {
            EXPECT_EQ(*found, round);
            if (numbers.unpin(id) != nullptr) taken.fetch_add(1);
          }
          if (t == 0 && i == 10 && numbers.retire(id) != nullptr) taken.fetch_add(1);
        }
      });
    }
    for (std::thread& each : threads) each.join();
    ASSERT_EQ(taken.load(), round + 1) << "each record is taken out once";
  }
}

}  // namespace
}  // namespace lading
