// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#if defined(__linux__)
#include <sys/eventfd.h>
#include <unistd.h>
#endif

namespace lading {

/// A descriptor that becomes readable when something happened. It is made when first asked for; until then signalling costs one load.
///
/// Threads: any.
class wakeup {
 public:
  wakeup() noexcept = default;
  wakeup(const wakeup&) = delete;
  wakeup& operator=(const wakeup&) = delete;
  ~wakeup() {
#if defined(__linux__)
    if (const int made = fd_.load(); made >= 0) ::close(made);
#endif
  }

  /// The descriptor; -1 where the system has none to give.
  [[nodiscard]] int fd() noexcept {
#if defined(__linux__)
    int made = fd_.load(std::memory_order_acquire);
    if (made >= 0) return made;
    const int fresh = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);  // signalled at first: what happened before is not lost
    if (fresh < 0) return -1;
    if (fd_.compare_exchange_strong(made, fresh, std::memory_order_acq_rel)) return fresh;
    ::close(fresh);
    return made;
#else
    return -1;
#endif
  }

  /// Complexity: constant, and no call of the system where it is readable already.
  void signal() noexcept {
#if defined(__linux__)
    if (const int made = fd_.load(std::memory_order_acquire); made >= 0 && !signalled_.exchange(true, std::memory_order_acq_rel)) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto written = ::write(made, &one, sizeof one);
    }
#endif
  }

  /// Makes it unreadable until the next signal. What was signalled before is to be looked at afterwards.
  void clear() noexcept {
#if defined(__linux__)
    if (const int made = fd_.load(std::memory_order_acquire); made >= 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto taken = ::read(made, &count, sizeof count);
      // After the read: who signals in between writes nothing, but is looked at by this caller.
      signalled_.exchange(false, std::memory_order_acq_rel);
    }
#endif
  }

 private:
  std::atomic<int> fd_{-1};
  std::atomic<bool> signalled_{false};
};

}  // namespace lading
