// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Limits, hostile counts, and golden bytes.

#include <lading/codec/stream.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <forward_list>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "support/codec_checks.hpp"

// Bytes in hexadecimal stay as they are grouped.
// clang-format off

namespace {

using lading::decode_from;
using lading::decode_limits;
using lading::errc;
using lading_test::from_hex;
using lading_test::hex_of;
using lading_test::stream_of;

struct nothing {
  friend auto operator<=>(const nothing&, const nothing&) = default;
};

TEST(stream, elements_without_bytes_are_limited) {
  EXPECT_EQ(stream_of(std::vector<nothing>(3)), from_hex("03000000"));
  EXPECT_EQ(decode_from<std::vector<nothing>>(from_hex("00000100"))->size(), 65536U);
  const auto bomb = decode_from<std::vector<nothing>>(from_hex("01000100"));
  ASSERT_FALSE(bomb.has_value());
  EXPECT_EQ(bomb.error().message(), "limit_exceeded: needs 65537, has 65536, at offset 0: more elements without bytes than decode_limits::max_empty_elements");
  const decode_limits three{.max_empty_elements = 3};
  EXPECT_TRUE(decode_from<std::vector<nothing>>(from_hex("03000000"), three).has_value());
  EXPECT_FALSE(decode_from<std::vector<nothing>>(from_hex("04000000"), three).has_value());
  EXPECT_FALSE(decode_from<std::list<nothing>>(from_hex("feffffff")).has_value());
  EXPECT_FALSE(decode_from<std::multiset<nothing>>(from_hex("feffffff")).has_value());
  EXPECT_FALSE((decode_from<std::vector<std::array<int, 0>>>(from_hex("feffffff")).has_value()));
  EXPECT_FALSE(decode_from<std::vector<std::tuple<>>>(from_hex("feffffff")).has_value());
  EXPECT_FALSE((decode_from<std::map<nothing, nothing>>(from_hex("02000000")).has_value()));  // the same key twice
  EXPECT_TRUE((decode_from<std::map<nothing, nothing>>(from_hex("01000000")).has_value()));
}

TEST(stream, elements_without_bytes_are_limited_all_together) {
  using lists = std::vector<std::vector<nothing>>;
  const decode_limits five{.max_empty_elements = 5};
  EXPECT_TRUE(decode_from<lists>(from_hex("02000000" "03000000" "02000000"), five).has_value());
  EXPECT_EQ(decode_from<lists>(from_hex("02000000" "03000000" "03000000"), five).error().code(), errc::limit_exceeded);
}

template <class T>
void expect_bomb_is_refused() {
  for (const char* count : {"feffffff", "ffffff7f", "00000001"}) {
    std::vector<std::byte> bytes = from_hex(count);
    bytes.resize(64, std::byte{0});
    const auto decoded = decode_from<T>(bytes);
    ASSERT_FALSE(decoded.has_value());
    ASSERT_EQ(decoded.error().code(), errc::truncated) << decoded.error().message();
  }
}

TEST(stream, counts_beyond_the_input_are_refused) {
  expect_bomb_is_refused<std::string>();
  expect_bomb_is_refused<std::vector<double>>();
  expect_bomb_is_refused<std::vector<std::string>>();
  expect_bomb_is_refused<std::list<bool>>();
  expect_bomb_is_refused<std::forward_list<std::uint8_t>>();
  expect_bomb_is_refused<std::map<std::uint8_t, std::string>>();
  expect_bomb_is_refused<std::unordered_set<std::uint8_t>>();
  expect_bomb_is_refused<std::vector<std::optional<std::uint8_t>>>();
  expect_bomb_is_refused<std::span<const double>>();
  expect_bomb_is_refused<std::vector<std::array<std::uint64_t, 1000>>>();
  const auto message = decode_from<std::string>(from_hex("feffffff61"));
  ASSERT_FALSE(message.has_value());
  EXPECT_EQ(message.error().message(), "truncated: needs 4294967294, has 1, at offset 4: the input ends inside a value");
}

struct point {
  float x;
  double y;
};
struct sample {
  std::int64_t id;
  std::string uid;
  std::vector<std::int32_t> tokens;
  std::map<std::string, std::vector<float>> features;
  std::optional<double> reward;
};

TEST(stream, golden_bytes) {
  EXPECT_EQ(hex_of(sample{7, "r-7", {1, -1}, {{"f", {0.5F}}}, 1.25}),
            "0700000000000000"                               // id
            "03000000722d37"                                 // uid, 15 bytes so far
            "0200000000" "01000000" "ffffffff"               // tokens: count at 15, one byte of padding, elements at 20
            "01000000" "0100000066" "01000000" "000000" "0000003f"  // features: count at 28, key at 32, floats: count at 37, elements at 44
            "01000000000000f43f");                           // reward: engaged, 1.25
  EXPECT_EQ(hex_of(point{1, 2}), "0000803f00000000" "0000000000000040");
  EXPECT_EQ(hex_of(std::vector<point>{{1, 2}}), "0100000000000000" "0000803f00000000" "0000000000000040");
  EXPECT_EQ(hex_of(std::tuple<std::uint8_t, std::string, point>(1, "a", {0, 0})), "01" "0100000061" "00000000000000000000000000000000");
  EXPECT_EQ(hex_of(std::vector<std::variant<std::uint16_t, std::string>>{std::uint16_t{1}, "a"}), "02000000" "000100" "010100000061");
  EXPECT_EQ(hex_of(std::map<std::uint32_t, std::vector<std::uint64_t>>{{1, {2}}}), "01000000" "01000000" "01000000" "00000000" "0200000000000000");
  EXPECT_EQ(hex_of(std::array<std::string, 2>{"a", ""}), "0100000061" "00000000");
  EXPECT_EQ(hex_of(std::vector<std::array<std::uint16_t, 2>>{{1, 2}}), "01000000" "01000200");
  EXPECT_EQ(hex_of(std::vector<std::chrono::milliseconds>{std::chrono::milliseconds(1)}), "0100000000000000" "0100000000000000");
}

TEST(stream, the_end_of_the_input_is_the_end_of_the_value) {
  EXPECT_EQ(decode_from<std::string>(from_hex("010000006100")).error().message(), "trailing_bytes: needs 5, has 6: the input goes on after the value");
  std::string into = "before";
  EXPECT_EQ(lading::decode_into(into, from_hex("010000006100")).error().code(), errc::trailing_bytes);
  EXPECT_TRUE(lading::decode_into(into, from_hex("0100000061")).has_value());
  EXPECT_EQ(into, "a");
}

TEST(stream, a_target_too_small_is_named_with_both_sizes) {
  std::byte target[3];
  const auto written = lading::encode_into(std::string("text"), target);
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().message(), "buffer_too_small: needs 8, has 3, at offset 0: pass a target of encoded_size(value) bytes");
}

/// Says how many elements it has; there are none to touch.
struct enormous {
  using value_type = std::uint8_t;
  [[nodiscard]] const std::uint8_t* data() const { return nullptr; }
  [[nodiscard]] const std::uint8_t* begin() const { return nullptr; }
  [[nodiscard]] const std::uint8_t* end() const { return nullptr; }
  [[nodiscard]] std::size_t size() const { return std::size_t{1} << 33; }
  enormous() {}
};

TEST(stream, counts_of_more_than_32_bits_are_refused) {
  std::byte target[16];
  const auto written = lading::encode_into(enormous(), target);
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().message(),
            "size_overflow: needs 8589934592, has 4294967294, at offset 0: more elements than a stream can count: encode() sends contiguous numbers as frames of any size");
  EXPECT_EQ(lading::encode(enormous(), {.out_of_band_threshold = ~std::size_t{0}}).error().code(), errc::size_overflow);
}

struct stale_all {
  std::map<std::string, int> a;
  std::vector<std::string> b;
  std::optional<std::string> c;
  std::variant<int, std::string> d;
  std::vector<std::map<int, int>> e;
};

TEST(stream, reading_over_an_object_leaves_nothing_of_it) {
  stale_all value{{{"stale", 1}, {"a", 2}}, {"x", "y", "z"}, "stale", "stale", {{{1, 1}}, {{2, 2}}}};
  const stale_all wanted{{{"a", 7}}, {"p"}, std::nullopt, 5, {{{3, 3}}}};
  ASSERT_TRUE(lading::decode_into(value, stream_of(wanted)).has_value());
  EXPECT_EQ(value.a, wanted.a);
  EXPECT_EQ(value.b, wanted.b);
  EXPECT_EQ(value.c, wanted.c);
  EXPECT_EQ(value.d, wanted.d);
  EXPECT_EQ(value.e, wanted.e);
}

}  // namespace
