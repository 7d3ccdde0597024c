// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <lading/codec/tensor/small_float.hpp>
#include <lading/core/result.hpp>

namespace lading {

/// What the elements of a tensor are; names as in torch, but for `boolean`, which is torch.bool.
///
/// The numbers are on the wire: none is ever changed or used again. Each family has a block of 16; 0 and the gaps are no dtype.
enum class dtype : std::uint8_t {
  boolean = 1,  ///< one byte, 0 or 1

  uint8 = 16,
  uint16 = 17,
  uint32 = 18,
  uint64 = 19,

  int8 = 32,
  int16 = 33,
  int32 = 34,
  int64 = 35,

  float16 = 48,
  float32 = 49,
  float64 = 50,
  bfloat16 = 51,

  float8_e4m3fn = 64,
  float8_e5m2 = 65,
  float8_e4m3fnuz = 66,
  float8_e5m2fnuz = 67,
  float8_e8m0fnu = 68,
  float4_e2m1fn_x2 = 69,  ///< one byte is one element, and holds two numbers

  complex32 = 80,
  complex64 = 81,
  complex128 = 82,
};

namespace detail {

struct dtype_row {
  dtype type;
  std::uint8_t size;
  std::string_view name;
};

inline constexpr dtype_row dtype_rows[] = {
    {dtype::boolean, 1, "bool"},
    {dtype::uint8, 1, "uint8"},
    {dtype::uint16, 2, "uint16"},
    {dtype::uint32, 4, "uint32"},
    {dtype::uint64, 8, "uint64"},
    {dtype::int8, 1, "int8"},
    {dtype::int16, 2, "int16"},
    {dtype::int32, 4, "int32"},
    {dtype::int64, 8, "int64"},
    {dtype::float16, 2, "float16"},
    {dtype::float32, 4, "float32"},
    {dtype::float64, 8, "float64"},
    {dtype::bfloat16, 2, "bfloat16"},
    {dtype::float8_e4m3fn, 1, "float8_e4m3fn"},
    {dtype::float8_e5m2, 1, "float8_e5m2"},
    {dtype::float8_e4m3fnuz, 1, "float8_e4m3fnuz"},
    {dtype::float8_e5m2fnuz, 1, "float8_e5m2fnuz"},
    {dtype::float8_e8m0fnu, 1, "float8_e8m0fnu"},
    {dtype::float4_e2m1fn_x2, 1, "float4_e2m1fn_x2"},
    {dtype::complex32, 4, "complex32"},
    {dtype::complex64, 8, "complex64"},
    {dtype::complex128, 16, "complex128"},
};

/// Item sizes by number, 0 where there is no dtype: the check of a number and the look-up of its size are one load.
struct dtype_sizes {
  std::uint8_t by_number[256] = {};
  constexpr dtype_sizes() noexcept {
    for (const dtype_row& row : dtype_rows) by_number[static_cast<std::uint8_t>(row.type)] = row.size;
  }
};
inline constexpr dtype_sizes dtype_size_table{};

}  // namespace detail

/// Bytes of one element; 0 for a number that is no dtype.
[[nodiscard]] constexpr std::size_t item_size(dtype type) noexcept { return detail::dtype_size_table.by_number[static_cast<std::uint8_t>(type)]; }

/// Whether a number read from somewhere is a dtype.
[[nodiscard]] constexpr bool is_valid_dtype(std::uint8_t number) noexcept { return detail::dtype_size_table.by_number[number] != 0; }

/// The dtype of a number read from somewhere.
///
/// Errors: invalid_value.
[[nodiscard]] constexpr result<dtype> dtype_from_number(std::uint8_t number) noexcept {
  if (is_valid_dtype(number)) return static_cast<dtype>(number);
  return fail(errc::invalid_value, {.needed = number, .what = "no dtype has this number"});
}

/// The name that torch gives it, without "torch."; "unknown" for a number that is no dtype.
[[nodiscard]] constexpr std::string_view name_of(dtype type) noexcept {
  for (const detail::dtype_row& row : detail::dtype_rows) {
    if (row.type == type) return row.name;
  }
  return "unknown";
}

/// The dtype of torch's name for it, without "torch.".
///
/// Errors: invalid_value. Aliases such as "float" or "half" are not names: torch prints none of them.
[[nodiscard]] constexpr result<dtype> dtype_from_name(std::string_view name) noexcept {
  for (const detail::dtype_row& row : detail::dtype_rows) {
    if (row.name == name) return row.type;
  }
  return fail(errc::invalid_value, {.what = "no dtype has this name: use torch's, such as float32 or bool"});
}

namespace detail {

/// std::complex and its look-alikes, recognised by their shape so that nobody compiles <complex> for it.
template <class T>
concept complex_number = std::is_trivially_copyable_v<T> && requires(const T& value) {
  typename T::value_type;
  requires std::is_floating_point_v<typename T::value_type> && sizeof(T) == 2 * sizeof(typename T::value_type);
  { value.real() } -> std::convertible_to<typename T::value_type>;
  { value.imag() } -> std::convertible_to<typename T::value_type>;
};

template <class T, class... Candidates>
inline constexpr bool is_one_of = (std::is_same_v<T, Candidates> || ...);

/// 0 where T is no element. Characters are none: they are text, and the sign of char depends on the host.
template <class T>
consteval dtype find_dtype() {
  if constexpr (std::is_same_v<T, bool>) {
    static_assert(sizeof(bool) == 1, "lading: a bool of more than one byte has no dtype");
    return dtype::boolean;
  } else if constexpr (std::is_same_v<T, std::byte>) {
    return dtype::uint8;
  } else if constexpr (std::is_integral_v<T> && !is_one_of<T, char, wchar_t, char8_t, char16_t, char32_t>) {
    constexpr bool is_signed = std::is_signed_v<T>;
    if (sizeof(T) == 1) return is_signed ? dtype::int8 : dtype::uint8;
    if (sizeof(T) == 2) return is_signed ? dtype::int16 : dtype::uint16;
    if (sizeof(T) == 4) return is_signed ? dtype::int32 : dtype::uint32;
    if (sizeof(T) == 8) return is_signed ? dtype::int64 : dtype::uint64;
    return dtype{};
  } else if constexpr (std::is_same_v<T, float>) {
    return dtype::float32;
  } else if constexpr (std::is_same_v<T, double>) {
    return dtype::float64;
  } else if constexpr (complex_number<T>) {
    if (sizeof(T) == 8) return dtype::complex64;
    if (sizeof(T) == 16) return dtype::complex128;
    return dtype{};
  } else if constexpr (std::is_same_v<T, float16>) {
    return dtype::float16;
  } else if constexpr (std::is_same_v<T, bfloat16>) {
    return dtype::bfloat16;
  } else if constexpr (std::is_same_v<T, float8_e4m3fn>) {
    return dtype::float8_e4m3fn;
  } else if constexpr (std::is_same_v<T, float8_e5m2>) {
    return dtype::float8_e5m2;
  } else if constexpr (std::is_same_v<T, float8_e4m3fnuz>) {
    return dtype::float8_e4m3fnuz;
  } else if constexpr (std::is_same_v<T, float8_e5m2fnuz>) {
    return dtype::float8_e5m2fnuz;
  } else if constexpr (std::is_same_v<T, float8_e8m0fnu>) {
    return dtype::float8_e8m0fnu;
  } else if constexpr (std::is_same_v<T, float4_e2m1fn_x2>) {
    return dtype::float4_e2m1fn_x2;
  } else if constexpr (std::is_same_v<T, complex32>) {
    return dtype::complex32;
  } else {
    return dtype{};
  }
}

}  // namespace detail

/// A C++ type that a tensor can hold: bool, the integers, std::byte, float, double, std::complex of these, and the small floats above.
template <class T>
concept tensor_element = detail::find_dtype<std::remove_cv_t<T>>() != dtype{};

/// The dtype of a C++ type. A memory layout that is the same has the same dtype: long and long long are both int64.
template <tensor_element T>
inline constexpr dtype dtype_of = detail::find_dtype<std::remove_cv_t<T>>();

}  // namespace lading
