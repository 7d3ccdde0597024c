// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A store over a transport that loses, delays, repeats, cuts and spoils what it carries: nothing may be lost, corrupted, done twice, or stuck.
// LADING_FAULT_SEEDS says how many seeds are tried, LADING_FAULT_FIRST with which to begin.

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <exchange/faulty_world.hpp>

namespace lading {
namespace fault_test {

using namespace std::chrono_literals;
using store_conformance::number_from;

constexpr std::uint64_t shards = 10;  // so that they can run at the same time

/// What may lie under a key. Calls follow each other, so there is one answer, but for calls whose end is not known: they may still be done later.
struct expectation {
  using value = std::optional<std::vector<std::byte>>;
  std::set<value> now{value{}};
  std::set<value> later;  // what calls of unknown end leave, whenever they are done

  void becomes(const value& known) { now = {known}; }
  void may_become(const value& unknown) { later.insert(unknown); }
  [[nodiscard]] bool allows(const value& seen) const { return now.contains(seen) || later.contains(seen); }
};

class world : public store_conformance::faulty_world {
 public:
  explicit world(std::uint64_t seed)
      : faulty_world(
            seed, {.clients = 2, .slots = 4, .capacity = 1 << 18, .slab_size = 1 << 16, .client_memory = 1 << 16, .in_place_from = 2048, .rate = 1}) {
  }

  [[nodiscard]] bool connected() const noexcept { return clients_.size() == 2; }

  void step() {
    auto& one = *clients_[random_() % 2];
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < 1 + random_() % 4; ++i) keys.push_back("key " + std::to_string(random_() % 5));
    switch (random_() % 5) {
      case 0:
      case 1: {
        const put_mode mode = random_() % 2 == 0 ? put_mode::insert : put_mode::replace;
        std::vector<std::vector<std::byte>> values;
        for (std::size_t i = 0; i < keys.size(); ++i) values.push_back(fresh());
        const auto put = one.put_batch(keys, values, {.mode = mode});
        for (std::size_t i = 0; i < keys.size(); ++i) after_put(keys[i], values[i], mode, put[i]);
        break;
      }
      case 2:
      case 3: {
        const auto got = one.get_batch<std::vector<std::byte>>(keys);
        for (std::size_t i = 0; i < keys.size(); ++i) {
          if (got[i]) {
            EXPECT_TRUE(expected_[keys[i]].allows(*got[i])) << "a value that nobody put";
          } else if (got[i].error() == errc::not_found) {
            EXPECT_TRUE(expected_[keys[i]].allows({})) << "a value was lost";
          } else {
            unknown(got[i].error());
          }
        }
        break;
      }
      default: {
        const auto removed = one.remove_batch(keys);
        for (std::size_t i = 0; i < keys.size(); ++i) {
          if (removed[i]) {
            EXPECT_TRUE(
                std::any_of(expected_[keys[i]].now.begin(), expected_[keys[i]].now.end(), [](const auto& each) { return each.has_value(); }) ||
                !expected_[keys[i]].later.empty())
                << "there was nothing to remove";
            expected_[keys[i]].becomes({});
          } else if (removed[i].error() == errc::not_found) {
            EXPECT_TRUE(expected_[keys[i]].allows({})) << "a value was lost";
          } else {
            unknown(removed[i].error());
            expected_[keys[i]].may_become({});
          }
        }
      }
    }
  }

  /// Everything that was set aside for what is no longer there has come back.
  void settle() {
    for (int i = 0; i < 5; ++i) {
      const auto removed = clients_[0]->remove_batch(std::vector<std::string>{"key 0", "key 1", "key 2", "key 3", "key 4"});
      if (std::all_of(removed.begin(), removed.end(), [](const auto& each) { return each || each.error() == errc::not_found; })) break;
    }
    const auto until = std::chrono::steady_clock::now() + 10s;
    while ((server_->stats().free != server_->stats().capacity) && std::chrono::steady_clock::now() < until) {
      for (auto& each : clients_) each->transport_used().progress();
      idle();
    }
    const store_stats last = server_->stats();
    if (undecided_ == 0) {
      EXPECT_EQ(last.values, 0u);
    }
    if (last.values == 0) {
      EXPECT_EQ(last.free, last.capacity) << "memory was lost";
    }
  }

  [[nodiscard]] std::uint64_t undecided() const noexcept { return undecided_; }

 private:
  [[nodiscard]] std::vector<std::byte> fresh() {
    const std::size_t sizes[]{0, 8, 100, 3000, 20'000};
    std::vector<std::byte> value(sizes[random_() % 5]);
    const std::uint64_t mark = ++marks_;
    for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<std::byte>((mark >> (i % 8 * 8)) + i / 8);
    return value;
  }

  void after_put(const std::string& key, const std::vector<std::byte>& value, put_mode mode, const result<void>& how) {
    expectation& there = expected_[key];
    if (how) {
      EXPECT_TRUE(mode == put_mode::replace || there.allows({})) << "a value was put in place of another";
      there.becomes(value);
    } else if (how.error() == errc::already_exists) {
      EXPECT_EQ(mode, put_mode::insert);
      bool taken = false;
      for (const auto* states : {&there.now, &there.later}) {
        for (const auto& each : *states) taken = taken || each.has_value();
      }
      EXPECT_TRUE(taken) << "nothing was there: was the put done twice?";
    } else if (how.error() != errc::no_space) {
      unknown(how.error());
      there.may_become(value);
    }
  }

  void unknown(const error& why) {
    ++undecided_;
    EXPECT_TRUE(detail::is_transient(why.code())) << why.message();
  }

  std::map<std::string, expectation> expected_;
  std::uint64_t marks_ = 0, undecided_ = 0;
};

class store_faults : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(store_faults, lose_corrupt_repeat_and_stop_nothing) {
  const std::uint64_t seeds = number_from("LADING_FAULT_SEEDS", 1000) / shards;
  const std::uint64_t first = number_from("LADING_FAULT_FIRST", 1) + GetParam() * seeds;
  std::uint64_t faults = 0, undecided = 0, unconnected = 0;
  for (std::uint64_t seed = first; seed < first + seeds && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const auto start = std::chrono::steady_clock::now();
    world one(seed);
    if (one.connected()) {
      for (int i = 0; i < 12; ++i) one.step();
      one.settle();
    } else {
      ++unconnected;
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, 60s) << "stuck";
    faults += one.faults();
    undecided += one.undecided();
  }
  EXPECT_GE(faults, seeds / 2);
  EXPECT_LE(undecided, seeds / 50 + 1) << "what can be tried again should end well";
  EXPECT_LE(unconnected, seeds / 50 + 1);
}
INSTANTIATE_TEST_SUITE_P(shard, store_faults, ::testing::Range(std::uint64_t{0}, shards));

}  // namespace fault_test
}  // namespace lading
