// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace lading {

/// How a value becomes frames.
struct encode_options {
  /// Contiguous arrays of at least this many bytes become frames of their own, borrowed from the value; smaller ones are copied into the
  /// head. Units: bytes. (A frame costs a table entry and up to 63 bytes of alignment; below a few KiB the copy is cheaper.)
  std::size_t out_of_band_threshold = 4096;
  /// Writes unordered containers in ascending order of their keys, so that equal values have equal bytes. Allocates while encoding;
  /// keys without operator< make encoding fail with errc::unsupported.
  bool sort_unordered = false;
};

}  // namespace lading
