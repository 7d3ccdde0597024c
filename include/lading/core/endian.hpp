// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include <lading/core/config.hpp>

namespace lading {

static_assert(std::endian::native == std::endian::little || std::endian::native == std::endian::big, "lading: mixed-endian hosts are not supported");

namespace detail {

inline constexpr bool little_endian_host = std::endian::native == std::endian::little;

/// Loads a trivially copyable number stored in little-endian order at any address.
template <class Number>
[[nodiscard]] LADING_ALWAYS_INLINE Number load_little(const void* source) noexcept {
  static_assert(std::is_trivially_copyable_v<Number>);
  Number value;
  if constexpr (little_endian_host || sizeof(Number) == 1) {
    std::memcpy(&value, source, sizeof(Number));
  } else {
    std::byte swapped[sizeof(Number)];
    for (std::size_t i = 0; i < sizeof(Number); ++i) swapped[i] = static_cast<const std::byte*>(source)[sizeof(Number) - 1 - i];
    std::memcpy(&value, swapped, sizeof(Number));
  }
  return value;
}

/// Stores a trivially copyable number in little-endian order at any address.
template <class Number>
LADING_ALWAYS_INLINE void store_little(void* target, Number value) noexcept {
  static_assert(std::is_trivially_copyable_v<Number>);
  if constexpr (little_endian_host || sizeof(Number) == 1) {
    std::memcpy(target, &value, sizeof(Number));
  } else {
    std::byte swapped[sizeof(Number)];
    std::memcpy(swapped, &value, sizeof(Number));
    for (std::size_t i = 0; i < sizeof(Number); ++i) static_cast<std::byte*>(target)[i] = swapped[sizeof(Number) - 1 - i];
  }
}

}  // namespace detail
}  // namespace lading
