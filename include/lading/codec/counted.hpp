// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <lading/codec/dispatch.hpp>
#include <lading/core/endian.hpp>
#include <lading/memory/copy.hpp>

// The head that every counted thing has: a 32-bit count and, before elements of fixed size, zero bytes up to their natural alignment, counted from
// the start of the stream; there even when no elements follow, so that where they begin does not wait for the count.

namespace lading::detail {

inline constexpr std::size_t count_size = 4;

/// Zero bytes between a count that ends at `offset` and elements of this alignment.
template <std::size_t Align>
LADING_ALWAYS_INLINE constexpr std::size_t padding_at(std::size_t offset) noexcept {
  if constexpr (Align <= 1)
    return 0;
  else
    return (0 - offset) & (Align - 1);
}

/// The offset of the elements of a sequence that begins at `offset`.
template <std::size_t Align, class Planner>
LADING_ALWAYS_INLINE std::size_t measure_count(std::size_t offset, const Planner& plan, std::size_t count) {
  if (count > max_count) [[unlikely]] {
    plan.fail(errc::size_overflow, {.needed = count,
                                    .available = max_count,
                                    .offset = offset,
                                    .what = "more elements than a stream can count: encode() sends contiguous numbers as frames of any size"});
  }
  offset += count_size;
  return offset + padding_at<Align>(offset);
}

/// Writes the count and padding in front of `bytes` bytes of elements, for which there is room as well; returns where they go.
template <std::size_t Align, class Writer>
LADING_ALWAYS_INLINE std::byte* put_count(std::byte* at, const Writer& out, std::size_t count, std::size_t bytes) {
  if (count > max_count) [[unlikely]] {
    return out.fail(errc::size_overflow, {.needed = count,
                                          .available = max_count,
                                          .offset = static_cast<std::uint64_t>(at - out.begin),
                                          .what = "more elements than a stream can count: encode() sends contiguous numbers as frames of any size"});
  }
  const std::size_t padding = padding_at<Align>(static_cast<std::size_t>(at - out.begin) + count_size);
  if (out.room(at) < count_size + padding + bytes) [[unlikely]]
    return out.full(at);
  store_little(at, static_cast<std::uint32_t>(count));
  at += count_size;
  if constexpr (Align > 1) {
    if (bytes >= Align) [[likely]]
      std::memset(at, 0, Align);  // one store: the elements overwrite what is not padding
    else
      std::memset(at, 0, padding);
  }
  return at + padding;
}

/// Whether `padding` bytes are zero, given that at least `bytes` follow them, which are never fewer than Sure.
template <std::size_t Align, std::size_t Sure>
[[nodiscard]] LADING_ALWAYS_INLINE bool is_zero(const std::byte* at, std::size_t padding, std::size_t bytes) noexcept {
  if constexpr (Align <= 8) {
    if (Sure >= Align || bytes >= Align) [[likely]] {
      using word = std::conditional_t<Align == 2, std::uint16_t, std::conditional_t<Align == 4, std::uint32_t, std::uint64_t>>;
      // What follows makes a whole word readable; the padding is its low end.
      return (std::uint64_t{load_little<word>(at)} & ((std::uint64_t{1} << (8 * padding)) - 1)) == 0;
    }
  }
  for (std::size_t i = 0; i < padding; ++i) {
    if (at[i] != std::byte{0}) return false;
  }
  return true;
}

/// Reads a count, which the caller has made sure is there with Rest bytes behind it, and checks that so many elements of Least bytes, and Rest
/// bytes more, can follow. `count` may come back as out_of_band_mark, with nothing checked.
template <std::size_t Align, std::size_t Least, std::size_t Rest = 0>
[[nodiscard]] LADING_ALWAYS_INLINE const std::byte* get_count_within(const std::byte* at, const reader& in, std::uint32_t& count) {
  count = load_little<std::uint32_t>(at);
  at += count_size;
  if (count == out_of_band_mark) [[unlikely]]
    return at;
  if constexpr (Least == 0) {
    if (count > in.state->limits.max_empty_elements - in.state->empty_elements) [[unlikely]] {
      in.state->fail(errc::limit_exceeded, {.needed = count,
                                            .available = in.state->limits.max_empty_elements,
                                            .offset = in.offset(at) - count_size,
                                            .what = "more elements without bytes than decode_limits::max_empty_elements"});
      return nullptr;
    }
    in.state->empty_elements += count;
  } else {
    const std::size_t padding = padding_at<Align>(in.offset(at));
    const std::uint64_t bytes = std::uint64_t{count} * Least;
    if (in.left(at) < padding + bytes + Rest) [[unlikely]]
      return in.truncated(at, padding + bytes + Rest);
    if constexpr (Align > 1) {
      if (!is_zero<Align, Rest>(at, padding, bytes + Rest)) [[unlikely]]
        return in.fail(errc::not_canonical, at, "the padding before an array is not zero");
      at += padding;
    }
  }
  return at;
}

/// As get_count_within, making sure of the count's own bytes first.
template <std::size_t Align, std::size_t Least>
[[nodiscard]] LADING_ALWAYS_INLINE const std::byte* get_count(const std::byte* at, const reader& in, std::uint32_t& count) {
  if (in.left(at) < count_size) [[unlikely]]
    return in.truncated(at, count_size);
  return get_count_within<Align, Least>(at, in, count);
}

/// Copies a run of elements that is usually short.
LADING_ALWAYS_INLINE void copy_run(void* target, const void* source, std::size_t size) noexcept {
  if (size <= 16)
    copy_small(target, source, size);
  else
    std::memcpy(target, source, size);
}

[[nodiscard]] LADING_ALWAYS_INLINE bool is_aligned(std::size_t align, const std::byte* at) noexcept {
  // Safety: the address is only tested.
  return reinterpret_cast<std::uintptr_t>(at) % align == 0;
}

inline constexpr const char* misaligned_view =
    "a view would be unaligned: pack in layout::aligned into a buffer that begins at a multiple of 64, or decode owning values";

/// Up to this many bytes may be set aside for elements before they have been read: memory stays within a small multiple of the input.
LADING_ALWAYS_INLINE std::size_t allowance(const reader& in, const std::byte* at) noexcept { return 2 * in.left(at) + 4096; }

}  // namespace lading::detail
