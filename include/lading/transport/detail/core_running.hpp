// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// endpoint_core: a round of progress, and whose turn it is in it.

#include <lading/transport/endpoint_core.hpp>

namespace lading {

/// Lines are for batches that wait for room: each peer has one for posting and one for notifying, and is looked up by whether it has any.
inline void endpoint_core::enter_line(operation& running, operation::place where) noexcept {
  running.place_ = where;
  if (where == operation::place::fresh) return fresh_.push_back<&operation::line_>(running);
  if (where == operation::place::again) return again_.push_back<&operation::line_>(running);
  peer_record& peer = *running.peer_record_;
  if (peer.posting.empty() && peer.notifying.empty()) busy_.push_back<&peer_record::busy>(peer);
  (where == operation::place::posting ? peer.posting : peer.notifying).push_back<&operation::line_>(running);
}

inline void endpoint_core::leave_line(operation& running) noexcept {
  const auto where = std::exchange(running.place_, operation::place::none);
  if (where == operation::place::none) return;
  if (where == operation::place::fresh) return fresh_.remove<&operation::line_>(running);
  if (where == operation::place::again) return again_.remove<&operation::line_>(running);
  peer_record& peer = *running.peer_record_;
  (where == operation::place::posting ? peer.posting : peer.notifying).remove<&operation::line_>(running);
  if (peer.posting.empty() && peer.notifying.empty()) busy_.remove<&peer_record::busy>(peer);
}

/// Makes those that were submitted since the last round running ones.
inline std::size_t endpoint_core::take_inbox(std::chrono::nanoseconds at) noexcept {
  if (!inbox_filled_.load(std::memory_order_acquire)) return 0;
  operation* newest = nullptr;
  {
    std::lock_guard held(pool_lock_);
    newest = std::exchange(inbox_, nullptr);
    inbox_filled_.store(false, std::memory_order_release);
  }
  operation* oldest = nullptr;
  while (newest != nullptr) {
    operation* const next = std::exchange(newest->next_, oldest);
    oldest = std::exchange(newest, next);
  }
  std::size_t happened = 0;
  while (oldest != nullptr) {
    operation& each = *std::exchange(oldest, oldest->next_);
    active_.push_back<&operation::active_>(each);
    if (each.cursor_ != each.slices_.size()) enter_line(each, operation::place::fresh);
    happened += look_at(each, std::max(at, each.submitted_));  // the time of the round may be older
    // Afterwards it is told what comes; what was before is seen here.
    const std::uint8_t before = each.marks_.fetch_or(operation::mark::listed, std::memory_order_acq_rel);
    if ((before & (operation::mark::released | operation::mark::due)) != 0) hand_on(each);
  }
  return happened;
}

/// Whether it is to be given up, or has been for too long.
inline std::size_t endpoint_core::look_at(operation& running, std::chrono::nanoseconds at) noexcept {
  if (running.over() || running.left_.load(std::memory_order_acquire) == 0) return 0;
  const errc lost = running.peer_record_->lost.load(std::memory_order_acquire);
  std::size_t happened = 0;
  if (running.given_up() == errc{}) {
    const errc why = running.cancel_.load(std::memory_order_acquire) ? errc::cancelled
                     : lost != errc{}                                ? lost
                     : at >= running.deadline_                       ? errc::timed_out
                                                                     : errc{};
    if (why == errc{}) {
      next_look_ = std::min(next_look_, running.deadline_);
      return 0;
    }
    give_up(running, why, at);
    happened = 1;
    if (running.over() || running.left_.load(std::memory_order_acquire) == 0) return happened;
  }
  if (running.given_up() == errc::cancelled && lost != errc{}) running.drain_until_ = std::min(running.drain_until_, later(at, options_.drain_limit));
  if (at >= running.drain_until_) {
    quarantine(running);
    return 1;
  }
  next_look_ = std::min(next_look_, running.drain_until_);
  return happened;
}

inline std::size_t endpoint_core::look_at_all(std::chrono::nanoseconds at) noexcept {
  std::size_t happened = 0;
  next_look_ = std::chrono::nanoseconds::max();
  for (operation* each = active_.first(); each != nullptr; each = each->active_.next) happened += look_at(*each, at);
  return happened;
}

/// Lets the driver take slices, and puts the batch where it is to wait with what is left.
inline std::size_t endpoint_core::offer(operation& waiting) noexcept {
  const std::size_t before = waiting.cursor_;
  waiting.turn_ = operation::turn::none;
  if (waiting.peer_record_->lost.load(std::memory_order_acquire) == errc{}) post_more(waiting);  // else it is soon given up
  const bool all = waiting.cursor_ == waiting.slices_.size();
  if (all && waiting.counted_waiting_) {
    waiting.counted_waiting_ = false;
    waiting.peer_record_->waiting.fetch_sub(1, std::memory_order_relaxed);
  }
  const auto wanted = all ? operation::place::none : waiting.turn_ != operation::turn::none ? operation::place::again : operation::place::posting;
  // It stays the first in its line, but where it has had its turn.
  if (waiting.place_ != wanted || waiting.turn_ == operation::turn::had) {
    leave_line(waiting);
    if (!all) enter_line(waiting, wanted);
  }
  return waiting.cursor_ - before;
}

/// Offers the driver what may find room now. Where one batch of a peer finds none, those behind it are not tried, but each is once when it comes.
inline std::size_t endpoint_core::take_turns() noexcept {
  std::size_t happened = 0;
  constexpr int most_turns = 64;  // of those who go on for ever
  for (int turns = 0; turns < most_turns && !again_.empty(); ++turns) {
    operation& each = *again_.first();
    happened += offer(each);
    if (each.turn_ == operation::turn::to_come) break;  // nor is there room for others in this round
  }
  for (peer_record *peer = busy_.first(), *next = nullptr; peer != nullptr; peer = next) {
    next = peer->busy.next;
    if (peer->lost.load(std::memory_order_acquire) != errc{}) continue;  // the next round gives them up
    while (operation* each = peer->posting.first()) {
      happened += offer(*each);
      if (peer->posting.first() == each) break;
    }
    while (operation* each = peer->notifying.first()) {
      if (!announce(*each)) break;
      leave_line(*each);
    }
  }
  while (operation* each = fresh_.first()) happened += offer(*each);
  return happened;
}

/// Takes those that are over out of the running ones, and puts those whose slices have arrived into the line of those that are to notify.
inline std::size_t endpoint_core::listen() noexcept {
  std::size_t happened = 0;
  while (told_.load(std::memory_order_relaxed) != nullptr) {
    operation* newest = told_.exchange(nullptr, std::memory_order_acquire);
    operation* oldest = nullptr;
    while (newest != nullptr) {
      operation* const next = std::exchange(newest->next_, oldest);
      oldest = std::exchange(newest, next);
    }
    while (oldest != nullptr) {
      operation& each = *std::exchange(oldest, oldest->next_);
      leave_line(each);
      if ((each.marks() & operation::mark::released) != 0) {
        active_.remove<&operation::active_>(each);
        ++happened;
        detach(each);
        unreference(each);
      } else if (each.given_up() == errc{} || !announce(each)) {
        enter_line(each, operation::place::notifying);
      }
    }
  }
  return happened;
}

/// One round, under drive_.
///
/// Complexity: constant, and for each batch that has come, can be posted, or has ended; all are looked at where a deadline has passed, a batch was
///             cancelled, or a peer lost.
inline std::size_t endpoint_core::drive() noexcept {
  std::size_t happened = stopped_ ? 0 : driver_->progress();
  if (active_.empty() && !inbox_filled_.load(std::memory_order_acquire)) return happened;
  const auto at = stopped_ ? now() : driver_->time_of_round(*this);
  happened += take_inbox(at);
  const bool look = look_.load(std::memory_order_relaxed) && look_.exchange(false, std::memory_order_acq_rel);
  if (look || at >= next_look_) happened += look_at_all(now());
  happened += listen();
  if (!stopped_) happened += take_turns();
  happened += listen();
  if (!again_.empty()) side->awake.signal();  // the next round has something to do, though nothing will come in
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
