// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What is tried again, how long after, and how long one try may take.

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <lading/core/error.hpp>

namespace lading::detail {

/// Codes after which the same call may succeed.
[[nodiscard]] constexpr bool is_transient(errc code) noexcept {
  switch (code) {
    case errc::would_block:
    case errc::busy:
    case errc::timed_out:
    case errc::peer_lost:
    case errc::peer_stalled:
    case errc::checksum_mismatch:
    case errc::not_registered:   // of a server that has begun anew
    case errc::backend_failure:  // of a transfer
    case errc::closed: return true;
    default: return false;
  }
}

/// Of those, the ones that come back for ever where the cause is not the moment: they are tried again only so often.
[[nodiscard]] constexpr bool is_doubtful(errc code) noexcept { return code == errc::checksum_mismatch || code == errc::backend_failure; }
inline constexpr unsigned most_doubts = 8;

/// What a transfer of so many bytes may take beyond the time that any transfer may take; no more than six hours.
[[nodiscard]] constexpr std::chrono::nanoseconds time_for(std::uint64_t bytes) noexcept {
  constexpr std::uint64_t slowest = 20;  // nanoseconds for a byte
  return std::chrono::nanoseconds(std::min(bytes, std::uint64_t{1} << 40) * slowest);
}

/// Waits longer each time, and never as long as others do.
class backoff {
 public:
  backoff(std::chrono::nanoseconds first, std::chrono::nanoseconds longest) noexcept : next_(first), longest_(longest) {}
  /// The next pause: half of it is certain, the rest drawn.
  [[nodiscard]] std::chrono::nanoseconds draw(std::uint64_t random) noexcept {
    const auto half = next_.count() / 2 + 1;
    const std::chrono::nanoseconds pause(half + static_cast<std::int64_t>(random % static_cast<std::uint64_t>(half)));
    next_ = std::min(2 * next_, longest_);
    return pause;
  }

 private:
  std::chrono::nanoseconds next_, longest_;
};

}  // namespace lading::detail
