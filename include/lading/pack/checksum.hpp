// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include <lading/memory/copy_hashing.hpp>

#if !__has_include(<xxhash.h>)
#error "lading needs xxHash: install it (Debian: libxxhash-dev, Conan: xxhash); nothing is linked"
#endif

// Inlined under names of its own, so a program that uses the xxHash library as well meets no second definition.
#if defined(XXH_INLINE_ALL)
#include <xxhash.h>
#else
#define XXH_INLINE_ALL
#include <xxhash.h>
#undef XXH_INLINE_ALL
#endif

namespace lading {

/// XXH3 of 64 bits with seed 0. It catches accidents, not forgery.
[[nodiscard]] inline std::uint64_t checksum_of(const void* source, std::size_t size) noexcept { return XXH3_64bits(source, size); }

/// The same over bytes that come in blocks.
class checksum_hasher {
 public:
  checksum_hasher() noexcept { XXH3_64bits_reset(&state_); }
  void update(const void* block, std::size_t size) noexcept { XXH3_64bits_update(&state_, block, size); }
  [[nodiscard]] std::uint64_t digest() const noexcept { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};

/// Copies `size` bytes and returns their checksum, in one pass over the memory.
[[nodiscard]] inline std::uint64_t copy_with_checksum(void* target, const void* source, std::size_t size,
                                                      copy_mode mode = copy_mode::automatic) noexcept {
  if (size <= detail::hashing_block) {
    const std::uint64_t hash = checksum_of(source, size);
    copy_bytes(target, source, size, mode);
    return hash;
  }
  checksum_hasher hasher;
  copy_hashing(target, source, size, hasher, mode);
  return hasher.digest();
}

}  // namespace lading
