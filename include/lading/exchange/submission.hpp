// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/exchange/detail/staging.hpp>
#include <lading/exchange/metrics.hpp>
#include <lading/exchange/shared_memory.hpp>
#include <lading/memory/copy.hpp>
#include <lading/memory/worker_pool.hpp>
#include <lading/transport/time_source.hpp>
#include <lading/transport/transfer.hpp>

namespace lading {

namespace detail {

/// What one submission waits for: a transfer, or copies of this process.
struct submitted_group {
  /// The items [first, last) of the group came to lie in slices [first_slice, last_slice].
  struct place {
    std::size_t item, first_slice, last_slice;
  };
  struct copy {
    reachable_memory *target, *source;
    std::uint64_t target_offset, source_offset, size;
  };

  strategy how = strategy::transport;
  transfer running;
  std::vector<place> places;
  std::uint64_t bytes = 0;
  bool settled = false;
  std::vector<bool> closed;  // of each slice that is copied here: whether an owner had closed the memory
  staged_slices staged;      // on their way by the transport

  // Local copies.
  std::vector<copy> copies;  // one for each slice
  std::vector<std::shared_ptr<reachable_memory>> memories;
  std::size_t next = 0;
  std::chrono::steady_clock::time_point begun{};
};

/// All of one submission. One thread at a time.
struct submission_state {
  std::vector<submitted_group> groups;
  std::vector<result<void>> results;
  std::vector<strategy> strategies;  // of each item
  std::vector<std::shared_ptr<void>> kept;
  std::size_t open = 0;  // groups that are not settled
  bool quarantined = false;
};

/// Submissions that their users have dropped: they run on, with the memory that they keep.
class orphanage {
 public:
  /// Takes it over; not where nobody will look after it, because the submitter has gone.
  [[nodiscard]] bool adopt(std::unique_ptr<submission_state>& state) noexcept {
    std::lock_guard held(mutex_);
    if (closed_) return false;
    LADING_TRY { states_.push_back(std::move(state)); }
    LADING_CATCH_BAD_ALLOC(static_cast<void>(state.release()))  // its memory must not be freed under a transfer
    return true;
  }
  [[nodiscard]] std::vector<std::unique_ptr<submission_state>> take() noexcept {
    std::lock_guard held(mutex_);
    return std::exchange(states_, {});
  }
  /// The last take.
  [[nodiscard]] std::vector<std::unique_ptr<submission_state>> close() noexcept {
    std::lock_guard held(mutex_);
    closed_ = true;
    return std::exchange(states_, {});
  }

 private:
  std::mutex mutex_;
  bool closed_ = false;
  std::vector<std::unique_ptr<submission_state>> states_;
};

/// How copies inside the process are made.
struct local_copying {
  worker_pool* pool = nullptr;
  std::size_t workers = 1;
  static constexpr std::uint64_t piece_bytes = std::uint64_t{256} << 10;
  static constexpr std::uint64_t round_bytes = std::uint64_t{32} << 20;
  static constexpr std::uint64_t streaming_group = std::uint64_t{16} << 20;
  static constexpr std::uint64_t streaming_slice = std::uint64_t{16} << 10;

  /// Copies up to `limit` bytes of the group.
  void advance(submitted_group& group, std::uint64_t limit = round_bytes) const noexcept {
    const std::size_t first = group.next;
    std::uint64_t bytes = 0;
    while (group.next < group.copies.size() && (bytes == 0 || bytes < limit)) bytes += group.copies[group.next++].size;
    const auto run = [&](std::size_t index) noexcept {
      const submitted_group::copy& each = group.copies[index];
      if (!each.target->enter()) return false;
      const bool open = each.source->enter();
      if (open) {
        const bool streaming = group.bytes >= streaming_group && each.size >= streaming_slice;
        copy_bytes(each.target->bytes().data() + each.target_offset, each.source->bytes().data() + each.source_offset,
                   static_cast<std::size_t>(each.size), streaming ? copy_mode::streaming : copy_mode::cached);
        each.source->leave();
      }
      each.target->leave();
      return open;
    };
    if (pool == nullptr || workers <= 1 || bytes < 4 * piece_bytes) {
      for (std::size_t i = first; i < group.next; ++i) {
        if (!run(i)) group.closed[i] = true;
      }
      return;
    }
    std::atomic<bool> any_closed{false};
    static_cast<void>(pool->run(group.next - first, workers, [&](std::size_t index) noexcept {
      if (!run(first + index)) any_closed.store(true, std::memory_order_relaxed);
    }));
    // Which it was is not told apart: closing memory under a running batch is its owner's doing.
    if (any_closed.load()) {
      for (std::size_t i = first; i < group.next; ++i) group.closed[i] = true;
    }
  }
};

}  // namespace detail

/// The future of submitted items, with a result for each.
///
/// Destroying one that runs lets it run on, and with it all that keep() got: no memory is freed under a transfer. Where its submitter has gone, that ends
/// it first, as destroying the submitter ends what was dropped before.
/// Lifetime: it may outlive its submitter, but neither the transport nor the meter.
/// Threads:  one at a time.
template <class Meter>
class submission {
 public:
  submission() noexcept = default;
  submission(submission&&) noexcept = default;
  submission& operator=(submission&& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(shared_, other.shared_);
    return *this;
  }
  ~submission() {
    if (state_ == nullptr) return;
    settle(*state_, *shared_);  // learns whether all its memory has come back
    if (state_->open == 0 && (state_->kept.empty() || is_released(*state_))) return;
    if (!shared_->orphans.adopt(state_)) end(std::span(&state_, 1), *shared_);
  }

  /// Whether every item has ended. Makes no progress: copies are made by progress() and whatever waits.
  [[nodiscard]] bool is_ready() const noexcept {
    if (state_ == nullptr) return true;
    for (const detail::submitted_group& group : state_->groups) {
      if (!ended(group) || (!group.settled && !group.staged.landings.empty())) return false;
    }
    return true;
  }

  /// Makes progress until every item has ended.
  void wait() noexcept {
    if (state_ != nullptr) wait(*state_, *shared_);
  }

  /// Makes progress until every item has ended or the time is up; returns is_ready(). A copy inside the process may outlast the time.
  bool wait_for(std::chrono::nanoseconds timeout) noexcept {
    const auto until = later(std::chrono::steady_clock::now(), timeout);
    while (!progress()) {
      const auto left = until - std::chrono::steady_clock::now();
      if (left.count() <= 0) return is_ready();
      for (detail::submitted_group& group : state_->groups) {
        if (group.how == strategy::transport && !group.settled) {
          static_cast<void>(group.running.wait_for(left));
          break;
        }
      }
    }
    return true;
  }

  /// One round, without waiting: copies some, and settles what has ended; returns is_ready(). The transport's own progress is its owner's.
  bool progress() noexcept {
    if (state_ == nullptr) return true;
    return advance(*state_, *shared_);
  }

  /// The result of each item, in their order; waits for them.
  [[nodiscard]] const std::vector<result<void>>& get() & noexcept {
    wait();
    static const std::vector<result<void>> none;
    return state_ == nullptr ? none : state_->results;
  }
  [[nodiscard]] std::vector<result<void>> get() && noexcept {
    wait();
    return state_ == nullptr ? std::vector<result<void>>{} : std::move(state_->results);
  }

  /// How each item is moved.
  [[nodiscard]] std::span<const strategy> strategies() const noexcept { return state_ == nullptr ? std::span<const strategy>{} : state_->strategies; }

  /// Whether slices are still with the transport although their transfer has ended: their memory is not free.
  [[nodiscard]] bool quarantined() const noexcept { return state_ != nullptr && state_->quarantined; }

  /// Ends the items as soon as that can be done.
  void cancel() noexcept {
    if (state_ != nullptr) cancel(*state_);
  }

  /// Something that must live as long as the items move, such as leases of their memory.
  void keep(std::shared_ptr<void> owner) {
    if (state_ != nullptr) state_->kept.push_back(std::move(owner));
  }

  /// What its submitter and all its submissions share.
  struct shared_part {
    detail::orphanage orphans;
    detail::local_copying copying;
    detail::staging_area staging;
    Meter* meter = nullptr;
    void* transport = nullptr;
    std::size_t (*progress)(void* transport) = nullptr;
    std::chrono::nanoseconds close_limit{0};
  };

  /// Copies some, and settles what has ended; returns whether all has.
  static bool advance(detail::submission_state& state, shared_part& shared) noexcept {
    for (detail::submitted_group& group : state.groups) {
      if (group.how == strategy::local && group.next < group.copies.size()) shared.copying.advance(group);
    }
    settle(state, shared);
    return state.open == 0;
  }

  /// Whether all has ended, and the transport has let go of what was kept for it.
  static bool is_released(const detail::submission_state& state) noexcept {
    if (state.open != 0) return false;
    if (!state.quarantined) return true;
    const auto free = [](const detail::submitted_group& group) { return !group.running || group.running.released(); };
    return std::all_of(state.groups.begin(), state.groups.end(), free);
  }

  /// Ends submissions. What they keep, and the transport has not let go of within close_limit, is never freed: it may yet be written.
  static void end(std::span<std::unique_ptr<detail::submission_state>> dropped, shared_part& shared) noexcept {
    for (auto& each : dropped) {
      cancel(*each);
      wait(*each, shared);
    }
    const auto until = later(std::chrono::steady_clock::now(), shared.close_limit);
    for (auto& each : dropped) {
      while (!is_released(*each) && std::chrono::steady_clock::now() < until) {
        if (shared.progress(shared.transport) == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
      if (!is_released(*each)) static_cast<void>(each.release());
    }
  }

  static void settle(detail::submission_state& state, shared_part& shared) noexcept {
    for (detail::submitted_group& group : state.groups) {
      if (group.settled || !ended(group)) continue;
      group.how == strategy::local ? settle_local(state, group, shared) : settle_transfer(state, group, shared);
      group.settled = true;
      --state.open;
    }
  }

 private:
  template <class, class, class>
  friend class basic_submitter;
  submission(std::unique_ptr<detail::submission_state> state, std::shared_ptr<shared_part> shared) noexcept
      : state_(std::move(state)), shared_(std::move(shared)) {}

  static void wait(detail::submission_state& state, shared_part& shared) noexcept {
    while (!advance(state, shared)) {
      for (detail::submitted_group& group : state.groups) {
        if (group.how == strategy::transport && !group.settled) {
          static_cast<void>(group.running.wait());
          break;
        }
      }
    }
  }
  static void cancel(detail::submission_state& state) noexcept {
    for (detail::submitted_group& group : state.groups) {
      if (group.how == strategy::transport && !group.settled) group.running.cancel();
    }
  }
  static bool ended(const detail::submitted_group& group) noexcept {
    return group.settled || (group.how == strategy::local ? group.next == group.copies.size() : group.running.ready());
  }
  static void settle_transfer(detail::submission_state& state, detail::submitted_group& group, shared_part& shared) noexcept {
    const completion& how = group.running.how();
    shared.meter->ended(stage::post, strategy::transport, how.posted);
    shared.meter->ended(stage::transfer, strategy::transport, how.finished - how.posted, how.bytes);
    state.quarantined = state.quarantined || how.quarantined;
    if (group.staged.count != 0) land(group, shared, how.quarantined);
    for (const auto& place : group.places) {
      bool arrived = true, closed = false;
      for (std::size_t i = place.first_slice; i <= place.last_slice && arrived; ++i) {
        arrived = group.running.succeeded(i);
        closed = closed || (!group.closed.empty() && group.closed[i]);
      }
      if (arrived && closed) {
        state.results[place.item] = fail(errc::not_registered, {.item = place.item, .what = "its owner no longer shares the region"});
      } else if (!arrived) {
        const error why = how.status ? error(errc::backend_failure) : how.status.error();
        state.results[place.item] = fail(why.with_item(place.item));
      }
    }
  }
  /// Brings staged bytes that were fetched where they belong, and gives the buffers back.
  static void land(detail::submitted_group& group, shared_part& shared, bool quarantined) noexcept {
    if (!group.staged.landings.empty()) {
      const stage_timer timer(*shared.meter, stage::pack, strategy::transport, group.staged.bytes);
      group.staged.land([&](std::size_t slice) { return group.running.succeeded(slice); }, [&](std::size_t slice) { group.closed[slice] = true; });
    }
    shared.meter->took_path(payload_path::slice_staged, group.staged.count, group.staged.count);
    for (auto& each : group.staged.buffers) shared.staging.give(std::move(each), quarantined);
    group.staged = {};
  }
  static void settle_local(detail::submission_state& state, detail::submitted_group& group, shared_part& shared) noexcept {
    shared.meter->ended(stage::transfer, strategy::local, std::chrono::steady_clock::now() - group.begun, group.bytes);
    for (const auto& place : group.places) {
      for (std::size_t i = place.first_slice; i <= place.last_slice; ++i) {
        if (group.closed[i])
          state.results[place.item] = fail(errc::not_registered, {.item = place.item, .what = "its owner no longer shares the region"});
      }
    }
    group.memories.clear();
  }

  std::unique_ptr<detail::submission_state> state_;
  std::shared_ptr<shared_part> shared_;
};

}  // namespace lading
