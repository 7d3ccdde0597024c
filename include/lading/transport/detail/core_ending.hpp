// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// endpoint_core: how a batch ends, once.

#include <lading/transport/endpoint_core.hpp>

namespace lading {

/// Gives up the regions that the operation has pinned.
inline void endpoint_core::release(operation& done) noexcept {
  const bool was_quarantined = (done.marks() & operation::mark::ended) != 0;
  for (const region_id id : done.locals_) {
    if (was_quarantined) {
      local_region& region = side->regions.pinned(number(id));
      region.held.let_go(&done);
      if (done.holds_unknown_) region.held_whole.fetch_sub(1, std::memory_order_acq_rel);
      region.quarantined.fetch_sub(1, std::memory_order_acq_rel);
    }
    side->unpin(id);
  }
  for (const remote_region_id id : done.remotes_) {
    remotes.pinned(number(id)).key->release();
    dead_.bury(remotes.unpin(number(id)));
  }
  done.locals_.clear();
  done.remotes_.clear();
}

/// Gives up the peer. Only for the thread that took the operation out of the running ones, or never put it there.
inline void endpoint_core::detach(operation& done) noexcept {
  if (done.peer_record_ == nullptr) return;
  if (done.counted_waiting_) done.peer_record_->waiting.fetch_sub(1, std::memory_order_relaxed);
  done.counted_waiting_ = false;
  done.peer_record_ = nullptr;
  dead_.bury(peers_.unpin(number(done.peer_)));
}

/// Writes the completion and tells whoever counts. The caller has made sure to be the only one.
inline void endpoint_core::settle(operation& done, bool quarantined, std::chrono::nanoseconds at) noexcept {
  completion& how = done.completion_;
  const auto count = static_cast<std::uint32_t>(done.slices_.size());
  const auto out =
      quarantined ? static_cast<std::uint32_t>(std::min<std::size_t>(done.left_.load(std::memory_order_acquire), count - done.failed_)) : 0;
  how.failed = done.failed_ + out;
  how.done = count - how.failed;
  how.bytes = done.bytes_.load(std::memory_order_relaxed);
  how.first_failed = out != 0 ? 0 : done.first_failed_;
  how.quarantined = quarantined;
  how.status = done.failed_ != 0 ? done.first_error_ : done.notify_error_;
  if (quarantined)
    how.status = fail(done.given_up(),
                      {.needed = count, .available = how.done, .what = "slices are still with the transport: their local bytes are quarantined"});
  how.posted = done.posted_;
  how.finished = at - done.submitted_;
  metrics_.count(done.direction_, how);
  if (options_.observer != nullptr) options_.observer->ended(done.peer_, done.direction_, how);
}

/// Everything has been reported: sends the notification, or ends the transfer, or lets go what was quarantined.
inline void endpoint_core::conclude(operation& done, std::chrono::nanoseconds at) noexcept {
  if (done.notice_.load(std::memory_order_acquire) == operation::notice::wanted) {
    bool announce = false;
    {
      std::lock_guard held(done.lock_);
      announce = done.failed_ == 0 && !done.settled_;
    }
    if (announce) {
      done.left_.store(1, std::memory_order_release);
      // Whoever drives tries again. There may have been room since, when nobody knew that it is due. And progress may hold the driver.
      if (caps_.concurrent_post && try_notify(done)) return;
      done.notice_.store(operation::notice::due, std::memory_order_release);
      tell(done, operation::mark::due);
      return;
    }
  }
  bool first = false;
  {
    std::lock_guard held(done.lock_);
    first = !std::exchange(done.settled_, true);
  }
  release(done);
  if (first) {
    settle(done, false, at);
  } else if (done.completion_.quarantined) {
    metrics_.count_released();
  }
  running_.fetch_sub(1, std::memory_order_relaxed);
  tell(done, operation::mark::released);
}

inline void endpoint_core::hand_on(operation& done) noexcept {
  operation* first = told_.load(std::memory_order_relaxed);
  do {
    done.next_ = first;
  } while (!told_.compare_exchange_weak(first, &done, std::memory_order_release, std::memory_order_relaxed));
}

/// Marks the operation, and tells whoever drives. Afterwards the operation may be gone.
inline void endpoint_core::tell(operation& done, std::uint8_t what) noexcept {
  if ((done.marks_.fetch_or(what, std::memory_order_acq_rel) & operation::mark::listed) != 0) hand_on(done);  // it stays until it has been told
  side->awake.signal();  // last: whoever wakes sees what is marked
}

/// Whether the driver took it; then the operation may have ended already.
inline bool endpoint_core::try_notify(operation& done) noexcept {
  done.notice_.store(operation::notice::sent, std::memory_order_release);
  if (driver_->notify(*done.peer_record_->connection, done.notify_tag_, done)) return true;
  done.notice_.store(operation::notice::due, std::memory_order_release);
  return false;
}

/// The same for one that is due; true where it need not be tried again.
inline bool endpoint_core::announce(operation& due) noexcept {
  if (due.given_up() == errc{}) return try_notify(due);
  due.notice_.store(operation::notice::sent, std::memory_order_release);
  due.notified(fail(due.given_up(), {.what = "all bytes arrived, but the notification could not be given"}));
  return true;
}

/// Drops what the driver has not taken, and asks it to end what it has.
inline void endpoint_core::give_up(operation& running, errc why, std::chrono::nanoseconds at) noexcept {
  const bool due = running.place_ == operation::place::notifying;
  leave_line(running);
  running.given_up_.store(why, std::memory_order_release);
  // A cancelled batch may take its time, up to its deadline: its slices end as the transport can.
  running.drain_until_ = later(why == errc::cancelled ? std::max(at, running.deadline_) : at, options_.drain_limit);
  driver_->abort(*running.peer_record_->connection, running);
  const std::size_t rest = running.slices_.size() - running.cursor_;
  if (rest != 0) running.failed(std::exchange(running.cursor_, running.slices_.size()), rest, error(why, {.what = "given up before it was posted"}));
  if (due) static_cast<void>(announce(running));
}

/// Marks the local ranges that the transport may still touch. Which of the slices these are it does not say, so it is all of them.
inline void endpoint_core::hold(operation& running) noexcept {
  const std::span<const slice> slices = running.durable_ ? running.slices_ : std::span<const slice>(running.own_slices_);
  running.holds_unknown_ = slices.size() != running.slices_.size();
  for (const slice& each : slices) {
    local_region& region = side->regions.pinned(number(each.local));
    if (running.holds_unknown_ || !region.held.add(&running, each.local_offset, each.size)) {
      running.holds_unknown_ = true;
      break;
    }
  }
  for (const region_id id : running.locals_) {
    local_region& region = side->regions.pinned(number(id));
    if (running.holds_unknown_) region.held_whole.fetch_add(1, std::memory_order_acq_rel);
    region.quarantined.fetch_add(1, std::memory_order_acq_rel);
  }
}

/// Ends the transfer for its user although slices are still out; their regions stay pinned, and the slices marked, until they come back.
inline void endpoint_core::quarantine(operation& running) noexcept {
  std::lock_guard held(running.lock_);
  if (running.settled_ || running.left_.load(std::memory_order_acquire) == 0) return;
  running.settled_ = true;
  const auto notice = running.notice_.load(std::memory_order_acquire);
  const bool slices_done = notice == operation::notice::sent || notice == operation::notice::due;
  if (slices_done) {  // only the notification is out, and that touches no region
    running.notify_error_ = fail(running.given_up(), {.what = "all bytes arrived, but the peer has not taken the notification"});
    release(running);
  } else {
    hold(running);
  }
  settle(running, !slices_done, now());
  running.marks_.fetch_or(operation::mark::ended, std::memory_order_acq_rel);
}

}  // namespace lading
