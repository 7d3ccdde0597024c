// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#if __has_include(<poll.h>)
#include <poll.h>
#endif

namespace lading {

/// A thread that makes a store server's progress.
///
/// Lifetime: the server must outlive it.
template <class Server>
class store_service {
 public:
  /// Sleeps at most `longest_sleep` at a time, because neither deadlines nor all transports wake it.
  explicit store_service(Server& served, std::chrono::milliseconds longest_sleep = std::chrono::milliseconds(1))
      : served_(served), longest_sleep_(longest_sleep), thread_([this] { run(); }) {}
  store_service(const store_service&) = delete;
  store_service& operator=(const store_service&) = delete;
  ~store_service() {
    stopping_.store(true, std::memory_order_release);
    thread_.join();
  }

 private:
  static constexpr unsigned awake_rounds = 200;  // a request rarely comes alone, and waking costs more than some looks

  void run() {
    const int fd = served_.event_fd();
    for (unsigned idle = 0; !stopping_.load(std::memory_order_acquire);) {
      if (served_.progress() != 0) {
        idle = 0;
      } else if (++idle < awake_rounds) {
        std::this_thread::yield();
      } else {
        sleep(fd);
      }
    }
  }
  void sleep([[maybe_unused]] int fd) const {
#if __has_include(<poll.h>)
    if (fd >= 0) {
      ::pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
      ::poll(&watched, 1, static_cast<int>(longest_sleep_.count()));
      return;
    }
#endif
    std::this_thread::sleep_for(longest_sleep_ / 10);
  }

  Server& served_;
  std::chrono::milliseconds longest_sleep_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace lading
