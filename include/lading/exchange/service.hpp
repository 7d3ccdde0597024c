// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include <lading/transport/progress_thread.hpp>

namespace lading {

/// A thread that makes a store server's progress.
///
/// Lifetime: the server must outlive it.
template <driven Server>
class store_service : public progress_thread<Server> {
 public:
  /// Sleeps at most `longest_sleep` at a time, because neither deadlines nor all transports wake it.
  explicit store_service(Server& served, std::chrono::microseconds longest_sleep = std::chrono::milliseconds(1))
      : progress_thread<Server>(served, longest_sleep, awake_rounds) {}

 private:
  static constexpr unsigned awake_rounds = 200;  // a request rarely comes alone, and waking costs more than some looks
};

}  // namespace lading
