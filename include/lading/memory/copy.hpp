// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <lading/core/config.hpp>

namespace lading {

/// How a copy writes: by its size, through the caches (the target is read soon), or past them (it is not).
enum class copy_mode : unsigned char { automatic, cached, streaming };

namespace detail {

// The vector that one store writes, by what the build enables; 0 where no store bypasses the caches.
#if (defined(__GNUC__) || defined(__clang__)) && defined(__SSE2__)
#if defined(__AVX512F__)
inline constexpr std::size_t streaming_store_size = 64;
#elif defined(__AVX__)
inline constexpr std::size_t streaming_store_size = 32;
#else
inline constexpr std::size_t streaming_store_size = 16;
#endif
#else
inline constexpr std::size_t streaming_store_size = 0;
#endif

/// From this size on, automatic copies bypass the caches: below it the target is likely to be wanted while it is still near.
inline constexpr std::size_t streaming_threshold = std::size_t{8} << 20;

/// Bytes that are hashed and then copied in turn: half of a first-level cache.
inline constexpr std::size_t hashing_block = std::size_t{16} << 10;

#if (defined(__GNUC__) || defined(__clang__)) && defined(__SSE2__)

typedef long long streaming_vector __attribute__((vector_size(streaming_store_size), may_alias));
typedef streaming_vector unaligned_vector __attribute__((aligned(1)));

/// Stores one vector past the caches; `target` is a multiple of its size. The builtins spare users the intrinsics' 40,000 lines.
LADING_ALWAYS_INLINE void stream_store(std::byte* target, streaming_vector value) noexcept {
  // Safety: the caller aligned `target`, and the vector type may alias anything.
  auto* place = reinterpret_cast<streaming_vector*>(target);
#if defined(__clang__)
  __builtin_nontemporal_store(value, place);
#elif defined(__AVX512F__)
  __builtin_ia32_movntdq512(place, value);
#elif defined(__AVX__)
  __builtin_ia32_movntdq256(place, value);
#else
  __builtin_ia32_movntdq(place, value);
#endif
}

/// Orders the streamed stores before every later store, so that a flag set afterwards publishes them.
LADING_ALWAYS_INLINE void stream_fence() noexcept { __builtin_ia32_sfence(); }

/// Streams `size` bytes without the fence. For callers that copy in blocks and fence once.
inline void stream_unfenced(std::byte* target, const std::byte* source, std::size_t size) noexcept {
  constexpr std::size_t line = 64;
  constexpr std::size_t step = 2 * line;
  constexpr std::size_t width = streaming_store_size;
  constexpr std::size_t prefetch_distance = 512;
  if (size < 4 * step) {
    std::memcpy(target, source, size);
    return;
  }
  // Safety: the address is only taken modulo the line.
  const std::size_t head = (line - reinterpret_cast<std::uintptr_t>(target) % line) % line;
  std::memcpy(target, source, head);
  target += head;
  source += head;
  size -= head;
  while (size >= step) {
    __builtin_prefetch(source + prefetch_distance);
    __builtin_prefetch(source + prefetch_distance + line);
    streaming_vector values[step / width];
    for (std::size_t i = 0; i < step / width; ++i) {
      // Safety: any address suits an unaligned vector, and it may alias anything. (g++ would move a std::memcpy through the stack.)
      values[i] = *reinterpret_cast<const unaligned_vector*>(source + i * width);
    }
    for (std::size_t i = 0; i < step / width; ++i) stream_store(target + i * width, values[i]);
    target += step;
    source += step;
    size -= step;
  }
  std::memcpy(target, source, size);
}

/// memcpy, but for the targets on which it is slow: from about 2 KiB on glibc leaves the work to `rep movsb`, and AMD's Zen 3 and 4 run that
/// at a twentieth of its speed where the target lies 1 to 31 bytes behind the source modulo a page, as neighbouring heap blocks do.
inline void copy_cached(std::byte* target, const std::byte* source, std::size_t size) noexcept {
  constexpr std::size_t width = streaming_store_size;
  constexpr std::size_t step = 4 * width;
  // Safety: the addresses are only taken modulo a page.
  const std::uintptr_t distance = reinterpret_cast<std::uintptr_t>(target) - reinterpret_cast<std::uintptr_t>(source);
  if (size >= 2048 && distance % 4096 - 1 < 31) [[unlikely]] {
    for (; size >= step; target += step, source += step, size -= step) {
      unaligned_vector values[4];
      // Safety: any address suits an unaligned vector, and it may alias anything.
      for (std::size_t i = 0; i < 4; ++i) values[i] = *reinterpret_cast<const unaligned_vector*>(source + i * width);
      for (std::size_t i = 0; i < 4; ++i) *reinterpret_cast<unaligned_vector*>(target + i * width) = values[i];
    }
  }
  std::memcpy(target, source, size);
}

#else

inline void stream_fence() noexcept {}
inline void copy_cached(std::byte* target, const std::byte* source, std::size_t size) noexcept { std::memcpy(target, source, size); }
inline void stream_unfenced(std::byte* target, const std::byte* source, std::size_t size) noexcept { std::memcpy(target, source, size); }

#endif

}  // namespace detail

/// Copies at most 16 bytes by two overlapping loads: no call, no loop.
LADING_ALWAYS_INLINE void copy_small(void* target, const void* source, std::size_t size) noexcept {
  auto* to = static_cast<std::byte*>(target);
  const auto* from = static_cast<const std::byte*>(source);
  if (size >= 8) {
    std::uint64_t first, last;
    std::memcpy(&first, from, 8);
    std::memcpy(&last, from + size - 8, 8);
    std::memcpy(to, &first, 8);
    std::memcpy(to + size - 8, &last, 8);
  } else if (size >= 4) {
    std::uint32_t first, last;
    std::memcpy(&first, from, 4);
    std::memcpy(&last, from + size - 4, 4);
    std::memcpy(to, &first, 4);
    std::memcpy(to + size - 4, &last, 4);
  } else if (size != 0) {
    const std::byte first = from[0], middle = from[size / 2], last = from[size - 1];
    to[0] = first;
    to[size / 2] = middle;
    to[size - 1] = last;
  }
}

/// Copies `size` bytes past the caches where the build can, ordered before every later store. The ranges do not overlap.
inline void copy_streaming(void* target, const void* source, std::size_t size) noexcept {
  if (size == 0) return;
  detail::stream_unfenced(static_cast<std::byte*>(target), static_cast<const std::byte*>(source), size);
  detail::stream_fence();
}

/// Copies `size` bytes, of which there may be none (then the pointers may be null). The ranges do not overlap.
inline void copy_bytes(void* target, const void* source, std::size_t size, copy_mode mode = copy_mode::automatic) noexcept {
  if (mode == copy_mode::streaming || (mode == copy_mode::automatic && size >= detail::streaming_threshold)) {
    copy_streaming(target, source, size);
  } else if (size != 0) {
    detail::copy_cached(static_cast<std::byte*>(target), static_cast<const std::byte*>(source), size);
  }
}

}  // namespace lading
