// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include <lading/transport/concept.hpp>

#if __has_include(<poll.h>)
#include <poll.h>
#endif

namespace lading {

/// A thread that makes a transport's progress, so that transfers end and deadlines hold while nobody waits.
///
/// Lifetime: the transport must stay where it is and outlive it.
template <transport Transport>
class progress_thread {
 public:
  /// Sleeps at most `longest_sleep` at a time, because deadlines do not wake it.
  explicit progress_thread(Transport& driven, std::chrono::microseconds longest_sleep = std::chrono::milliseconds(1))
      : driven_(driven), longest_sleep_(longest_sleep), thread_([this] { run(); }) {}
  progress_thread(const progress_thread&) = delete;
  progress_thread& operator=(const progress_thread&) = delete;
  ~progress_thread() {
    stopping_.store(true, std::memory_order_release);
    thread_.join();
  }

 private:
  void run() noexcept {
    const int fd = driven_.event_fd();
    while (!stopping_.load(std::memory_order_acquire)) {
      if (driven_.progress() != 0) continue;
#if __has_include(<poll.h>)
      if (fd >= 0) {
        ::pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
        const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(longest_sleep_).count();
        ::poll(&watched, 1, static_cast<int>(milliseconds));
        continue;
      }
#endif
      std::this_thread::sleep_for(longest_sleep_ / 10);
    }
  }

  Transport& driven_;
  std::chrono::microseconds longest_sleep_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace lading
