// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/core/error.hpp>

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>

#include <gtest/gtest.h>

namespace {

using lading::errc;
using lading::error;
using lading::name_of;

struct named_code {
  errc code;
  std::uint16_t number;
  std::string_view name;
};

// The numbers are part of the contract: they cross processes in logs and in std::error_code.
constexpr std::array all_codes{
    named_code{errc::buffer_too_small, 1, "buffer_too_small"},
    named_code{errc::size_overflow, 2, "size_overflow"},
    named_code{errc::no_memory, 3, "no_memory"},
    named_code{errc::truncated, 16, "truncated"},
    named_code{errc::bad_magic, 17, "bad_magic"},
    named_code{errc::unsupported_version, 18, "unsupported_version"},
    named_code{errc::bad_header, 19, "bad_header"},
    named_code{errc::entry_out_of_bounds, 20, "entry_out_of_bounds"},
    named_code{errc::not_canonical, 21, "not_canonical"},
    named_code{errc::misaligned, 22, "misaligned"},
    named_code{errc::trailing_bytes, 23, "trailing_bytes"},
    named_code{errc::checksum_mismatch, 24, "checksum_mismatch"},
    named_code{errc::schema_mismatch, 25, "schema_mismatch"},
    named_code{errc::invalid_value, 26, "invalid_value"},
    named_code{errc::limit_exceeded, 27, "limit_exceeded"},
    named_code{errc::not_registered, 48, "not_registered"},
    named_code{errc::out_of_range, 49, "out_of_range"},
    named_code{errc::peer_lost, 50, "peer_lost"},
    named_code{errc::peer_stalled, 51, "peer_stalled"},
    named_code{errc::timed_out, 52, "timed_out"},
    named_code{errc::cancelled, 53, "cancelled"},
    named_code{errc::would_block, 54, "would_block"},
    named_code{errc::busy, 55, "busy"},
    named_code{errc::closed, 56, "closed"},
    named_code{errc::unsupported, 57, "unsupported"},
    named_code{errc::backend_failure, 58, "backend_failure"},
    named_code{errc::not_found, 80, "not_found"},
    named_code{errc::already_exists, 81, "already_exists"},
    named_code{errc::no_space, 82, "no_space"},
    named_code{errc::invalid_argument, 96, "invalid_argument"},
};

TEST(error, every_code_has_its_number_and_name) {
  for (const auto& [code, number, name] : all_codes) {
    EXPECT_EQ(static_cast<std::uint16_t>(code), number) << name;
    EXPECT_EQ(name_of(code), name);
  }
}

TEST(error, no_other_number_has_a_name) {
  std::set<std::uint16_t> known;
  for (const auto& entry : all_codes) known.insert(entry.number);
  ASSERT_EQ(known.size(), all_codes.size());
  std::size_t named = 0;
  for (std::uint32_t number = 0; number <= 0xFFFF; ++number) {
    const bool has_name = name_of(static_cast<errc>(number)) != "unknown";
    ASSERT_EQ(has_name, known.contains(static_cast<std::uint16_t>(number))) << number;
    named += has_name;
  }
  EXPECT_EQ(named, all_codes.size());
}

TEST(error, zero_is_no_error) { EXPECT_EQ(name_of(errc{}), "unknown"); }

TEST(error, message_is_the_name_where_nothing_else_is_known) {
  for (const auto& entry : all_codes) EXPECT_EQ(error(entry.code).message(), entry.name);
}

TEST(error, message_names_both_sizes) {
  EXPECT_EQ(error(errc::buffer_too_small, {.needed = 120, .available = 3}).message(), "buffer_too_small: needs 120, has 3");
  EXPECT_EQ(error(errc::buffer_too_small, {.needed = 120}).message(), "buffer_too_small: needs 120");
  EXPECT_EQ(error(errc::truncated, {.available = 0}).message(), "truncated: has 0");
}

TEST(error, message_names_offset_and_item) {
  EXPECT_EQ(error(errc::entry_out_of_bounds, {.needed = 9, .available = 8, .offset = 96, .item = 1}).message(),
            "entry_out_of_bounds: needs 9, has 8, at offset 96, item 1");
  EXPECT_EQ(error(errc::invalid_value, {.offset = 0}).message(), "invalid_value: at offset 0");
  EXPECT_EQ(error(errc::not_found, {.item = 7}).message(), "not_found: item 7");
}

TEST(error, message_names_the_native_status) {
  EXPECT_EQ(error(errc::backend_failure, {.native = -25}).message(), "backend_failure: native status -25");
  EXPECT_EQ(error(errc::backend_failure, {.item = 3, .native = 11}).message(), "backend_failure: item 3, native status 11");
}

TEST(error, message_ends_with_the_remedy) {
  EXPECT_EQ(error(errc::buffer_too_small, {.needed = 2, .available = 1, .what = "pass a larger target"}).message(),
            "buffer_too_small: needs 2, has 1: pass a larger target");
  EXPECT_EQ(error(errc::invalid_argument, {.what = "no slots"}).message(), "invalid_argument: no slots");
}

TEST(error, message_holds_the_largest_numbers) {
  const std::uint64_t largest = lading::error_details::unset - 1;  // unset itself cannot be told
  EXPECT_EQ(error(errc::size_overflow, {.needed = largest, .available = 0xFFFFFFFF}).message(),
            "size_overflow: needs 18446744073709551614, has 4294967295");
  EXPECT_EQ(error(errc::size_overflow, {.needed = lading::error_details::unset}).message(), "size_overflow");
}

TEST(error, keeps_what_it_was_given) {
  constexpr error failed(errc::peer_lost, {.needed = 1, .available = 2, .offset = 3, .item = 4, .native = 5, .what = "six"});
  static_assert(failed.code() == errc::peer_lost && failed.native() == 5 && failed.details().item == 4);
  EXPECT_EQ(failed.details().needed, 1U);
  EXPECT_EQ(failed.details().available, 2U);
  EXPECT_EQ(failed.details().offset, 3U);
  EXPECT_STREQ(failed.details().what, "six");
}

TEST(error, with_offset_keeps_an_offset_that_is_known) {
  constexpr error bare(errc::invalid_value, {.what = "no"});
  EXPECT_EQ(bare.with_offset(6).message(), "invalid_value: at offset 6: no");
  EXPECT_EQ(bare.with_offset(6).with_offset(7).details().offset, 6U);
}

TEST(error, with_item_changes_the_item_alone) {
  constexpr error failed(errc::truncated, {.needed = 8, .available = 7, .offset = 64, .what = "cut short"});
  constexpr error of_third = failed.with_item(2);
  static_assert(of_third.details().item == 2 && failed.details().item == lading::error_details::unset);
  EXPECT_EQ(of_third.message(), "truncated: needs 8, has 7, at offset 64, item 2: cut short");
  EXPECT_EQ(failed.message(), "truncated: needs 8, has 7, at offset 64: cut short");
}

TEST(error, compares_by_code_in_either_order) {
  constexpr error failed(errc::busy, {.item = 1});
  static_assert(failed == errc::busy && errc::busy == failed && failed != errc::closed);
  static_assert(failed == error(errc::busy, {.item = 2}) && failed != error(errc::closed, {.item = 1}));
  EXPECT_EQ(failed, errc::busy);
  EXPECT_NE(failed, errc::closed);
}

TEST(error, travels_in_registers_and_memory) {
  static_assert(std::is_trivially_copyable_v<error> && std::is_nothrow_copy_constructible_v<error>);
  static_assert(sizeof(error) <= 64);
  static_assert(std::is_convertible_v<errc, error>, "a code alone is an error");
  const error failed = errc::closed;
  EXPECT_EQ(failed.native(), 0);
}

}  // namespace
