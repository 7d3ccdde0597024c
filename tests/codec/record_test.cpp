// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/record.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "support/codec_checks.hpp"

namespace {

using lading::errc;
using lading_test::check_encoding;
using lading_test::from_hex;
using lading_test::hex_of;
using lading_test::stream_of;

struct nothing {};

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

TEST(record, padding_is_zero_whatever_memory_held) {
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
            "010000000200000003000000"
            "04000000"
            "010000000200000003000000"
            "010000000200000003000000");
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
            "010000000200000003000000"
            "010000000200000003000000");
}

TEST(record, padding_in_containers_is_zero) {
  alignas(padded) std::array<unsigned char, 2 * sizeof(padded)> memory;
  memory.fill(0xab);
  auto* items = reinterpret_cast<padded*>(memory.data());  // Safety: as above
  for (int i = 0; i < 2; ++i) {
    items[i].a = 1;
    items[i].b = 2;
    items[i].c = 3;
  }
  const std::span<const padded> view(items, 2);
  EXPECT_EQ(hex_of(view),
            "02000000"
            "010000000200000003000000"
            "010000000200000003000000");
  const auto frames = lading::encode(view, {.out_of_band_threshold = 0});
  ASSERT_TRUE(frames.has_value());
  EXPECT_EQ(frames->size(), 1U);  // padded elements never leave as they are
}

TEST(record, stray_padding_is_refused) {
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

TEST(record, large_padded_records) {
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

TEST(record, alignas_changes_no_byte) {
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

TEST(record, views_of_elements_that_lie_otherwise_are_refused) {
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

TEST(record, no_unique_address) {
  no_addresses value;  // filled member by member: clang 16 miscompiles braces around such members
  value.b = 1;
  value.d = 2;
  EXPECT_EQ(hex_of(value), "01000200");
  check_encoding(value, no_addresses());
  check_encoding(std::vector<no_addresses>(2, value), std::vector<no_addresses>(3));
  EXPECT_EQ(hex_of(tail_reused{{1, 2, 3}, 4}),
            "010000000200000003000000"
            "04000000");
  check_encoding(tail_reused{{1, 2, 3}, 4}, tail_reused{});
}

struct bools {
  bool a, b;
  std::uint16_t c;
};

TEST(record, bools_inside_records_are_checked) {
  check_encoding(bools{true, false, 7}, bools{});
  EXPECT_EQ(lading::decode_from<bools>(from_hex("02000000")).error().code(), errc::invalid_value);
  EXPECT_EQ(lading::decode_from<bools>(from_hex("00800000")).error().code(), errc::invalid_value);
  EXPECT_TRUE(lading::decode_from<bools>(from_hex("0100ffff")).has_value());
}

}  // namespace
