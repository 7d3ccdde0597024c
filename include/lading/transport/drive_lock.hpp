// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include <lading/transport/wakeup.hpp>

namespace lading::detail {

/// The lock of whoever is in the driver. Who asked for it in vain is told, by the endpoint's descriptor, when it is given back.
///
/// Complexity: taking it while it is free, and giving it back, is one atomic operation each: every round of progress does both.
class drive_lock {
 public:
  /// `awake` must outlive the lock.
  explicit drive_lock(wakeup& awake) noexcept : awake_(awake) {}
  drive_lock(const drive_lock&) = delete;
  drive_lock& operator=(const drive_lock&) = delete;

  void lock() noexcept {
    while (!try_lock()) {
      unsigned seen = word_.load(std::memory_order_relaxed);
      if (seen == free) continue;
      if ((seen & awaited) != 0 || word_.compare_exchange_weak(seen, seen | awaited)) word_.wait(seen | awaited);
    }
  }
  [[nodiscard]] bool try_lock() noexcept {
    unsigned seen = free;
    return word_.compare_exchange_strong(seen, held, std::memory_order_acquire, std::memory_order_relaxed);
  }
  /// After try_lock in vain: the descriptor will be readable when the lock can be had.
  void ask() noexcept {
    unsigned seen = word_.load(std::memory_order_acquire);
    do {
      if (seen == free) return awake_.signal();  // it is just being given back: look again
    } while ((seen & asked) == 0 && !word_.compare_exchange_weak(seen, seen | asked, std::memory_order_acq_rel, std::memory_order_acquire));
  }
  void unlock() noexcept {
    if ((give_back() & asked) != 0) awake_.signal();
  }
  /// For who signals by itself, later.
  void unlock_quietly() noexcept { give_back(); }

 private:
  static constexpr unsigned free = 0, held = 1, asked = 2, awaited = 4;  // awaited: by threads that sleep in lock

  unsigned give_back() noexcept {
    const unsigned before = word_.exchange(free);
    if ((before & awaited) != 0) word_.notify_all();
    return before;
  }

  wakeup& awake_;
  std::atomic<unsigned> word_{free};
};

}  // namespace lading::detail
