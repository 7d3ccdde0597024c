// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/product.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include <lading/codec/schema.hpp>

#include "support/codec_checks.hpp"

// Bytes in hexadecimal stay as they are grouped.
// clang-format off

namespace {

using lading::errc;
using lading_test::check_encoding;
using lading_test::check_twin;
using lading_test::check_value;
using lading_test::from_hex;
using lading_test::hex_of;
using lading_test::stream_of;

/// With all that a container has.
struct container_like {
  using value_type = float;
  std::vector<float> items;
  std::uint32_t rate = 0;
  [[nodiscard]] auto begin() const { return items.begin(); }
  [[nodiscard]] auto end() const { return items.end(); }
  [[nodiscard]] std::size_t size() const { return items.size(); }
  [[nodiscard]] const float* data() const { return items.data(); }
  void clear() { items.clear(); }
  friend bool operator==(const container_like&, const container_like&) = default;
};
struct without_an_address {
  std::string name;
  std::uint32_t number;
  std::nullptr_t operator&() const { return nullptr; }
  friend bool operator==(const without_an_address&, const without_an_address&) = default;
};

/// Leaves that are reached by many paths.
template <class Inner>
struct sixteen {
  Inner a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p;
};
static_assert(!lading::detail::borrows<sixteen<sixteen<sixteen<sixteen<std::uint8_t>>>>>);

struct mixed {
  std::uint8_t a;
  std::uint32_t b;
  std::uint8_t c;
  std::uint64_t d;
  std::uint16_t e;
  friend bool operator==(const mixed&, const mixed&) = default;
};

TEST(product, members_of_a_container_hide_no_field) { check_value(container_like{{1, 2}, 48000}); }

TEST(product, an_operator_for_addresses_is_not_asked) {
  const without_an_address value{"name", 7};
  const auto frames = lading::encode(value);
  ASSERT_TRUE(frames.has_value());
  EXPECT_EQ(lading::decode<without_an_address>(*frames), value);
}

TEST(product, records_are_laid_out_as_in_c) {
  EXPECT_EQ(hex_of(mixed{1, 2, 3, 4, 5}), "01000000" "02000000" "0300000000000000" "0400000000000000" "0500000000000000");
  check_value(mixed{1, 2, 3, 4, 5});
  EXPECT_EQ(hex_of(std::vector<mixed>(1)).size(), 2 * (8 + 32));
}

struct variable {
  std::uint8_t a;
  std::uint32_t b;
  std::string c;
  std::uint16_t d;
  friend bool operator==(const variable&, const variable&) = default;
};

TEST(product, structs_of_variable_size_are_packed) {
  EXPECT_EQ(hex_of(variable{1, 2, "xy", 3}), "01" "02000000" "020000007879" "0300");
  check_value(variable{1, 2, "xy", 3}, variable{9, 9, "stale", 9});
}

TEST(product, arrays_inside_are_aligned_to_the_stream) {
  struct inner {
    std::uint8_t a;
    std::vector<std::uint32_t> b;
  };
  EXPECT_EQ(hex_of(inner{1, {2}}), "01" "01000000" "000000" "02000000");
  EXPECT_EQ(hex_of(std::vector<inner>{{1, {2}}, {3, {}}}), "02000000" "01" "01000000" "000000" "02000000" "03" "00000000" "000000");
}

struct nothing {};
struct only_nothing {
  nothing a;
  std::monostate b;
};
struct nothing_first {
  nothing a;
  std::vector<std::uint8_t> b;
  nothing c;
};

TEST(product, empty_structs_take_no_bytes) {
  EXPECT_EQ(hex_of(nothing{}), "");
  EXPECT_EQ(hex_of(only_nothing{}), "");
  EXPECT_EQ(hex_of(nothing_first{{}, {7}, {}}), "0100000007");
  check_encoding(nothing{}, nothing{});
  check_encoding(only_nothing{}, only_nothing{});
  check_encoding(nothing_first{{}, {7}, {}}, nothing_first{{}, {1, 2}, {}});
}

TEST(product, no_bytes_at_no_address) {
  EXPECT_TRUE(lading::encode_into(only_nothing{}, lading::bytes_span{}).has_value());
  EXPECT_TRUE(lading::decode_from<only_nothing>(lading::bytes_view{}).has_value());
  EXPECT_FALSE(lading::encode_into(nothing_first{}, lading::bytes_span{}).has_value());
  EXPECT_FALSE(lading::decode_from<nothing_first>(lading::bytes_view{}).has_value());
}

struct first_is_optional {
  std::optional<std::uint16_t> a;
  std::string b;
  friend bool operator==(const first_is_optional&, const first_is_optional&) = default;
};
struct c_arrays {
  std::uint16_t a[3];
  std::uint8_t b[2][2];
  std::string c[2];
  bool d[2];
};

TEST(product, first_member_optional) {
  EXPECT_EQ(hex_of(first_is_optional{7, "x"}), "010700" "0100000078");
  check_value(first_is_optional{7, "x"});
  check_value(first_is_optional{std::nullopt, "x"}, first_is_optional{3, "stale"});
}

TEST(product, c_array_members) {
  const c_arrays value{{1, 2, 3}, {{4, 5}, {6, 7}}, {"a", ""}, {true, false}};
  EXPECT_EQ(hex_of(value), "010002000300" "04050607" "0100000061" "00000000" "0100");
  check_encoding(value, c_arrays{{9}, {{9}}, {"stale", "stale"}, {true, true}});
}

struct empty_arrays {
  std::uint8_t a;
  std::array<std::string, 0> b;
  std::array<std::vector<bool>, 0> c;
  std::array<std::uint64_t, 0> d;
  std::string e;
};

TEST(product, arrays_of_no_elements_take_no_bytes) {
  EXPECT_EQ(hex_of(empty_arrays{7, {}, {}, {}, "x"}), "07" "0100000078");
  check_encoding(empty_arrays{7, {}, {}, {}, "x"}, empty_arrays{9, {}, {}, {}, "stale"});
  check_value(std::array<std::string, 0>{});
}

TEST(product, pairs_and_tuples_are_structs) {
  EXPECT_EQ(hex_of(std::pair<std::uint8_t, std::uint32_t>(1, 2)), "0100000002000000");
  EXPECT_EQ(hex_of(std::tuple<std::uint8_t, std::uint32_t>(1, 2)), "0100000002000000");
  EXPECT_EQ(hex_of(std::tuple<>()), "");
  check_value(std::pair<std::string, std::uint8_t>("a", 1), {"stale", 9});
  check_value(std::tuple<std::uint8_t, std::string, std::vector<bool>>(1, "b", {true}), {9, "stale", {}});
  check_value(std::tuple<>());
  check_value(std::vector<std::pair<std::uint8_t, std::uint16_t>>{{1, 2}, {3, 4}});
}

struct owner {
  std::int64_t id;
  std::string name;
  std::vector<std::int32_t> numbers;
  std::vector<mixed> records;
  std::optional<std::string> note;
};
struct twin {
  std::int64_t id;
  std::string_view name;
  std::span<const std::int32_t> numbers;
  std::span<const mixed> records;
  std::optional<std::string_view> note;
};
static_assert(lading::schema_of<owner>() == lading::schema_of<twin>());

TEST(product, a_struct_of_views_is_a_twin) { check_twin<twin>(owner{7, "name", {1, 2, 3}, {{1, 2, 3, 4, 5}}, "note"}); }

struct move_only {
  std::unique_ptr<std::uint8_t> a;
  std::vector<std::unique_ptr<std::string>> b;
};

TEST(product, move_only_members) {
  move_only value;
  value.a = std::make_unique<std::uint8_t>(std::uint8_t{1});
  value.b.push_back(std::make_unique<std::string>("x"));
  EXPECT_EQ(hex_of(value), "0101" "01000000" "01" "0100000078");
  const auto decoded = lading::decode_from<move_only>(stream_of(value));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(*decoded->b[0], "x");
}

}  // namespace
