// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>

namespace lading {

/// Where an endpoint reads the time: the steady clock, unless a test puts its own there.
///
/// Threads: `read` is called by many.
struct time_source {
  std::chrono::nanoseconds (*read)(void* context) noexcept = nullptr;
  void* context = nullptr;

  [[nodiscard]] std::chrono::nanoseconds now() const noexcept {
    if (read != nullptr) return read(context);
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch());
  }
};

/// `from` plus `span`, or the farthest there is: nanoseconds::max() from now is never.
[[nodiscard]] constexpr std::chrono::nanoseconds later(std::chrono::nanoseconds from, std::chrono::nanoseconds span) noexcept {
  using std::chrono::nanoseconds;
  if (span.count() > 0 && from > nanoseconds::max() - span) return nanoseconds::max();
  if (span.count() < 0 && from < nanoseconds::min() - span) return nanoseconds::min();
  return from + span;
}

/// The same on the steady clock.
[[nodiscard]] inline std::chrono::steady_clock::time_point later(std::chrono::steady_clock::time_point from, std::chrono::nanoseconds span) noexcept {
  using clock = std::chrono::steady_clock;
  return clock::time_point(std::chrono::duration_cast<clock::duration>(later(std::chrono::nanoseconds(from.time_since_epoch()), span)));
}

/// A clock that moves when it is told to, so that deadlines are tested without waiting. It must outlive the endpoints that read it.
class manual_clock {
 public:
  void advance(std::chrono::nanoseconds step) noexcept { now_.fetch_add(step.count(), std::memory_order_acq_rel); }

  [[nodiscard]] time_source source() noexcept {
    return {
        [](void* context) noexcept { return std::chrono::nanoseconds(static_cast<manual_clock*>(context)->now_.load(std::memory_order_acquire)); },
        this};
  }

 private:
  std::atomic<std::chrono::nanoseconds::rep> now_{1};
};

}  // namespace lading
