// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <thread>

#include <lading/transport/wakeup.hpp>

#if __has_include(<poll.h>)
#include <poll.h>
#endif

namespace lading {

/// What goes on only while somebody makes its progress: a transport, a store's server.
template <class Candidate>
concept driven = requires(Candidate& one, const Candidate& same) {
  { one.progress() } -> std::convertible_to<std::size_t>;
  { same.event_fd() } noexcept -> std::same_as<int>;
};

/// A thread that makes a transport's progress, so that transfers end and deadlines hold while nobody waits.
///
/// Lifetime: the transport must stay where it is and outlive it.
template <driven Driven>
class progress_thread {
 public:
  /// Sleeps at most `longest_sleep` at a time, because deadlines do not wake it; a tenth of that where the transport has no event descriptor. Looks
  /// `awake_rounds` times in vain before it sleeps.
  explicit progress_thread(Driven& one, std::chrono::microseconds longest_sleep = std::chrono::milliseconds(1), unsigned awake_rounds = 0)
      : driven_(one), longest_sleep_(longest_sleep), awake_rounds_(awake_rounds), thread_([this] { run(); }) {}
  progress_thread(const progress_thread&) = delete;
  progress_thread& operator=(const progress_thread&) = delete;
  ~progress_thread() {
    stopping_.store(true, std::memory_order_release);
    stop_.signal();
    thread_.join();
  }

 private:
  void run() noexcept {
    const int fd = driven_.event_fd(), stop = stop_.fd();
    stop_.clear();
    const std::chrono::microseconds longest = fd >= 0 ? longest_sleep_ : longest_sleep_ / 10;
    for (unsigned idle = 0; !stopping_.load(std::memory_order_acquire);) {
      if (driven_.progress() != 0) {
        idle = 0;
      } else if (idle < awake_rounds_) {
        ++idle;
        std::this_thread::yield();
      } else {
        sleep(fd, stop, longest);
      }
    }
  }
  static void sleep([[maybe_unused]] int fd, [[maybe_unused]] int stop, std::chrono::microseconds longest) noexcept {
#if __has_include(<poll.h>)
    if (stop >= 0 && (fd >= 0 || longest >= std::chrono::milliseconds(1))) {
      // Where fd is -1 it is passed over. The time is an int.
      ::pollfd watched[] = {{.fd = stop, .events = POLLIN, .revents = 0}, {.fd = fd, .events = POLLIN, .revents = 0}};
      const auto limit = std::min<std::chrono::microseconds>(longest, std::chrono::hours(1));
      ::poll(watched, 2, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(limit).count()));
      return;
    }
#endif
    std::this_thread::sleep_for(std::min<std::chrono::microseconds>(longest, std::chrono::milliseconds(100)));  // the end waits for it
  }

  Driven& driven_;
  std::chrono::microseconds longest_sleep_;
  unsigned awake_rounds_;
  std::atomic<bool> stopping_{false};
  wakeup stop_;
  std::thread thread_;
};

}  // namespace lading
