// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include <lading/transport/time_source.hpp>

namespace lading {

/// Decides when to send a peer a heartbeat, and when its silence means that it is gone. For adapters whose library does not tell.
///
/// Only time in which this side listens counts as silence: between two calls of `due`, at most a quarter of the limit. So a program that pauses, or a
/// host that sleeps, does not lose its peers. Any message from the peer is a sign of life.
/// Threads: one at a time.
class liveness {
 public:
  /// What each byte under way adds to the limit, for heartbeats queue behind it: a connection of less than 50 MB/s may count as stalled.
  static constexpr std::chrono::nanoseconds per_byte{20};

  /// A heartbeat every `interval`, or four in each `limit` if that is more; a peer that was silent for `limit` is stalled.
  liveness(std::chrono::nanoseconds interval, std::chrono::nanoseconds limit, std::chrono::nanoseconds now) noexcept
      : interval_(interval < limit / 4 ? interval : limit / 4), limit_(limit), looked_(now), sent_(now) {}

  void heard() noexcept { silence_ = allowed_ = std::chrono::nanoseconds(0); }

  /// Whether a heartbeat is to be sent now; counts it as sent. To be called whenever this side has listened, with the bytes that are under way to and
  /// from the peer.
  [[nodiscard]] bool due(std::chrono::nanoseconds now, std::uint64_t bytes = 0) noexcept {
    silence_ = later(silence_, listened(now));
    looked_ = now;
    // What has arrived since was still in the heartbeat's way.
    if (const auto more = time_of(bytes); more > allowed_) allowed_ = more;
    if (now - sent_ < interval_) return false;
    sent_ = now;
    return true;
  }

  [[nodiscard]] bool stalled(std::chrono::nanoseconds now) const noexcept { return later(silence_, listened(now)) >= later(limit_, allowed_); }

 private:
  [[nodiscard]] std::chrono::nanoseconds listened(std::chrono::nanoseconds now) const noexcept {
    return now - looked_ < limit_ / 4 ? now - looked_ : limit_ / 4;
  }
  [[nodiscard]] static std::chrono::nanoseconds time_of(std::uint64_t bytes) noexcept {
    constexpr auto most = static_cast<std::uint64_t>(std::chrono::nanoseconds::max() / per_byte);
    return per_byte * static_cast<std::int64_t>(bytes < most ? bytes : most);
  }

  std::chrono::nanoseconds interval_, limit_, looked_, sent_;
  std::chrono::nanoseconds silence_{0};
  std::chrono::nanoseconds allowed_{0};  ///< besides the limit, for the most bytes that were under way in this silence
};

}  // namespace lading
