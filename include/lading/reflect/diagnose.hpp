// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include <lading/reflect/arity.hpp>

namespace lading::detail {

/// Dates and times of day of std::chrono, without its header.
template <class T>
concept calendar_shaped = requires(const T& value) { value.to_duration().count(); } || requires(const T& value) {
  value.ok();
  requires requires { (value - value).count(); } || requires { value.month(); } || requires { value.weekday(); };
};

/// Says in one sentence why T has no encoding and what to do instead, the most specific reason first. Always false after it has spoken.
template <class T>
consteval bool diagnose_unknown() {
  if constexpr (std::is_reference_v<T>) {
    static_assert(!std::is_reference_v<T>,
                  "lading: references have no owner after decoding: hold a value, std::unique_ptr, std::string_view or std::span");
  } else if constexpr (std::is_function_v<std::remove_pointer_t<T>> || std::is_member_pointer_v<T>) {
    static_assert(!std::is_same_v<T, T>, "lading: functions and member pointers mean nothing in another process: send a name or a number");
  } else if constexpr (std::is_pointer_v<T>) {
    static_assert(!std::is_pointer_v<T>,
                  "lading: raw pointers have no owner and no length: use std::unique_ptr, std::optional, std::string_view or std::span");
  } else if constexpr (std::is_union_v<T>) {
    static_assert(!std::is_union_v<T>, "lading: a union does not say which member is alive: use std::variant");
  } else if constexpr (std::is_volatile_v<T>) {
    static_assert(!std::is_volatile_v<T>, "lading: volatile objects cannot be copied as bytes: copy the value to a plain one first");
  } else if constexpr (requires(T& value) {
                         typename T::element_type;
                         value.use_count();
                       }) {
    static_assert(!std::is_same_v<T, T>, "lading: shared ownership is not encoded: use std::unique_ptr, or map the type with lading::codec<T>");
  } else if constexpr (std::is_polymorphic_v<T>) {
    static_assert(!std::is_polymorphic_v<T>, "lading: polymorphic types are not encoded: use std::variant, or map the type with lading::codec<T>");
  } else if constexpr (calendar_shaped<T>) {
    static_assert(!std::is_same_v<T, T>,
                  "lading: include lading/codec/calendar.hpp to encode std::chrono's day, month, year, weekday, month_day, year_month and "
                  "year_month_day; send other dates as time points, hh_mm_ss as its to_duration()");
  } else {
    static_assert(
        !std::is_same_v<T, T>,
        "lading: no encoding for this type: make it an aggregate (no private fields, constructors or bases), or map it with lading::codec<T>");
  }
  return false;
}

/// Says in one sentence why an aggregate cannot be taken apart; true where it can.
template <class T>
consteval bool diagnose_aggregate() {
  static_assert(!has_base<T>,
                "lading: an aggregate with a base class cannot be taken apart: make the base a member, or map the type with lading::codec<T>");
  static_assert(!has_reference<T>, "lading: references have no owner after decoding: hold a value, std::unique_ptr, std::string_view or std::span");
  static_assert(has_base<T> || std::is_empty_v<T> || field_count<T> != 0,
                "lading: the fields of this aggregate cannot be counted: specialise lading::field_count<T>, or map the type with lading::codec<T>");
  return true;
}

}  // namespace lading::detail
