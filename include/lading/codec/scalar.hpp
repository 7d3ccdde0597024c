// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include <lading/codec/record.hpp>
#include <lading/core/endian.hpp>

// bool, numbers, enumerations, std::complex, std::bitset, std::chrono durations and time points.

namespace lading::detail {

/// Bytes of T that carry its value: all, but for the x87 format, whose object is padded.
template <class T>
consteval std::size_t value_bytes() {
  if constexpr (std::is_same_v<T, long double> && std::numeric_limits<T>::digits == 64)
    return 10;
  else
    return sizeof(T);
}

/// Integers, floating point and characters: little-endian, as wide as they are here. A type whose width differs between hosts (long, wchar_t,
/// long double) differs in its schema as well.
template <class T>
struct wire<T, kind::number> {
  using parts = type_list<>;
  static constexpr bool fixed = true;
  static constexpr std::size_t wire_size = sizeof(T);
  static constexpr std::size_t wire_align = sizeof(T) < 16 ? sizeof(T) : 16;
  static constexpr bool image = little_endian_host && alignof(T) <= wire_align;
  static constexpr bool dense = value_bytes<T>() == sizeof(T), solid = dense;
  static_assert((sizeof(T) & (sizeof(T) - 1)) == 0, "lading: numbers of this width have no wire format: use a standard width");

  static constexpr char letter() noexcept {
    if constexpr (std::is_same_v<T, char> || std::is_same_v<T, char8_t> || std::is_same_v<T, char16_t> || std::is_same_v<T, char32_t> ||
                  std::is_same_v<T, wchar_t>) {
      return 'c';
    } else if constexpr (std::is_floating_point_v<T>) {
      return sizeof(T) == 16 ? (std::numeric_limits<T>::digits == 64 ? 'x' : 'q') : 'f';
    } else {
      return static_cast<T>(-1) < static_cast<T>(0) ? 'i' : 'u';
    }
  }
  static consteval void tag(auto& hash) {
    hash.add(letter());
    hash.add(static_cast<char>(sizeof(T)));
  }
  static constexpr void mask(unsigned char* bytes) noexcept {
    for (std::size_t i = 0; i < value_bytes<T>(); ++i) bytes[i] = 0xff;
  }
  LADING_ALWAYS_INLINE static void store(std::byte* to, const T& value) noexcept {
    if constexpr (dense) {
      store_little(to, value);
    } else {
      std::memcpy(to, &value, value_bytes<T>());
      std::memset(to + value_bytes<T>(), 0, sizeof(T) - value_bytes<T>());
    }
  }
  LADING_ALWAYS_INLINE static bool load(const std::byte* from, const reader&, T& value) noexcept {
    if constexpr (!dense) {
      for (std::size_t i = value_bytes<T>(); i < sizeof(T); ++i) {
        if (from[i] != std::byte{0}) return false;
      }
    }
    value = load_little<T>(from);
    return true;
  }
};

template <>
struct wire<bool, kind::boolean> {
  using parts = type_list<>;
  static constexpr bool fixed = true;
  static constexpr std::size_t wire_size = 1, wire_align = 1;
  static constexpr bool image = sizeof(bool) == 1, dense = false, solid = false;
  static consteval void tag(auto& hash) { hash.add('b'); }
  static constexpr void mask(unsigned char* bytes) noexcept { bytes[0] = 1; }
  LADING_ALWAYS_INLINE static void store(std::byte* to, bool value) noexcept { *to = static_cast<std::byte>(value); }
  LADING_ALWAYS_INLINE static bool load(const std::byte* from, const reader&, bool& value) noexcept {
    if (static_cast<unsigned char>(*from) > 1) return false;
    value = *from != std::byte{0};
    return true;
  }
};

/// An enumeration is its underlying integer; every value of that integer is accepted. Map it with lading::codec<T> to accept fewer.
template <class T>
struct wire<T, kind::enumeration> : wire<std::underlying_type_t<T>> {
  using underlying = std::underlying_type_t<T>;
  static_assert(
      requires { T{underlying{}}; },
      "lading: an enum without a fixed underlying type cannot hold every number a peer may send: write enum name : std::uint8_t");
  LADING_ALWAYS_INLINE static void store(std::byte* to, const T& value) noexcept { wire<underlying>::store(to, static_cast<underlying>(value)); }
  LADING_ALWAYS_INLINE static bool load(const std::byte* from, const reader& in, T& value) noexcept {
    underlying number;
    if (!wire<underlying>::load(from, in, number)) return false;
    value = static_cast<T>(number);
    return true;
  }
};

/// Real part, imaginary part: an array of two numbers.
template <class T>
struct wire<T, kind::complex> {
  using number = typename T::value_type;
  using parts = type_list<number>;
  static constexpr bool fixed = true;
  static constexpr std::size_t wire_size = 2 * sizeof(number), wire_align = wire<number>::wire_align;
  static constexpr bool image = wire<number>::image && std::is_trivially_copyable_v<T>, dense = wire<number>::dense, solid = dense;
  static consteval void tag(auto& hash) {
    hash.add('a');
    hash.add_number(2);
  }
  static constexpr void mask(unsigned char* bytes) noexcept {
    wire<number>::mask(bytes);
    wire<number>::mask(bytes + sizeof(number));
  }
  static void store(std::byte* to, const T& value) noexcept {
    wire<number>::store(to, value.real());
    wire<number>::store(to + sizeof(number), value.imag());
  }
  static bool load(const std::byte* from, const reader& in, T& value) noexcept {
    number real, imaginary;
    if (!wire<number>::load(from, in, real) || !wire<number>::load(from + sizeof(number), in, imaginary)) return false;
    value = T(real, imaginary);
    return true;
  }
};

/// Bit i is bit i % 8 of byte i / 8; unused bits are zero.
template <class T>
struct wire<T, kind::bitset> {
  using parts = type_list<>;
  static constexpr std::size_t bits = T{}.size();
  static constexpr bool fixed = true, image = false, dense = false, solid = false;
  static constexpr std::size_t wire_size = (bits + 7) / 8, wire_align = 1;
  static consteval void tag(auto& hash) {
    hash.add('B');
    hash.add_number(bits);
  }
  static constexpr void mask(unsigned char*) noexcept {}
  static void store(std::byte* to, const T& value) noexcept {
    if constexpr (wire_size != 0) std::memset(to, 0, wire_size);  // without bits `to` may be null
    for (std::size_t i = 0; i < bits; ++i) to[i / 8] |= static_cast<std::byte>(static_cast<unsigned>(value[i]) << (i % 8));
  }
  static bool load(const std::byte* from, const reader&, T& value) noexcept {
    for (std::size_t i = 0; i < bits; ++i) value.set(i, (from[i / 8] >> (i % 8) & std::byte{1}) != std::byte{0});
    if constexpr (bits % 8 != 0)
      return (from[wire_size - 1] >> (bits % 8)) == std::byte{0};
    else
      return true;
  }
};

/// The count of ticks; the period is part of the schema, so seconds are not read as milliseconds.
template <class T>
struct wire<T, kind::duration> : wire<typename T::rep> {
  using rep = typename T::rep;
  static constexpr bool image = wire<rep>::image && std::is_trivially_copyable_v<T> && sizeof(T) == sizeof(rep);
  static consteval void tag(auto& hash) {
    hash.add('d');
    hash.add_number(static_cast<std::uint64_t>(T::period::num));
    hash.add_number(static_cast<std::uint64_t>(T::period::den));
    wire<rep>::tag(hash);
  }
  static void store(std::byte* to, const T& value) noexcept { wire<rep>::store(to, value.count()); }
  static bool load(const std::byte* from, const reader& in, T& value) noexcept {
    rep ticks;
    if (!wire<rep>::load(from, in, ticks)) return false;
    value = T(ticks);
    return true;
  }
};

/// The duration since the clock's epoch. Which clock is not part of the format: only the system clock's epoch means something elsewhere.
template <class T>
struct wire<T, kind::time_point> : wire<typename T::duration> {
  using duration = typename T::duration;
  static constexpr bool image = wire<duration>::image && std::is_trivially_copyable_v<T> && sizeof(T) == sizeof(duration);
  static consteval void tag(auto& hash) {
    hash.add('t');
    wire<duration>::tag(hash);
  }
  static void store(std::byte* to, const T& value) noexcept { wire<duration>::store(to, value.time_since_epoch()); }
  static bool load(const std::byte* from, const reader& in, T& value) noexcept {
    duration elapsed;
    if (!wire<duration>::load(from, in, elapsed)) return false;
    value = T(elapsed);
    return true;
  }
};

}  // namespace lading::detail
