// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <mutex>

#include <lading/transport/wakeup.hpp>

namespace lading::detail {

/// The lock of whoever is in the driver. Who asked for it in vain is told, by the endpoint's descriptor, when it is given back.
class drive_lock {
 public:
  /// `awake` must outlive the lock.
  explicit drive_lock(wakeup& awake) noexcept : awake_(awake) {}
  drive_lock(const drive_lock&) = delete;
  drive_lock& operator=(const drive_lock&) = delete;

  void lock() noexcept {
    mutex_.lock();
    word_.store(held, std::memory_order_relaxed);
  }
  [[nodiscard]] bool try_lock() noexcept {
    if (!mutex_.try_lock()) return false;
    word_.store(held, std::memory_order_relaxed);
    return true;
  }
  /// After try_lock in vain: the descriptor will be readable when the lock can be had.
  void ask() noexcept {
    unsigned seen = held;
    if (!word_.compare_exchange_strong(seen, held | asked, std::memory_order_acq_rel, std::memory_order_acquire) && seen == free) {
      awake_.signal();  // it is just being taken or given back: look again
    }
  }
  void unlock() noexcept {
    const unsigned before = word_.exchange(free, std::memory_order_acq_rel);
    mutex_.unlock();
    if ((before & asked) != 0) awake_.signal();
  }
  /// For who signals by itself, later.
  void unlock_quietly() noexcept {
    word_.store(free, std::memory_order_release);
    mutex_.unlock();
  }

 private:
  static constexpr unsigned free = 0, held = 1, asked = 2;

  wakeup& awake_;
  std::mutex mutex_;
  std::atomic<unsigned> word_{free};
};

}  // namespace lading::detail
