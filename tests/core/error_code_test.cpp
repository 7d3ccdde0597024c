// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/core/error_code.hpp>

#include <string_view>
#include <system_error>
#include <type_traits>

#include <gtest/gtest.h>

namespace {

using lading::errc;

static_assert(std::is_error_code_enum_v<errc> && !std::is_error_condition_enum_v<errc>);

TEST(error_code, converts_from_a_code_and_from_an_error) {
  const std::error_code code = errc::truncated;
  EXPECT_EQ(code.value(), 16);
  EXPECT_TRUE(code);
  EXPECT_EQ(code, make_error_code(errc::truncated));
  EXPECT_EQ(code, make_error_code(lading::error(errc::truncated, {.item = 3})));
  EXPECT_EQ(code, errc::truncated);
  EXPECT_NE(code, errc::trailing_bytes);
}

TEST(error_code, has_one_category_of_its_own) {
  const std::error_code code = errc::bad_magic;
  EXPECT_EQ(&code.category(), &lading::error_category());
  EXPECT_STREQ(code.category().name(), "lading");
  EXPECT_EQ(code.message(), "bad_magic");
  EXPECT_NE(code, std::error_code(code.value(), std::generic_category()));
}

TEST(error_code, messages_are_the_names) {
  for (int number = 1; number < 200; ++number) {
    EXPECT_EQ(std::error_code(number, lading::error_category()).message(), lading::name_of(static_cast<errc>(number))) << number;
  }
}

TEST(error_code, means_what_the_system_means_where_it_has_a_word) {
  EXPECT_EQ(make_error_code(errc::buffer_too_small), std::errc::no_buffer_space);
  EXPECT_EQ(make_error_code(errc::size_overflow), std::errc::value_too_large);
  EXPECT_EQ(make_error_code(errc::no_memory), std::errc::not_enough_memory);
  EXPECT_EQ(make_error_code(errc::invalid_argument), std::errc::invalid_argument);
  EXPECT_EQ(make_error_code(errc::timed_out), std::errc::timed_out);
  EXPECT_EQ(make_error_code(errc::cancelled), std::errc::operation_canceled);
  EXPECT_EQ(make_error_code(errc::would_block), std::errc::operation_would_block);
  EXPECT_EQ(make_error_code(errc::busy), std::errc::device_or_resource_busy);
  EXPECT_EQ(make_error_code(errc::unsupported), std::errc::not_supported);
  EXPECT_EQ(make_error_code(errc::peer_lost), std::errc::connection_reset);
  EXPECT_EQ(make_error_code(errc::out_of_range), std::errc::result_out_of_range);
  EXPECT_EQ(make_error_code(errc::no_space), std::errc::no_space_on_device);
  EXPECT_EQ(make_error_code(errc::already_exists), std::errc::file_exists);
}

TEST(error_code, means_only_itself_where_the_system_has_no_word) {
  const std::error_code code = errc::checksum_mismatch;
  EXPECT_EQ(code.default_error_condition().category(), lading::error_category());
  EXPECT_EQ(code.default_error_condition().value(), code.value());
  EXPECT_NE(code, std::errc::invalid_argument);
  EXPECT_NE(make_error_code(errc::truncated), std::errc::timed_out);
}

}  // namespace
