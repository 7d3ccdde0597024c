// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include <lading/transport/types.hpp>

namespace lading {

/// What an endpoint has done so far, counted when transfers end.
struct transport_metrics {
  std::uint64_t submitted = 0;                                ///< batches accepted
  std::uint64_t refused = 0;                                  ///< batches that submit returned an error for
  std::uint64_t completed = 0;                                ///< transfers that ended ok
  std::uint64_t failed = 0;                                   ///< transfers that ended otherwise
  std::uint64_t cancelled = 0, timed_out = 0, peer_lost = 0;  ///< of the failed ones, by status
  std::uint64_t quarantined = 0;                              ///< transfers that ended before their slices came back
  std::uint64_t released = 0;                                 ///< of the quarantined ones, those whose slices came back since
  std::uint64_t slices = 0, bytes_put = 0, bytes_get = 0;     ///< that arrived
  std::chrono::nanoseconds posting{0};                        ///< sum of completion::posted
  std::chrono::nanoseconds transferring{0};                   ///< sum of completion::finished
};

/// Told of each transfer that ends. Without one, a batch pays for a single branch.
///
/// Threads: called by whichever thread ends a transfer, several at once; must not call back into the endpoint.
class transfer_observer {
 public:
  virtual ~transfer_observer() = default;
  virtual void ended(peer_id peer, op direction, const completion& how) noexcept = 0;
};

namespace detail {

class metrics_counters {
 public:
  void count_submitted() noexcept { add(submitted_, 1); }
  void count_refused() noexcept { add(refused_, 1); }
  void count_released() noexcept { add(released_, 1); }
  void count(op direction, const completion& how) noexcept {
    add(how.ok() ? completed_ : failed_, 1);
    if (!how.ok()) {
      if (how.status.error() == errc::cancelled) add(cancelled_, 1);
      if (how.status.error() == errc::timed_out) add(timed_out_, 1);
      if (how.status.error() == errc::peer_lost || how.status.error() == errc::peer_stalled) add(peer_lost_, 1);
    }
    if (how.quarantined) add(quarantined_, 1);
    add(slices_, how.done);
    add(direction == op::put ? bytes_put_ : bytes_get_, how.bytes);
    add(posting_, static_cast<std::uint64_t>(how.posted.count()));
    add(transferring_, static_cast<std::uint64_t>(how.finished.count()));
  }
  [[nodiscard]] transport_metrics read() const noexcept {
    return {.submitted = submitted_.load(),
            .refused = refused_.load(),
            .completed = completed_.load(),
            .failed = failed_.load(),
            .cancelled = cancelled_.load(),
            .timed_out = timed_out_.load(),
            .peer_lost = peer_lost_.load(),
            .quarantined = quarantined_.load(),
            .released = released_.load(),
            .slices = slices_.load(),
            .bytes_put = bytes_put_.load(),
            .bytes_get = bytes_get_.load(),
            .posting = std::chrono::nanoseconds(posting_.load()),
            .transferring = std::chrono::nanoseconds(transferring_.load())};
  }

 private:
  using counter = std::atomic<std::uint64_t>;
  static void add(counter& number, std::uint64_t step) noexcept { number.fetch_add(step, std::memory_order_relaxed); }

  counter submitted_{0}, refused_{0}, completed_{0}, failed_{0}, cancelled_{0}, timed_out_{0}, peer_lost_{0}, quarantined_{0}, released_{0},
      slices_{0}, bytes_put_{0}, bytes_get_{0}, posting_{0}, transferring_{0};
};

}  // namespace detail
}  // namespace lading
