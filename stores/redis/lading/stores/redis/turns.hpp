// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace lading::detail {

/// Lets one caller in at a time, and the others wait no longer than they may. (std::timed_mutex does the same by a call that ThreadSanitizer does not know.)
///
/// Threads: any.
class turns {
 public:
  /// A turn that lasts as long as this object; false where there was none.
  class turn {
   public:
    explicit turn(turns* of) noexcept : of_(of) {}
    turn(turn&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    turn& operator=(turn&&) = delete;
    ~turn() {
      if (of_ != nullptr) of_->end();
    }
    [[nodiscard]] explicit operator bool() const noexcept { return of_ != nullptr; }

   private:
    turns* of_;
  };

  [[nodiscard]] turn take(std::chrono::steady_clock::time_point until) {
    std::unique_lock held(mutex_);
    if (!free_.wait_until(held, until, [&] { return !taken_; })) return turn(nullptr);
    taken_ = true;
    return turn(this);
  }

 private:
  void end() noexcept {
    const std::lock_guard held(mutex_);
    taken_ = false;
    free_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable free_;
  bool taken_ = false;
};

}  // namespace lading::detail
