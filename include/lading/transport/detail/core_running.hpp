// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// endpoint_core: running batches, from the first report to their one end.

#include <lading/transport/endpoint_core.hpp>

namespace lading {

/// Gives up the regions that the operation has pinned.
inline void endpoint_core::release(operation& done) noexcept {
  const bool was_quarantined = done.phase_.load(std::memory_order_relaxed) == operation::phase::ended;
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
      if (caps_.concurrent_post) {
        // In vain: whoever drives tries again. There may have been room since, when nobody knew that it is due.
        if (!try_notify(done)) side->awake.signal();
      } else {
        done.notice_.store(operation::notice::due, std::memory_order_release);  // progress holds the driver
        side->awake.signal();
      }
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
  done.phase_.store(operation::phase::released, std::memory_order_release);
  side->awake.signal();  // last: whoever wakes sees what is released
}

/// Whether the driver took it; then the operation may have ended already.
inline bool endpoint_core::try_notify(operation& done) noexcept {
  done.notice_.store(operation::notice::sent, std::memory_order_release);
  if (driver_->notify(*done.peer_record_->connection, done.notify_tag_, done)) return true;
  done.notice_.store(operation::notice::due, std::memory_order_release);
  return false;
}

/// Drops what the driver has not taken, and asks it to end what it has.
inline void endpoint_core::give_up(operation& running, errc why, std::chrono::nanoseconds at) noexcept {
  running.given_up_.store(why, std::memory_order_release);
  // A cancelled batch may take its time, up to its deadline: its slices end as the transport can.
  running.drain_until_ = later(why == errc::cancelled ? std::max(at, running.deadline_) : at, options_.drain_limit);
  driver_->abort(*running.peer_record_->connection, running);
  const std::size_t rest = running.slices_.size() - running.cursor_;
  if (rest != 0) running.failed(std::exchange(running.cursor_, running.slices_.size()), rest, error(why, {.what = "given up before it was posted"}));
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
  const bool slices_done = running.notice_.load(std::memory_order_acquire) == operation::notice::sent;
  if (slices_done) {  // only the notification is out, and that touches no region
    running.notify_error_ = fail(running.given_up(), {.what = "all bytes arrived, but the peer has not taken the notification"});
    release(running);
  } else {
    hold(running);
  }
  settle(running, !slices_done, now());
  running.phase_.store(operation::phase::ended, std::memory_order_release);
}

inline std::size_t endpoint_core::service(operation& running, std::chrono::nanoseconds at) noexcept {
  const auto phase = running.phase_.load(std::memory_order_acquire);
  if (phase != operation::phase::running || running.left_.load(std::memory_order_acquire) == 0) return 0;
  if (running.given_up() == errc{}) {
    const errc lost = running.peer_record_->lost.load(std::memory_order_acquire);
    const errc why = running.cancel_.load(std::memory_order_acquire) ? errc::cancelled
                     : lost != errc{}                                ? lost
                     : at >= running.deadline_                       ? errc::timed_out
                                                                     : errc{};
    if (why == errc{}) {
      const std::size_t before = running.cursor_;
      post_more(running);
      if (running.counted_waiting_ && running.cursor_ == running.slices_.size()) {
        running.counted_waiting_ = false;
        running.peer_record_->waiting.fetch_sub(1, std::memory_order_relaxed);
      }
      if (running.notice_.load(std::memory_order_acquire) == operation::notice::due) static_cast<void>(try_notify(running));
      return running.cursor_ - before;
    }
    give_up(running, why, at);
    return 1;
  }
  if (running.notice_.load(std::memory_order_acquire) == operation::notice::due) {
    running.notice_.store(operation::notice::sent, std::memory_order_release);
    running.notified(fail(running.given_up(), {.what = "all bytes arrived, but the notification could not be given"}));
    return 1;
  }
  if (running.given_up() == errc::cancelled && running.peer_record_->lost.load(std::memory_order_acquire) != errc{}) {
    running.drain_until_ = std::min(running.drain_until_, later(at, options_.drain_limit));
  }
  if (at >= running.drain_until_) {
    quarantine(running);
    return 1;
  }
  return 0;
}

/// One round, under drive_.
inline std::size_t endpoint_core::drive() noexcept {
  std::size_t happened = stopped_ ? 0 : driver_->progress();
  if (inbox_filled_.load(std::memory_order_acquire)) {
    operation* fresh = nullptr;
    {
      std::lock_guard held(pool_lock_);
      fresh = std::exchange(inbox_, nullptr);
      inbox_filled_.store(false, std::memory_order_release);
    }
    operation* oldest_first = nullptr;
    while (fresh != nullptr) {
      operation* next = fresh->next_;
      fresh->next_ = oldest_first;
      oldest_first = fresh;
      fresh = next;
    }
    operation** end = &active_;
    while (*end != nullptr) end = &(*end)->next_;
    *end = oldest_first;
  }
  if (active_ == nullptr) return happened;
  const auto at = now();
  for (operation** link = &active_; *link != nullptr;) {
    operation& each = **link;
    happened += service(each, at);
    if (each.phase_.load(std::memory_order_acquire) == operation::phase::released) {
      *link = each.next_;
      ++happened;
      detach(each);
      unreference(each);
    } else {
      link = &each.next_;
    }
  }
  return happened;
}

/// For threads that may sleep on the descriptor afterwards: it stays unreadable only while there is nothing that this call has not looked at.
inline std::size_t endpoint_core::progress() noexcept {
  const bool mine = drive_.try_lock();
  side->awake.clear();
  if (!mine) {
    drive_.ask();
    return 0;
  }
  const std::size_t happened = drive();
  dead_.try_sweep();
  // Another thread may sleep on a descriptor of the driver's that this round has taken the events from, and this one may not come again.
  if (happened != 0) side->awake.signal();
  drive_.unlock();
  side->dead.try_sweep();
  return happened;
}

/// For threads that wait here, and do not sleep on the descriptor: leaves it to those who do, who are woken by wake when the waiting is over.
inline std::size_t endpoint_core::help() noexcept {
  if (!drive_.try_lock()) return 0;
  const std::size_t happened = drive();
  dead_.try_sweep();
  drive_.unlock_quietly();
  side->dead.try_sweep();
  return happened;
}

}  // namespace lading
