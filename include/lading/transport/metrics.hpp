// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

#include <lading/transport/spin_lock.hpp>
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

/// One lock for all numbers: a transfer that ends changes half a dozen at once.
class metrics_counters {
 public:
  void count_submitted() noexcept { submitted_.fetch_add(1, std::memory_order_relaxed); }
  void count_refused() noexcept { refused_.fetch_add(1, std::memory_order_relaxed); }
  void count_released() noexcept {
    std::lock_guard held(lock_);
    ++ended_.released;
  }
  void count(op direction, const completion& how) noexcept {
    std::lock_guard held(lock_);
    ++(how.ok() ? ended_.completed : ended_.failed);
    if (!how.ok()) {
      if (how.status.error() == errc::cancelled) ++ended_.cancelled;
      if (how.status.error() == errc::timed_out) ++ended_.timed_out;
      if (how.status.error() == errc::peer_lost || how.status.error() == errc::peer_stalled) ++ended_.peer_lost;
    }
    if (how.quarantined) ++ended_.quarantined;
    ended_.slices += how.done;
    (direction == op::put ? ended_.bytes_put : ended_.bytes_get) += how.bytes;
    ended_.posting += how.posted;
    ended_.transferring += how.finished;
  }
  [[nodiscard]] transport_metrics read() const noexcept {
    transport_metrics all;
    {
      std::lock_guard held(lock_);
      all = ended_;
    }
    all.submitted = submitted_.load();
    all.refused = refused_.load();
    return all;
  }

 private:
  std::atomic<std::uint64_t> submitted_{0}, refused_{0};
  mutable spin_lock lock_;
  transport_metrics ended_;  // all but those two
};

}  // namespace detail
}  // namespace lading
