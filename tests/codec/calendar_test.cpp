// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/calendar.hpp>

#include <chrono>
#include <cstdint>
#include <tuple>

#include <gtest/gtest.h>

#include <lading/codec/schema.hpp>

#include "support/codec_checks.hpp"

namespace calendar_test {
namespace {

using namespace std::chrono;
using lading_test::from_hex;
using lading_test::hex_of;

struct day_of_work {
  year_month_day date;
  weekday name;
  month_day birthday;
  year_month paid;
  friend bool operator==(const day_of_work&, const day_of_work&) = default;
};

TEST(calendar, has_the_documented_bytes) {
  EXPECT_EQ(hex_of(day(31)), "1f");
  EXPECT_EQ(hex_of(month(12)), "0c");
  EXPECT_EQ(hex_of(year(-2)), "feff");
  EXPECT_EQ(hex_of(Sunday), "00");
  EXPECT_EQ(hex_of(Saturday), "06");
  EXPECT_EQ(hex_of(February / 29), "021d");
  EXPECT_EQ(hex_of(2026y / November), "ea070b00");
  EXPECT_EQ(hex_of(2026y / November / 21), "ea070b15");
}

TEST(calendar, comes_back_in_any_place) {
  const day_of_work value{2026y / November / 21, Saturday, February / 29, 2026y / December};
  lading_test::check_value(value, {1y / January / 1, Monday, January / 1, 1y / January});
}

TEST(calendar, keeps_dates_that_no_calendar_has) {
  const year_month_day value = year(-32768) / month(255) / day(0);
  ASSERT_FALSE(value.ok());
  EXPECT_EQ(lading::decode_from<year_month_day>(lading_test::stream_of(value)), value);
  EXPECT_EQ(lading::decode_from<weekday>(from_hex("09")), weekday(9));
}

TEST(calendar, refuses_a_second_number_for_sunday) {
  EXPECT_EQ(lading::decode_from<weekday>(from_hex("00")), Sunday);
  const auto decoded = lading::decode_from<weekday>(from_hex("07"));
  ASSERT_FALSE(decoded.has_value());
  EXPECT_EQ(decoded.error().code(), lading::errc::not_canonical);
}

TEST(calendar, is_numbers_to_its_schema) {
  EXPECT_EQ(lading::schema_of<day>(), lading::schema_of<std::uint8_t>());
  EXPECT_EQ(lading::schema_of<year_month_day>(), (lading::schema_of<std::tuple<std::int16_t, std::uint8_t, std::uint8_t>>()));
}

}  // namespace
}  // namespace calendar_test
