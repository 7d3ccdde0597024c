// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include <lading/transport/time_source.hpp>

namespace lading {

/// Decides when to send a peer a heartbeat, and when its silence means that it is gone. For adapters whose library does not tell.
///
/// Any message from the peer counts as a sign of life, so a busy connection sends no heartbeats of its own.
/// Threads: one at a time.
class liveness {
 public:
  /// A heartbeat every `interval`; a peer that was silent for `limit` is stalled.
  liveness(std::chrono::nanoseconds interval, std::chrono::nanoseconds limit, std::chrono::nanoseconds now) noexcept
      : interval_(interval), limit_(limit), heard_(now), sent_(now) {}

  void heard(std::chrono::nanoseconds now) noexcept { heard_ = now; }

  /// Whether a heartbeat is to be sent now; counts it as sent.
  [[nodiscard]] bool due(std::chrono::nanoseconds now) noexcept {
    if (now - sent_ < interval_) return false;
    // A host that slept through the interval has not listened either: give the peer another one.
    if (now - sent_ > later(later(interval_, interval_), limit_)) heard_ = now;
    sent_ = now;
    return true;
  }

  [[nodiscard]] bool stalled(std::chrono::nanoseconds now) const noexcept { return now - heard_ >= limit_ && now - sent_ < limit_; }

 private:
  std::chrono::nanoseconds interval_, limit_, heard_, sent_;
};

}  // namespace lading
