// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include <lading/codec/hooked.hpp>

// Dates of std::chrono: day, month, year, weekday, month_day, year_month, year_month_day, as small numbers. Durations and time points need no header. Every value
// comes back as it was, whether or not the calendar has it (ok()). A std::chrono::hh_mm_ss travels as its to_duration().

namespace lading {
namespace detail {

struct wire_month_day {
  std::uint8_t month, day;
};
struct wire_year_month {
  std::int16_t year;
  std::uint8_t month;
};
struct wire_date {
  std::int16_t year;
  std::uint8_t month, day;
};

inline std::uint8_t number_of(std::chrono::day day) noexcept { return static_cast<std::uint8_t>(static_cast<unsigned>(day)); }
inline std::uint8_t number_of(std::chrono::month month) noexcept { return static_cast<std::uint8_t>(static_cast<unsigned>(month)); }
inline std::int16_t number_of(std::chrono::year year) noexcept { return static_cast<std::int16_t>(static_cast<int>(year)); }

}  // namespace detail

template <>
struct codec<std::chrono::day> {
  static std::uint8_t to(const std::chrono::day& value) noexcept { return detail::number_of(value); }
  static result<std::chrono::day> from(std::uint8_t number) noexcept { return std::chrono::day(number); }
};

template <>
struct codec<std::chrono::month> {
  static std::uint8_t to(const std::chrono::month& value) noexcept { return detail::number_of(value); }
  static result<std::chrono::month> from(std::uint8_t number) noexcept { return std::chrono::month(number); }
};

template <>
struct codec<std::chrono::year> {
  static std::int16_t to(const std::chrono::year& value) noexcept { return detail::number_of(value); }
  static result<std::chrono::year> from(std::int16_t number) noexcept { return std::chrono::year(number); }
};

/// 0 is Sunday.
template <>
struct codec<std::chrono::weekday> {
  static std::uint8_t to(const std::chrono::weekday& value) noexcept { return static_cast<std::uint8_t>(value.c_encoding()); }
  static result<std::chrono::weekday> from(std::uint8_t number) noexcept {
    if (number == 7) return fail(errc::not_canonical, {.what = "Sunday is 0, not 7"});
    return std::chrono::weekday(number);
  }
};

template <>
struct codec<std::chrono::month_day> {
  static detail::wire_month_day to(const std::chrono::month_day& value) noexcept {
    return {detail::number_of(value.month()), detail::number_of(value.day())};
  }
  static result<std::chrono::month_day> from(detail::wire_month_day parts) noexcept {
    return std::chrono::month_day(std::chrono::month(parts.month), std::chrono::day(parts.day));
  }
};

template <>
struct codec<std::chrono::year_month> {
  static detail::wire_year_month to(const std::chrono::year_month& value) noexcept {
    return {detail::number_of(value.year()), detail::number_of(value.month())};
  }
  static result<std::chrono::year_month> from(detail::wire_year_month parts) noexcept {
    return std::chrono::year_month(std::chrono::year(parts.year), std::chrono::month(parts.month));
  }
};

template <>
struct codec<std::chrono::year_month_day> {
  static detail::wire_date to(const std::chrono::year_month_day& value) noexcept {
    return {detail::number_of(value.year()), detail::number_of(value.month()), detail::number_of(value.day())};
  }
  static result<std::chrono::year_month_day> from(detail::wire_date parts) noexcept {
    return std::chrono::year_month_day(std::chrono::year(parts.year), std::chrono::month(parts.month), std::chrono::day(parts.day));
  }
};

}  // namespace lading
