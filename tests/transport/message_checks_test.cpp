// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transport/message_checks.hpp>

#include <array>

#include <gtest/gtest.h>

namespace message_checks_test {
using namespace lading;

enum class kind : std::uint8_t { first, second, third };
constexpr detail::message_start<kind> start{.magic = 0x1234, .version = 3, .last = kind::third};

TEST(message_checks, take_what_was_stored) {
  std::array<std::byte, 8> bytes{};
  for (const kind each : {kind::first, kind::second, kind::third}) {
    start.store(bytes.data(), each);
    EXPECT_EQ(start.load(bytes, 8).value(), each);
  }
}

TEST(message_checks, refuse_everything_else) {
  std::array<std::byte, 8> good{};
  start.store(good.data(), kind::third);
  EXPECT_EQ(start.load(good, 9).error(), errc::truncated);
  EXPECT_EQ(start.load(good, 9).error().details().needed, 9u);
  EXPECT_EQ(start.load(good, 7).error(), errc::trailing_bytes);
  EXPECT_EQ(start.load(bytes_view(), 8).error(), errc::truncated);
  const errc expected[] = {errc::bad_magic, errc::bad_magic, errc::unsupported_version, errc::bad_header};
  for (std::size_t i = 0; i < std::size(expected); ++i) {
    auto changed = good;
    changed[i] = changed[i] ^ std::byte{1};  // of kind 2 makes kind 3, which is none
    EXPECT_EQ(start.load(changed, 8).error(), expected[i]) << i;
  }
  EXPECT_TRUE(start.load(good, 8).has_value()) << "the control";
}

}  // namespace message_checks_test
