// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include <lading/codec/wire.hpp>
#include <lading/core/endian.hpp>

// Types of fixed size. Where the host's object bytes are the wire bytes they are copied whole; a mask, known at compile time, has a one
// for every bit that a value may set: it zeroes padding when writing, and when reading finds stray padding and bools that are not 0 or 1.

namespace lading::detail {

/// Objects up to this size are copied whole under their mask; larger ones go field by field, so that masks stay small.
inline constexpr std::size_t max_masked_size = 1024;

template <class T>
consteval auto wire_mask() {
  std::array<unsigned char, (sizeof(T) + 7) / 8 * 8> bytes{};
  wire_of<T>::mask(bytes.data());
  return bytes;
}

/// Every bit pattern of the object is a value: no padding, no bools.
template <class T>
consteval bool is_dense() {
  using Wire = wire_of<T>;
  if constexpr (!Wire::fixed) return false;
  else if constexpr (!Wire::image) return false;
  else return Wire::dense;
}

template <class T>
inline constexpr bool dense = is_dense<T>();

/// Copied whole, perhaps under a mask.
template <class T>
consteval bool is_whole() {
  using Wire = wire_of<T>;
  if constexpr (!Wire::fixed) return false;
  else if constexpr (!Wire::image) return false;
  else return Wire::dense || sizeof(T) <= max_masked_size;
}

template <class T>
inline constexpr bool whole = is_whole<T>();

/// Whether the compiler laid T out as the wire format does. Sizes are compared at compile time, but alignas on a field can still move it, which
/// only addresses show: they are taken from an object that is never read. Folds to a constant.
template <class T>
LADING_ALWAYS_INLINE bool layout_matches() noexcept {
  if constexpr (is_product<T>) {
    alignas(T) static constexpr unsigned char stand_in[sizeof(T)]{};
    // Safety: aggregates are implicit-lifetime types, so the array holds one; only addresses of its fields are used.
    return wire_of<T>::offsets_match(*reinterpret_cast<const T*>(stand_in));
  } else if constexpr (kind_of<std::remove_cv_t<T>>() == kind::array) {
    return layout_matches<typename wire_of<T>::element>();
  } else {
    return true;
  }
}

template <class T>
struct masked {
  static constexpr auto bytes = wire_mask<T>();
  static constexpr std::size_t words = sizeof(T) / 8, tail = sizeof(T) % 8;

  template <std::size_t Index>
  static consteval std::uint64_t word() {
    std::uint64_t mask = 0;
    for (std::size_t byte = 0; byte < 8; ++byte) {
      const std::size_t shift = little_endian_host ? byte : 7 - byte;
      mask |= static_cast<std::uint64_t>(bytes[Index * 8 + byte]) << (8 * shift);
    }
    return mask;
  }

  LADING_ALWAYS_INLINE static void copy(std::byte* to, const void* from) noexcept {
    const auto* source = static_cast<const std::byte*>(from);
    [&]<std::size_t... Index>(std::index_sequence<Index...>) LADING_FLATTEN_LAMBDA {
      (copy_word<Index>(to, source), ...);
    }(std::make_index_sequence<words>{});
    if constexpr (tail != 0) {
      std::uint64_t last = 0;
      std::memcpy(&last, source + words * 8, tail);
      last &= word<words>();
      std::memcpy(to + words * 8, &last, tail);
    }
  }

  [[nodiscard]] LADING_ALWAYS_INLINE static bool valid(const std::byte* from) noexcept {
    std::uint64_t stray = 0;
    [&]<std::size_t... Index>(std::index_sequence<Index...>) LADING_FLATTEN_LAMBDA {
      ((stray |= stray_bits<Index>(from)), ...);
    }(std::make_index_sequence<words>{});
    if constexpr (tail != 0) {
      std::uint64_t last = 0;
      std::memcpy(&last, from + words * 8, tail);
      stray |= last & ~word<words>();
    }
    return stray == 0;
  }

 private:
  template <std::size_t Index>
  LADING_ALWAYS_INLINE static void copy_word(std::byte* to, const std::byte* from) noexcept {
    std::uint64_t bits;
    std::memcpy(&bits, from + Index * 8, 8);
    bits &= word<Index>();
    std::memcpy(to + Index * 8, &bits, 8);
  }
  template <std::size_t Index>
  LADING_ALWAYS_INLINE static std::uint64_t stray_bits(const std::byte* from) noexcept {
    if constexpr (word<Index>() == ~std::uint64_t{0}) {
      return 0;
    } else {
      std::uint64_t bits;
      std::memcpy(&bits, from + Index * 8, 8);
      return bits & ~word<Index>();
    }
  }
};

/// Writes a fixed-size value; the caller has made sure of wire_size bytes.
template <class T>
LADING_ALWAYS_INLINE void store_fixed(std::byte* to, const T& value) noexcept(noexcept(wire_of<T>::store(to, value))) {
  using Wire = wire_of<T>;
  if constexpr (whole<T>) {
    if (layout_matches<T>()) [[likely]] {
      if constexpr (Wire::dense) std::memcpy(to, &value, sizeof(T));
      else masked<T>::copy(to, &value);
      return;
    }
  }
  Wire::store(to, value);
}

/// Reads a fixed-size value; the caller has made sure of wire_size bytes. False: no value has these bytes, and `value` is unspecified but valid.
template <class T>
[[nodiscard]] LADING_ALWAYS_INLINE bool load_fixed(const std::byte* from, const reader& in, T& value) {
  using Wire = wire_of<T>;
  static_assert(!std::is_const_v<T>, "lading: a const or reference field cannot be decoded: make it a plain value, or map the type with lading::codec<T>");
  if constexpr (whole<T>) {
    if (layout_matches<T>()) [[likely]] {
      if constexpr (!Wire::dense) {
        if (!masked<T>::valid(from)) [[unlikely]] return false;
      }
      // Safety: whole implies trivially copyable, and every bit of the mask may be set in a value.
      std::memcpy(static_cast<void*>(&value), from, sizeof(T));
      return true;
    }
  }
  return Wire::load(from, in, value);
}

}  // namespace lading::detail
