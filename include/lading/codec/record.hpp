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
  if constexpr (!Wire::fixed)
    return false;
  else if constexpr (!Wire::image)
    return false;
  else
    return Wire::dense;
}

template <class T>
inline constexpr bool dense = is_dense<T>();

/// The wire bytes of a T are all numbers: no padding, no bools. Says nothing of the host's object; a sequence of these may be a frame.
template <class T>
consteval bool is_solid() {
  if constexpr (!wire_of<T>::fixed)
    return false;
  else
    return wire_of<T>::solid;
}

template <class T>
inline constexpr bool solid = is_solid<T>();

/// Copied whole, perhaps under a mask.
template <class T>
consteval bool is_whole() {
  using Wire = wire_of<T>;
  if constexpr (!Wire::fixed)
    return false;
  else if constexpr (!Wire::image)
    return false;
  else
    return Wire::dense || sizeof(T) <= max_masked_size;
}

template <class T>
inline constexpr bool whole = is_whole<T>();

/// Whether the compiler laid T out as the wire format does. Sizes are compared at compile time, but alignas on a field can still move it, which
/// only addresses show: they are taken from an object that is never read. Folds to a constant.
template <class T>
LADING_ALWAYS_INLINE bool layout_matches() noexcept {
  if constexpr (is_product<T>) {
    alignas(T) static unsigned char stand_in[sizeof(T)];  // not const: without optimisation it costs no space in the file
    // Safety: aggregates are implicit-lifetime types, so the array holds one; only addresses of its fields are used.
    return wire_of<T>::offsets_match(*reinterpret_cast<const T*>(stand_in));
  } else if constexpr (kind_of<std::remove_cv_t<T>>() == kind::array) {
    return layout_matches<typename wire_of<T>::element>();
  } else {
    return true;
  }
}

#if defined(__GNUC__) || defined(__clang__)
using wide_word = std::uint64_t __attribute__((vector_size(32)));
template <class Word>
struct __attribute__((packed, may_alias)) word_anywhere {
  Word bits;
};
#else
using wide_word = std::uint64_t;
#endif

/// The word of `size` bytes, once: from std::memcpy a compiler may make two reads, one to check and one to copy.
template <class Word>
LADING_ALWAYS_INLINE void read_word(Word& bits, const std::byte* from, std::size_t size) noexcept {
#if defined(__GNUC__) || defined(__clang__)
  if (size == sizeof(Word)) {
    bits = reinterpret_cast<const volatile word_anywhere<Word>*>(from)->bits;  // Safety: packed and may_alias, so any bytes at any address
    return;
  }
#endif
  bits = Word{};
  std::memcpy(&bits, from, size);
}

/// Whole objects under their mask, in words as wide as fit: 32 bytes, then 8, then what is left.
template <class T>
struct masked {
  static constexpr auto mask = wire_mask<T>();

  LADING_ALWAYS_INLINE static void copy(std::byte* to, const void* from) noexcept {
    const auto* source = static_cast<const std::byte*>(from);
    for_each_word([&]<class Word>(std::size_t at, std::size_t size) LADING_FLATTEN_LAMBDA {
      Word bits{}, allowed;
      std::memcpy(&bits, source + at, size);
      std::memcpy(&allowed, mask.data() + at, sizeof(Word));
      bits &= allowed;
      std::memcpy(to + at, &bits, size);
    });
  }

  /// Copies and checks in one go: each word is read once, so that what was checked is what arrives, whoever writes the source meanwhile.
  [[nodiscard]] LADING_ALWAYS_INLINE static bool load(void* to, const std::byte* from) noexcept {
    auto* target = static_cast<std::byte*>(to);
    return check(from, [&](const auto& bits, std::size_t at, std::size_t size) LADING_FLATTEN_LAMBDA { std::memcpy(target + at, &bits, size); });
  }

  [[nodiscard]] LADING_ALWAYS_INLINE static bool valid(const std::byte* from) noexcept {
    return check(from, [](const auto&, std::size_t, std::size_t) LADING_FLATTEN_LAMBDA {});
  }

 private:
  /// Whether the words at `from` have no bit that the mask forbids. Each is handed to use(word, at, size) as it was read.
  template <class Use>
  [[nodiscard]] LADING_ALWAYS_INLINE static bool check(const std::byte* from, Use&& use) noexcept {
    wide_word wide_stray{};
    std::uint64_t stray = 0;
    for_each_word([&]<class Word>(std::size_t at, std::size_t size) LADING_FLATTEN_LAMBDA {
      Word bits, allowed;
      read_word(bits, from + at, size);
      use(bits, at, size);
      std::memcpy(&allowed, mask.data() + at, sizeof(Word));
      if constexpr (sizeof(Word) == sizeof(wide_word))
        wide_stray |= bits & ~allowed;
      else
        stray |= bits & ~allowed;
    });
    return stray == 0 && is_zero(wide_stray);
  }

  [[nodiscard]] LADING_ALWAYS_INLINE static bool is_zero(const wide_word& bits) noexcept {
    std::uint64_t lanes[sizeof(wide_word) / 8], any = 0;
    std::memcpy(lanes, &bits, sizeof(wide_word));
    for (const std::uint64_t lane : lanes) any |= lane;
    return any == 0;
  }

  template <class Use>
  LADING_ALWAYS_INLINE static void for_each_word(Use&& use) noexcept {
    constexpr std::size_t object = sizeof(T), wides = object / sizeof(wide_word), rest = wides * sizeof(wide_word), words = (object - rest) / 8,
                          tail = object % 8;
    [&]<std::size_t... Index>(std::index_sequence<Index...>) LADING_FLATTEN_LAMBDA {
      (use.template operator()<wide_word>(Index * sizeof(wide_word), sizeof(wide_word)), ...);
    }(std::make_index_sequence<wides>{});
    [&]<std::size_t... Index>(std::index_sequence<Index...>)
        LADING_FLATTEN_LAMBDA { (use.template operator()<std::uint64_t>(rest + Index * 8, 8), ...); }(std::make_index_sequence<words>{});
    if constexpr (tail != 0) use.template operator()<std::uint64_t>(rest + words * 8, tail);
  }
};

/// Whether the bytes of a whole T are those of a value.
template <class T>
[[nodiscard]] LADING_ALWAYS_INLINE bool all_valid(const std::byte* from) noexcept {
  if constexpr (wire_of<T>::dense)
    return true;
  else
    return masked<T>::valid(from);
}

/// Copies the bytes of a whole T. False where they are no value's: nobody may then look at `value`.
template <class T>
[[nodiscard]] LADING_ALWAYS_INLINE bool copy_whole(const std::byte* from, T& value) noexcept {
  // Safety: whole implies trivially copyable, and what no value sets is found before anyone can look.
  if constexpr (wire_of<T>::dense) {
    std::memcpy(static_cast<void*>(__builtin_addressof(value)), from, sizeof(T));
    return true;
  } else {
    return masked<T>::load(__builtin_addressof(value), from);
  }
}

/// The same; where the bytes are no value's, `value` is zeros.
template <class T>
[[nodiscard]] LADING_ALWAYS_INLINE bool load_whole(const std::byte* from, T& value) noexcept {
  if (copy_whole(from, value)) [[likely]]
    return true;
  std::memset(static_cast<void*>(__builtin_addressof(value)), 0, sizeof(T));
  return false;
}

/// Writes a fixed-size value; the caller has made sure of wire_size bytes.
template <class T>
LADING_ALWAYS_INLINE void store_fixed(std::byte* to, const T& value) noexcept(noexcept(wire_of<T>::store(to, value))) {
  using Wire = wire_of<T>;
  if constexpr (whole<T>) {
    if (layout_matches<T>()) [[likely]] {
      if constexpr (Wire::dense)
        std::memcpy(to, __builtin_addressof(value), sizeof(T));
      else
        masked<T>::copy(to, __builtin_addressof(value));
      return;
    }
  }
  Wire::store(to, value);
}

/// Reads a fixed-size value; the caller has made sure of wire_size bytes. False: no value has these bytes, and `value` is unspecified but valid.
template <class T>
[[nodiscard]] LADING_ALWAYS_INLINE bool load_fixed(const std::byte* from, const reader& in, T& value) {
  using Wire = wire_of<T>;
  static_assert(!std::is_const_v<T>,
                "lading: a const or reference field cannot be decoded: make it a plain value, or map the type with lading::codec<T>");
  if constexpr (whole<T>) {
    if (layout_matches<T>()) [[likely]] {
      return load_whole(from, value);
    }
  }
  return Wire::load(from, in, value);
}

}  // namespace lading::detail
