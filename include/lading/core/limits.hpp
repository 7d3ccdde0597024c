// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace lading {

/// Bounds on what decoding may spend on an input, whatever the input says.
///
/// Every declared count is also checked against the bytes that remain, so memory and time stay proportional to the input's size. For memory the
/// factor follows from T: a std::string of 32 bytes may take 4 on the wire, an empty std::optional 1 however large what it could hold, and a
/// container that grows holds up to three times its elements for a moment. Where that is too much, containers of std::pmr with a memory resource
/// that refuses end decoding with no_memory. Time: keys of an unordered container whose hashes collide on purpose are limit_exceeded.
struct decode_limits {
  /// Levels of containers, optionals, variants and pointers inside one another. A value nested deeper is limit_exceeded.
  std::size_t max_depth = 64;
  /// Elements, in all containers of a value together, whose type takes no bytes on the wire (an empty struct): only a limit can bound these.
  std::size_t max_empty_elements = std::size_t{1} << 16;
};

}  // namespace lading
