// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <span>

#if defined(__linux__)
#include <sys/epoll.h>
#include <unistd.h>
#endif

namespace lading {

/// One descriptor that is readable when one of several is. It is made when first asked for.
///
/// Threads: any.
class event_set {
 public:
  event_set() noexcept = default;
  event_set(const event_set&) = delete;
  event_set& operator=(const event_set&) = delete;
  ~event_set() {
#if defined(__linux__)
    if (made()) ::close(fd_.load());
#endif
  }

  [[nodiscard]] bool made() const noexcept { return fd_.load(std::memory_order_acquire) >= 0; }

  /// The descriptor of these sources, which are the same each time; -1 where one of them is, or the system has none to give.
  [[nodiscard]] int of([[maybe_unused]] std::span<const int> sources) noexcept {
#if defined(__linux__)
    int there = fd_.load(std::memory_order_acquire);
    if (there >= 0) return there;
    const int fresh = ::epoll_create1(EPOLL_CLOEXEC);
    if (fresh < 0) return -1;
    for (const int source : sources) {
      ::epoll_event wanted{};
      wanted.events = EPOLLIN;
      if (source < 0 || ::epoll_ctl(fresh, EPOLL_CTL_ADD, source, &wanted) != 0) {
        ::close(fresh);
        return -1;
      }
    }
    if (fd_.compare_exchange_strong(there, fresh, std::memory_order_acq_rel)) return fresh;
    ::close(fresh);
    return there;
#else
    return -1;
#endif
  }

 private:
  std::atomic<int> fd_{-1};
};

}  // namespace lading
