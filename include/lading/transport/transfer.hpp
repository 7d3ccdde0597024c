// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lading/transport/endpoint_core.hpp>

namespace lading {

/// The future of a submitted batch. It has exactly one end; ready() never goes back.
///
/// The slices' memory belongs to the transport until ready(), and after that where completion::quarantined, until released().
/// Destroying a running transfer lets it run on; its regions stay alive until it ends.
/// Threads: one at a time per transfer, except ready and cancel, which may be called by any.
class transfer {
 public:
  transfer() noexcept = default;
  transfer(std::shared_ptr<endpoint_core> core, operation* running) noexcept : core_(std::move(core)), operation_(running) {}
  transfer(transfer&& other) noexcept : core_(std::move(other.core_)), operation_(std::exchange(other.operation_, nullptr)) {}
  transfer& operator=(transfer&& other) noexcept {
    transfer taken(std::move(other));
    std::swap(core_, taken.core_);
    std::swap(operation_, taken.operation_);
    return *this;
  }
  ~transfer() {
    if (operation_ != nullptr) core_->unreference(*operation_);
  }

  /// Whether it has ended. Makes no progress.
  [[nodiscard]] bool ready() const noexcept { return operation_->over(); }

  /// Makes progress until it has ended; returns how. It ends at the latest shortly after its deadline.
  completion wait() noexcept {
    if (ready()) return operation_->completion_;
    for (unsigned idle = 0; !ready();) step(idle);
    core_->wake();
    return operation_->completion_;
  }

  /// Makes progress until it has ended or the time is up; returns ready(). The time is that of the steady clock.
  bool wait_for(std::chrono::nanoseconds timeout) noexcept {
    if (ready()) return true;
    core_->help();
    const auto start = std::chrono::steady_clock::now();
    for (unsigned idle = 0; !ready() && std::chrono::steady_clock::now() - start < timeout;) step(idle);
    core_->wake();
    return ready();
  }

  /// Asks it to end: slices that the transport has not begun are dropped; those under way end as the transport can. It ends cancelled, or ok
  /// where it was too late.
  void cancel() noexcept {
    operation_->cancel_.store(true, std::memory_order_release);
    core_->look_again();
  }

  /// How it ended, once ready().
  [[nodiscard]] const completion& how() const noexcept {
    LADING_ASSERT(ready());
    return operation_->completion_;
  }

  /// Whether it has ended and the transport has let go of its memory: at the end at once, but where that was quarantined. Makes no progress.
  [[nodiscard]] bool released() const noexcept {
    const auto marks = operation_->marks();
    return (marks & operation::mark::released) != 0 || ((marks & operation::mark::ended) != 0 && !operation_->completion_.quarantined);
  }

  /// Whether slice `index` is known to have arrived whole, once ready().
  [[nodiscard]] bool succeeded(std::size_t index) const noexcept {
    LADING_ASSERT(ready());
    const completion& how = operation_->completion_;
    if (how.failed == 0) return true;
    if (how.quarantined) return false;  // what came back since then is not part of how it ended
    return !operation_->failures_unknown_ && !operation_->failures_[index];
  }

  [[nodiscard]] explicit operator bool() const noexcept { return operation_ != nullptr; }

 private:
  /// One round of progress; the longer nothing happens, the more it leaves the processor to others.
  void step(unsigned& idle) noexcept {
    if (core_->help() != 0) {
      idle = 0;
    } else if (++idle > 2000) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    } else if (idle > 50) {
      std::this_thread::yield();
    }
  }

  std::shared_ptr<endpoint_core> core_;
  operation* operation_ = nullptr;
};

/// Slices that were checked once and can be submitted again and again, without new descriptors and without allocating.
///
/// It does not keep its regions: submitting it after one was deregistered is not_registered.
/// Threads: any.
class prepared_batch {
 public:
  prepared_batch() noexcept = default;

  [[nodiscard]] std::size_t size() const noexcept { return state_ == nullptr ? 0 : state_->slices.size(); }
  [[nodiscard]] std::uint64_t total_bytes() const noexcept { return state_ == nullptr ? 0 : state_->bytes; }

 private:
  friend class endpoint;
  explicit prepared_batch(std::shared_ptr<const detail::prepared_state> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<const detail::prepared_state> state_;
};

}  // namespace lading
