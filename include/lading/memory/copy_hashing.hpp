// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include <lading/memory/copy.hpp>

namespace lading {

/// What sees the bytes that copy_hashing moves, in order and in blocks of its choosing.
template <class Type>
concept block_hasher = requires(Type& hasher, const void* block, std::size_t size) { hasher.update(block, size); };

/// Copies `size` bytes and passes them to `hasher.update` on the way: each block is hashed while copying has left it in a near cache.
///
/// Complexity: one pass over the memory; sizes from `streaming_threshold` on are written past the caches.
template <block_hasher Hasher>
void copy_hashing(void* target, const void* source, std::size_t size, Hasher& hasher, copy_mode mode = copy_mode::automatic) {
  auto* to = static_cast<std::byte*>(target);
  const auto* from = static_cast<const std::byte*>(source);
  const bool streaming = mode == copy_mode::streaming || (mode == copy_mode::automatic && size >= detail::streaming_threshold);
  while (size != 0) {
    const std::size_t block = size < detail::hashing_block ? size : detail::hashing_block;
    if (streaming) {
      detail::stream_unfenced(to, from, block);
    } else {
      detail::copy_cached(to, from, block);
    }
    hasher.update(from, block);
    to += block;
    from += block;
    size -= block;
  }
  if (streaming) detail::stream_fence();
}

}  // namespace lading
