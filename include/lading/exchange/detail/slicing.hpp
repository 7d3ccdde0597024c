// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <lading/transport/types.hpp>

namespace lading::detail {

/// The slices of some items: those that follow each other are one, large ones several.
struct sliced_items {
  /// The item came to lie in slices [first_slice, last_slice].
  struct place {
    std::size_t item, first_slice, last_slice;
  };
  std::vector<slice> slices;
  std::vector<place> places;
  std::uint64_t bytes = 0;

  /// Adds an item's slice: to the last one where it follows that on both sides, and in pieces of `largest` bytes where it is larger.
  void add(std::size_t item, slice rest, std::uint64_t largest) {
    bytes += rest.size;
    if (!slices.empty()) {
      slice& last = slices.back();
      const bool follows = last.local == rest.local && last.remote == rest.remote && last.local_offset + last.size == rest.local_offset &&
                           last.remote_offset + last.size == rest.remote_offset;
      if (follows && rest.size <= largest - std::min(last.size, largest)) {
        last.size += rest.size;
        places.push_back({item, slices.size() - 1, slices.size() - 1});
        return;
      }
    }
    const std::size_t first = slices.size();
    while (rest.size > largest) {
      slice piece = rest;
      piece.size = largest;
      slices.push_back(piece);
      rest.local_offset += largest;
      rest.remote_offset += largest;
      rest.size -= largest;
    }
    slices.push_back(rest);
    places.push_back({item, first, slices.size() - 1});
  }
};

}  // namespace lading::detail
