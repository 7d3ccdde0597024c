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

namespace {

using lading::errc;
using lading_test::check_encoding;
using lading_test::check_twin;
using lading_test::check_value;
using lading_test::from_hex;
using lading_test::hex_of;
using lading_test::stream_of;

struct mixed {
  std::uint8_t a;
  std::uint32_t b;
  std::uint8_t c;
  std::uint64_t d;
  std::uint16_t e;
  friend bool operator==(const mixed&, const mixed&) = default;
};

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

TEST(product, pairs_and_tuples_are_structs) {
  EXPECT_EQ(hex_of(std::pair<std::uint8_t, std::uint32_t>(1, 2)), "0100000002000000");
  EXPECT_EQ(hex_of(std::tuple<std::uint8_t, std::uint32_t>(1, 2)), "0100000002000000");
  EXPECT_EQ(hex_of(std::tuple<>()), "");
  check_value(std::pair<std::string, std::uint8_t>("a", 1), {"stale", 9});
  check_value(std::tuple<std::uint8_t, std::string, std::vector<bool>>(1, "b", {true}), {9, "stale", {}});
  check_value(std::tuple<>());
  check_value(std::vector<std::pair<std::uint8_t, std::uint16_t>>{{1, 2}, {3, 4}});
}

/// Memory that held 0xAB before `Value` was made in it, member by member.
template <class Value, class Fill>
std::string hex_over_a_pattern(Fill fill) {
  alignas(Value) std::array<unsigned char, sizeof(Value)> memory;
  memory.fill(0xab);
  auto* value = reinterpret_cast<Value*>(memory.data());  // Safety: aggregates of numbers live wherever there is room for them
  fill(*value);
  return hex_of(*value);
}

struct padded {
  std::uint8_t a;
  std::uint32_t b;
  std::uint8_t c;
};
struct padded_inside {
  padded a;
  std::uint8_t b;
  padded c[2];
};
struct padded_large {
  std::array<padded, 200> a;
  std::uint8_t b;
};
struct padded_float {
  std::uint8_t a;
  long double b;
};

TEST(product, padding_is_zero_whatever_memory_held) {
  const auto fill = [](padded& value) {
    value.a = 1;
    value.b = 2;
    value.c = 3;
  };
  EXPECT_EQ(hex_over_a_pattern<padded>(fill), "010000000200000003000000");
  EXPECT_EQ(hex_over_a_pattern<padded_inside>([&](padded_inside& value) {
              fill(value.a);
              value.b = 4;
              fill(value.c[0]);
              fill(value.c[1]);
            }),
            "010000000200000003000000" "04000000" "010000000200000003000000" "010000000200000003000000");
  std::string large;
  for (int i = 0; i < 200; ++i) large += "010000000200000003000000";
  EXPECT_EQ(hex_over_a_pattern<padded_large>([&](padded_large& value) {
              for (padded& item : value.a) fill(item);
              value.b = 4;
            }),
            large + "04000000");
  EXPECT_EQ((hex_over_a_pattern<std::array<padded, 2>>([&](std::array<padded, 2>& value) {
              fill(value[0]);
              fill(value[1]);
            })),
            "010000000200000003000000" "010000000200000003000000");
}

TEST(product, padding_in_containers_is_zero) {
  alignas(padded) std::array<unsigned char, 2 * sizeof(padded)> memory;
  memory.fill(0xab);
  auto* items = reinterpret_cast<padded*>(memory.data());  // Safety: as above
  for (int i = 0; i < 2; ++i) {
    items[i].a = 1;
    items[i].b = 2;
    items[i].c = 3;
  }
  const std::span<const padded> view(items, 2);
  EXPECT_EQ(hex_of(view), "02000000" "010000000200000003000000" "010000000200000003000000");
  const auto frames = lading::encode(view, {.out_of_band_threshold = 0});
  ASSERT_TRUE(frames.has_value());
  EXPECT_EQ(frames->size(), 1U);  // padded elements never leave as they are
}

TEST(product, stray_padding_is_refused) {
  const std::vector<std::byte> stream = from_hex("010000000200000003000000");
  ASSERT_TRUE(lading::decode_from<padded>(stream).has_value());
  for (const std::size_t at : {1U, 2U, 3U, 9U, 10U, 11U}) {
    std::vector<std::byte> changed = stream;
    changed[at] = std::byte{0x10};
    EXPECT_EQ(lading::decode_from<padded>(changed).error().code(), errc::invalid_value) << at;
  }
  check_encoding(padded{1, 2, 3}, padded{});
  check_encoding(padded_float{1, 2}, padded_float{});
  check_encoding(std::vector<padded>{{1, 2, 3}, {4, 5, 6}}, std::vector<padded>(5));
}

TEST(product, large_padded_records) {
  padded_large value{};
  value.a[199] = {1, 2, 3};
  value.b = 4;
  std::vector<std::byte> stream = stream_of(value);
  const auto decoded = lading::decode_from<padded_large>(stream);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->a[199].b, 2U);
  stream[1] = std::byte{1};
  EXPECT_EQ(lading::decode_from<padded_large>(stream).error().code(), errc::invalid_value);
}

struct alignas(16) over_aligned {
  std::uint32_t a;
};
struct aligned_members {
  std::uint8_t a;
  alignas(8) std::uint32_t b;
  std::uint8_t c;
};
struct moved_field {  // as large as without alignas, but b lies elsewhere
  std::uint8_t a;
  alignas(2) std::uint8_t b;
  std::uint8_t c;
  std::uint32_t d;
};
struct unmoved_field {
  std::uint8_t a;
  std::uint8_t b;
  std::uint8_t c;
  std::uint32_t d;
};
#pragma pack(push, 1)
struct packed_tightly {
  std::uint8_t a;
  std::uint32_t b;
};
#pragma pack(pop)

TEST(product, alignas_changes_no_byte) {
  EXPECT_EQ(hex_of(over_aligned{5}), "05000000");
  EXPECT_EQ(hex_of(aligned_members{1, 2, 3}), "010000000200000003000000");
  EXPECT_EQ(hex_of(moved_field{1, 2, 3, 4}), hex_of(unmoved_field{1, 2, 3, 4}));
  EXPECT_EQ(hex_of(std::vector<moved_field>(2, {1, 2, 3, 4})), hex_of(std::vector<unmoved_field>(2, {1, 2, 3, 4})));
  check_encoding(over_aligned{5}, over_aligned{});
  check_encoding(aligned_members{1, 2, 3}, aligned_members{});
  check_encoding(moved_field{1, 2, 3, 4}, moved_field{});
  check_encoding(std::vector<over_aligned>{{1}, {2}}, std::vector<over_aligned>(3));
  check_encoding(std::vector<moved_field>{{1, 2, 3, 4}}, std::vector<moved_field>(3));
}

TEST(product, views_of_elements_that_lie_otherwise_are_refused) {
  const std::vector<std::byte> stream = stream_of(std::vector<moved_field>{{1, 2, 3, 4}});
  EXPECT_EQ(lading::decode_from<std::span<const moved_field>>(stream).error().code(), errc::unsupported);
  EXPECT_TRUE(lading::decode_from<std::span<const unmoved_field>>(stream).has_value());
}

struct no_addresses {
  [[no_unique_address]] nothing a;
  std::uint8_t b;
  [[no_unique_address]] std::monostate c;
  std::uint16_t d;
};
struct tail_reused {
  [[no_unique_address]] padded a;
  std::uint8_t b;
};

TEST(product, no_unique_address) {
  EXPECT_EQ(hex_of(no_addresses{{}, 1, {}, 2}), "01000200");
  check_encoding(no_addresses{{}, 1, {}, 2}, no_addresses{});
  check_encoding(std::vector<no_addresses>{{{}, 1, {}, 2}}, std::vector<no_addresses>{});
  EXPECT_EQ(hex_of(tail_reused{{1, 2, 3}, 4}), "010000000200000003000000" "04000000");
  check_encoding(tail_reused{{1, 2, 3}, 4}, tail_reused{});
}

struct bools {
  bool a, b;
  std::uint16_t c;
};

TEST(product, bools_inside_records_are_checked) {
  check_encoding(bools{true, false, 7}, bools{});
  EXPECT_EQ(lading::decode_from<bools>(from_hex("02000000")).error().code(), errc::invalid_value);
  EXPECT_EQ(lading::decode_from<bools>(from_hex("00800000")).error().code(), errc::invalid_value);
  EXPECT_TRUE(lading::decode_from<bools>(from_hex("0100ffff")).has_value());
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
