// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace lading {

/// Bounds on what decoding may spend on an input, whatever the input says.
///
/// Every declared count is also checked against the bytes that remain, so memory and time stay proportional to the input's size.
struct decode_limits {
  /// Levels of containers, optionals, variants and pointers inside one another. A value nested deeper is limit_exceeded.
  std::size_t max_depth = 64;
  /// Elements, in all containers of a value together, whose type takes no bytes on the wire (an empty struct): only a limit can bound these.
  std::size_t max_empty_elements = std::size_t{1} << 16;
};

}  // namespace lading
