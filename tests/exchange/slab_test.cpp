// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/slab.hpp>

#include <cstring>
#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lading/exchange/submitter.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace {

using namespace std::chrono_literals;
using pool_type = slab_pool<submitter<loopback>>;

struct slabs : ::testing::Test {
  [[nodiscard]] pool_type make(const slab_options& options) { return pool_type::create(transport, sender, options).value(); }
  loopback transport = loopback::create().value();
  exchange_meter<> meter;
  submitter<loopback> sender = submitter<loopback>::create(transport, meter).value();
};

TEST_F(slabs, refuse_sizes_that_make_no_sense) {
  EXPECT_EQ(pool_type::create(transport, sender, {.capacity = 100, .slab_size = 4096}).error(), errc::invalid_argument);
  EXPECT_EQ(pool_type::create(transport, sender, {.capacity = 4096, .slab_size = 1}).error(), errc::invalid_argument);
  EXPECT_EQ(pool_type::create(transport, sender, {.capacity = 4096, .slab_size = 4096, .max_extents = 0}).error(), errc::invalid_argument);
  EXPECT_TRUE(pool_type::create(transport, sender, {.capacity = 4096, .slab_size = 4096}).has_value());
}

TEST_F(slabs, hand_out_aligned_pieces_and_take_them_back) {
  auto pool = make({.capacity = 8192, .slab_size = 4096});
  EXPECT_EQ(pool.slab_count(), 2u);
  EXPECT_EQ(pool.free_bytes(), 8192u);
  {
    const auto one = pool.take_one(1).value();
    const auto two = pool.take_one(100).value();
    EXPECT_EQ(two.size(), 100u);
    // Safety: the addresses are only tested.
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(one.bytes().data()) % 64, 0u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(two.bytes().data()) % 64, 0u);
    EXPECT_EQ(pool.free_bytes(), 8192u - 64 - 128);
    EXPECT_EQ(pool.take_one(4097).error(), errc::no_space);
  }
  EXPECT_EQ(pool.free_bytes(), 8192u);
  EXPECT_EQ(pool.take_one(4096).value().size(), 4096u) << "neighbours were joined";
  EXPECT_EQ(pool.take(0).value().size(), 0u);
}

TEST_F(slabs, a_value_larger_than_any_hole_lies_in_several) {
  auto pool = make({.capacity = 3 * 4096, .slab_size = 4096, .max_extents = 3});
  const auto large = pool.take(10'000).value();
  EXPECT_EQ(large.extents().size(), 3u);
  EXPECT_EQ(large.size(), 10'000u);
  EXPECT_EQ(pool.take(3000).error(), errc::no_space);
  EXPECT_TRUE(pool.take(2000).has_value()) << "control";
  EXPECT_EQ(pool.free_bytes(), 3u * 4096 - 4096 * 2 - 1856);
}

TEST_F(slabs, too_many_pieces_are_refused_and_nothing_is_lost) {
  auto pool = make({.capacity = 4 * 4096, .slab_size = 4096, .max_extents = 2});
  EXPECT_EQ(pool.take(3 * 4096).error(), errc::no_space);
  EXPECT_EQ(pool.take(2 * 4096, 1).error(), errc::no_space);
  EXPECT_EQ(pool.free_bytes(), 4u * 4096);
  EXPECT_EQ(pool.take(2 * 4096).value().extents().size(), 2u);
  EXPECT_EQ(pool.take(~std::uint64_t{0}).error(), errc::no_space);
}

TEST_F(slabs, quarantined_memory_is_not_given_out_before_its_time) {
  auto pool = make({.capacity = 4096, .slab_size = 4096});
  pool.take_one(4096).value().quarantine(1h) /* a peer may still write it */;
  EXPECT_EQ(pool.take_one(64).error(), errc::no_space);
  EXPECT_EQ(pool.quarantined_bytes(), 4096u);
  auto other = make({.capacity = 4096, .slab_size = 4096});
  other.take_one(4096).value().quarantine(0ns);
  EXPECT_TRUE(other.take_one(64).has_value());
  EXPECT_EQ(other.quarantined_bytes(), 0u);
}

#if defined(LADING_DETAIL_POISON)
TEST_F(slabs, poison_what_no_peer_was_told_of) {
  auto pool = make({.capacity = 4096, .slab_size = 4096});
  auto lease = pool.take_one(100).value();
  const std::byte* const bytes = lease.bytes().data();
  lease = slab_lease();
  EXPECT_FALSE(__asan_address_is_poisoned(bytes)) << "a peer may still read it";
  auto kept = pool.take_one(100).value();
  ASSERT_EQ(kept.bytes().data(), bytes);
  kept.keep_from_peers();
  auto moved = std::move(kept);
  EXPECT_FALSE(__asan_address_is_poisoned(bytes));
  moved = slab_lease();
  EXPECT_TRUE(__asan_address_is_poisoned(bytes));
  const auto again = pool.take_one(100).value();
  ASSERT_EQ(again.bytes().data(), bytes);
  EXPECT_FALSE(__asan_address_is_poisoned(bytes));
}
#endif

TEST_F(slabs, no_two_leases_share_a_byte) {
  auto pool = make({.capacity = 4 * 65'536, .slab_size = 65'536});
  std::mt19937 random(7);
  struct held {
    slab_lease lease;
    unsigned char mark;
  };
  std::vector<held> all;
  for (int step = 0; step < 5000; ++step) {
    if (random() % 5 < 3) {
      auto lease = pool.take(random() % 20'000);
      if (!lease) continue;
      all.push_back({std::move(*lease), static_cast<unsigned char>(random())});
      for (const slab_extent& each : all.back().lease.extents()) {
        std::memset(all.back().lease.bytes_of(each).data(), all.back().mark, static_cast<std::size_t>(each.size));
      }
    } else if (!all.empty()) {
      std::swap(all[random() % all.size()], all.back());
      const held& last = all.back();
      for (const slab_extent& each : last.lease.extents()) {
        for (const std::byte byte : last.lease.bytes_of(each)) ASSERT_EQ(byte, std::byte{last.mark}) << "step " << step;
      }
      all.pop_back();
    }
  }
  all.clear();
  EXPECT_EQ(pool.free_bytes(), pool.capacity());
  EXPECT_EQ(pool.take_one(65'536).value().size(), 65'536u);
}

TEST_F(slabs, tell_whether_something_would_fit) {
  std::mt19937 random(7);
  std::size_t fitted = 0, refused = 0;
  for (int round = 0; round < 300; ++round) {
    auto pool = make({.capacity = 1 << 14, .slab_size = 1 << 12, .max_extents = 3});
    std::vector<slab_lease> stay, go;
    while (auto lease = pool.take(1 + random() % 900)) (random() % 2 == 0 ? stay : go).push_back(std::move(*lease));
    std::vector<slab_extent> more;
    for (const slab_lease& each : go) more.insert(more.end(), each.extents().begin(), each.extents().end());
    const std::uint64_t size = 1 + random() % 6000;
    ASSERT_EQ(pool.would_fit(size, {}), pool.take(size).has_value());
    const bool fits = pool.would_fit(size, more);
    go.clear();
    ASSERT_EQ(pool.take(size).has_value(), fits) << "round " << round;
    ++(fits ? fitted : refused);
  }
  EXPECT_GT(fitted, 20u);
  EXPECT_GT(refused, 20u);
}

TEST_F(slabs, serve_several_threads) {
  auto pool = make({.capacity = 65'536, .slab_size = 65'536});
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      std::mt19937 random(i);
      for (int step = 0; step < 2000; ++step) {
        const auto lease = pool.take(random() % 9000);
        if (!lease) continue;
        for (const slab_extent& each : lease->extents())
          std::memset(lease->bytes_of(each).data(), static_cast<int>(i), static_cast<std::size_t>(each.size));
      }
    });
  }
  for (auto& each : threads) each.join();
  EXPECT_EQ(pool.free_bytes(), pool.capacity());
}

}  // namespace
}  // namespace lading
