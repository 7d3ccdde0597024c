// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <lading/exchange/detail/local_copying.hpp>
#include <lading/exchange/detail/staging.hpp>
#include <lading/exchange/detail/submission_state.hpp>
#include <lading/exchange/metrics.hpp>
#include <lading/exchange/strategy.hpp>
#include <lading/transport/time_source.hpp>

namespace lading {

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

  /// Whether every item has ended. Asking again and again is enough for copies inside the process: each call makes up to 32 MiB of them. The
  /// transport's progress is its owner's, or of wait() and wait_for().
  bool is_ready() noexcept { return state_ == nullptr || advance(*state_, *shared_); }

  /// Makes progress until every item has ended.
  void wait() noexcept {
    if (state_ != nullptr) wait(*state_, *shared_);
  }

  /// Makes progress until every item has ended or the time is up; returns is_ready(). A copy inside the process may outlast the time.
  bool wait_for(std::chrono::nanoseconds timeout) noexcept {
    const auto until = later(std::chrono::steady_clock::now(), timeout);
    while (!is_ready()) {
      const auto left = until - std::chrono::steady_clock::now();
      if (left.count() <= 0) return false;
      for (detail::submitted_group& group : state_->groups) {
        if (group.how == strategy::transport && !group.settled) {
          static_cast<void>(group.running.wait_for(left));
          break;
        }
      }
    }
    return true;
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

  /// How all items are moved; nothing where there are none, or some go one way and some another, as strategies() tells.
  [[nodiscard]] std::optional<lading::strategy> strategy() const noexcept {
    const auto each = strategies();
    for (const lading::strategy one : each) {
      if (one != each.front()) return std::nullopt;
    }
    return each.empty() ? std::nullopt : std::optional(each.front());
  }
  /// How each item is moved, or would have been where it was refused.
  [[nodiscard]] std::span<const lading::strategy> strategies() const noexcept {
    return state_ == nullptr ? std::span<const lading::strategy>{} : state_->strategies;
  }

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
        closed = closed || (!group.closed.empty() && group.closed[i] != 0);
      }
      if (!arrived) {
        const error why = how.status ? error(errc::backend_failure) : how.status.error();
        state.results[place.item] = fail(why.with_item(place.item));
      } else if (closed) {
        state.results[place.item] = no_longer_shared(place.item);
      }
    }
    count(state, group, shared);
  }
  /// Counts how its items have ended.
  static void count(const detail::submission_state& state, const detail::submitted_group& group, shared_part& shared) noexcept {
    std::uint64_t succeeded = 0;
    for (const auto& place : group.places) {
      const result<void>& how = state.results[place.item];
      how ? static_cast<void>(++succeeded) : shared.meter->item_failed(group.how, how.error().code());
    }
    shared.meter->items_succeeded(group.how, succeeded);
  }
  static failure no_longer_shared(std::size_t item) noexcept {
    return fail(errc::not_registered, {.item = item, .what = "its owner no longer shares the region"});
  }
  /// Brings staged bytes that were fetched where they belong, and gives the buffers back.
  static void land(detail::submitted_group& group, shared_part& shared, bool quarantined) noexcept {
    if (!group.staged.landings.empty()) {
      const stage_timer timer(*shared.meter, stage::pack, strategy::transport, group.staged.bytes);
      group.staged.land([&](std::size_t slice) { return group.running.succeeded(slice); }, [&](std::size_t slice) { group.closed[slice] = 1; });
    }
    shared.meter->took_path(payload_path::slice_staged, group.staged.count, group.staged.count);
    for (auto& each : group.staged.buffers) shared.staging.give(std::move(each), quarantined);
    group.staged = {};
  }
  static void settle_local(detail::submission_state& state, detail::submitted_group& group, shared_part& shared) noexcept {
    shared.meter->ended(stage::transfer, strategy::local, std::chrono::steady_clock::now() - group.begun, group.bytes);
    for (const auto& place : group.places) {
      for (std::size_t i = place.first_slice; i <= place.last_slice; ++i) {
        if (group.closed[i] != 0) state.results[place.item] = no_longer_shared(place.item);
      }
    }
    count(state, group, shared);
    group.memories.clear();
  }

  std::unique_ptr<detail::submission_state> state_;
  std::shared_ptr<shared_part> shared_;
};

}  // namespace lading
