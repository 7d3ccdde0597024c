// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// How long values that are being read stay.

#include <lading/exchange/detail/read_leases.hpp>

#include <chrono>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

namespace lading {
namespace read_leases_test {
using namespace std::chrono_literals;

detail::value_index::value of(std::uint64_t size) {
  return std::make_shared<const detail::stored_value>(detail::stored_value{protocol::meta{.size = size}, {}});
}

TEST(read_leases, last_longer_for_more_bytes) {
  detail::read_leases leases(1ns);
  static_cast<void>(leases.add(1, {of(0), of(4096)}));
  std::this_thread::sleep_for(1ms);
  leases.expire();
  EXPECT_EQ(leases.size(), 0u);
  const std::uint64_t large = leases.add(1, {of(0), of(std::uint64_t{1} << 40)});
  static_cast<void>(leases.add(1, {of(~std::uint64_t{0}), of(~std::uint64_t{0} - 5), of(3)}));
  std::this_thread::sleep_for(1ms);
  leases.expire();
  EXPECT_EQ(leases.size(), 2u) << "they are read for hours";
  leases.release(2, large);
  EXPECT_EQ(leases.size(), 2u) << "another reader's";
  leases.release(1, large);
  EXPECT_EQ(leases.size(), 1u);
}

TEST(read_leases, may_last_for_ever) {
  detail::read_leases leases(std::chrono::nanoseconds::max());
  static_cast<void>(leases.add(1, {of(~std::uint64_t{0})}));
  leases.expire();
  EXPECT_EQ(leases.size(), 1u);
}

static_assert(detail::time_for(0) == 0ns && detail::time_for(1000) == 20us);
static_assert(detail::time_for(~std::uint64_t{0}) < std::chrono::hours(7), "without overflow");

}  // namespace read_leases_test
}  // namespace lading
