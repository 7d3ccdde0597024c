// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// endpoint_core: batches, from submit to the driver.

#include <algorithm>

#include <lading/transport/detail/at_exit.hpp>
#include <lading/transport/endpoint_core.hpp>

namespace lading {

namespace detail {

/// Makes room for one more element, so that what follows cannot throw.
template <class Element>
void reserve_one(std::vector<Element>& list) {
  if (list.size() == list.capacity()) list.reserve(list.size() * 2 + 4);
}

}  // namespace detail

inline operation* endpoint_core::acquire() noexcept {
  operation* fresh = nullptr;
  {
    std::lock_guard held(pool_lock_);
    if (pool_ != nullptr) {
      fresh = std::exchange(pool_, pool_->next_);
      --pool_size_;
    }
  }
  if (fresh == nullptr) fresh = new (std::nothrow) operation;
  if (fresh == nullptr) return nullptr;
  fresh->next_ = nullptr;
  fresh->owner_ = this;
  fresh->references_.store(1, std::memory_order_relaxed);
  return fresh;
}

/// Makes the operation as new, but keeps what its vectors have allocated, and puts it into the pool.
inline void endpoint_core::recycle(operation& done) noexcept {
  constexpr std::size_t pool_limit = 64;
  constexpr std::size_t kept_slices = 4096;
  done.user = nullptr;
  done.user_number = 0;
  done.marks_.store(0, std::memory_order_relaxed);
  done.notice_.store(operation::notice::none, std::memory_order_relaxed);
  done.given_up_.store(errc{}, std::memory_order_relaxed);
  done.cancel_.store(false, std::memory_order_relaxed);
  done.left_.store(0, std::memory_order_relaxed);
  done.bytes_.store(0, std::memory_order_relaxed);
  done.settled_ = done.failures_unknown_ = done.durable_ = done.counted_waiting_ = done.holds_unknown_ = false;
  if (done.failed_ != 0) {
    done.failed_ = 0;
    done.first_failed_ = completion::none;
    done.first_error_ = result<void>{};
    done.failures_.clear();
  }
  if (!done.notify_error_) done.notify_error_ = result<void>{};
  done.peer_ = {};
  done.peer_record_ = nullptr;
  done.cursor_ = 0;
  done.slices_ = {};
  done.own_slices_.clear();
  done.prepared_.reset();
  done.locals_.clear();
  done.remotes_.clear();
  {
    std::lock_guard held(pool_lock_);
    if (pool_size_ < pool_limit && done.own_slices_.capacity() <= kept_slices) {
      done.next_ = pool_;
      pool_ = &done;
      ++pool_size_;
      return;
    }
  }
  delete &done;
}

inline result<void> endpoint_core::pin_peer(operation& fresh, peer_id peer) noexcept {
  peer_record* record = peers_.pin(number(peer));
  if (record == nullptr) return fail(errc::closed, {.what = "no such peer: connect to it first"});
  fresh.peer_ = peer;
  fresh.peer_record_ = record;
  if (const errc lost = record->lost.load(std::memory_order_acquire); lost != errc{}) {
    return fail(lost, {.what = "transfers with this peer have failed: disconnect, then connect again"});
  }
  return {};
}

inline result<local_region*> endpoint_core::pin_local(operation& fresh, region_id id) {
  local_region* region = nullptr;
  const std::size_t recent = std::min<std::size_t>(fresh.locals_.size(), 8);
  for (std::size_t i = fresh.locals_.size() - recent; i < fresh.locals_.size(); ++i) {
    if (fresh.locals_[i] == id) return &side->regions.pinned(number(id));
  }
  detail::reserve_one(fresh.locals_);
  region = side->regions.pin(number(id));
  if (region == nullptr) return fail(errc::not_registered, {.what = "the local region is not registered with this endpoint (any more)"});
  fresh.locals_.push_back(id);
  return region;
}

inline result<remote_region*> endpoint_core::pin_remote(operation& fresh, remote_region_id id) {
  const std::size_t recent = std::min<std::size_t>(fresh.remotes_.size(), 8);
  for (std::size_t i = fresh.remotes_.size() - recent; i < fresh.remotes_.size(); ++i) {
    if (fresh.remotes_[i] == id) return &remotes.pinned(number(id));
  }
  detail::reserve_one(fresh.remotes_);
  remote_region* region = remotes.pin(number(id));
  if (region == nullptr) return fail(errc::not_registered, {.what = "the remote region is not imported (any more): import its descriptor"});
  auto held =
      region->peer == fresh.peer_ ? region->key->hold() : result<void>(fail(errc::invalid_argument, {.what = "the remote region is another peer's"}));
  if (!held) {
    dead_.bury(remotes.unpin(number(id)));
    return fail(held.error());
  }
  fresh.remotes_.push_back(id);
  return region;
}

/// Errors: busy with the item, where a transfer that has ended may still touch the slice's local bytes.
inline result<void> endpoint_core::check_held(local_region& region, const slice& wanted, std::size_t item) noexcept {
  if (!region.is_held(wanted.local_offset, wanted.size)) return {};
  return fail(errc::busy, {.needed = wanted.size,
                           .offset = wanted.local_offset,
                           .item = item,
                           .what = "the local bytes are quarantined: a transfer that ended early may still touch them"});
}

/// Pins all that the slices use, and checks every bound.
inline result<void> endpoint_core::check(operation& fresh, std::span<const slice> slices) {
  if (slices.size() >= completion::none)
    return fail(errc::limit_exceeded, {.needed = slices.size(), .available = completion::none - 1, .what = "too many slices"});
  region_id last_local{};
  remote_region_id last_remote{};
  std::uint64_t local_size = 0, remote_size = 0, total = 0;
  local_region* doubtful = nullptr;  // the local region, where parts of it are quarantined
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const slice& wanted = slices[i];
    if (wanted.local != last_local || i == 0) [[unlikely]] {
      auto region = pin_local(fresh, wanted.local);
      if (!region) return fail(region.error().with_item(i));
      local_size = (*region)->bytes.size();
      doubtful = (*region)->quarantined.load(std::memory_order_acquire) != 0 ? *region : nullptr;
      last_local = wanted.local;
    }
    if (wanted.remote != last_remote || i == 0) [[unlikely]] {
      auto region = pin_remote(fresh, wanted.remote);
      if (!region) return fail(region.error().with_item(i));
      remote_size = (*region)->size;
      last_remote = wanted.remote;
    }
    if (!range_inside(wanted.local_offset, wanted.size, local_size)) [[unlikely]] {
      return fail(errc::out_of_range, {.needed = wanted.size,
                                       .available = local_size,
                                       .offset = wanted.local_offset,
                                       .item = i,
                                       .what = "the slice reaches outside its local region"});
    }
    if (doubtful != nullptr) [[unlikely]] {
      if (auto free = check_held(*doubtful, wanted, i); !free) return free;
    }
    if (!range_inside(wanted.remote_offset, wanted.size, remote_size)) [[unlikely]] {
      return fail(errc::out_of_range, {.needed = wanted.size,
                                       .available = remote_size,
                                       .offset = wanted.remote_offset,
                                       .item = i,
                                       .what = "the slice reaches outside its remote region"});
    }
    if (wanted.size > caps_.max_slice_size) [[unlikely]] {
      return fail(
          errc::limit_exceeded,
          {.needed = wanted.size, .available = caps_.max_slice_size, .item = i, .what = "the slice is larger than this transport moves: split it"});
    }
    total += wanted.size;
  }
  fresh.total_bytes_ = total;
  return {};
}

inline result<operation*> endpoint_core::refuse(operation* fresh, const error& why) noexcept {
  metrics_.count_refused();
  if (fresh != nullptr) {
    release(*fresh);
    detach(*fresh);
    unreference(*fresh);
  }
  running_.fetch_sub(1, std::memory_order_relaxed);
  return fail(why);
}

inline result<operation*> endpoint_core::begin(peer_id peer, op direction, const submit_options& options, std::chrono::nanoseconds started,
                                               auto&& load) {
  if (running_.fetch_add(1, std::memory_order_relaxed) >= options_.max_running) {
    return refuse(nullptr, error(errc::would_block,
                                 {.available = options_.max_running, .what = "too many transfers are running: make progress, then try again"}));
  }
  operation* fresh = acquire();
  if (fresh == nullptr) return refuse(nullptr, error(errc::no_memory));
  if (side->closed.load(std::memory_order_acquire)) return refuse(fresh, error(errc::closed, {.what = "this endpoint is closed"}));
  if (options.notify && (!caps_.notifies || direction != op::put)) {
    return refuse(fresh, error(errc::unsupported, {.what = "this transport cannot notify, or the batch is not a put"}));
  }
  if (direction == op::get && !caps_.serves_get) return refuse(fresh, error(errc::unsupported, {.what = "this transport cannot get"}));
  result<void> loaded;
  LADING_TRY {
    loaded = pin_peer(*fresh, peer);
    if (loaded) loaded = load(*fresh);
  }
  LADING_CATCH_BAD_ALLOC(loaded = fail(errc::no_memory))
  if (!loaded) return refuse(fresh, loaded.error());
  fresh->direction_ = direction;
  fresh->submitted_ = started;
  fresh->deadline_ = later(started, options.deadline.count() != 0 ? options.deadline : options_.default_deadline);
  fresh->notify_tag_ = options.notify_tag;
  if (options.notify) fresh->notice_.store(operation::notice::wanted, std::memory_order_relaxed);
  // One more than there are slices, so that the transfer does not end before submit is done with it.
  fresh->left_.store(fresh->slices_.size() + 1, std::memory_order_release);
  launch(*fresh);
  return fresh;
}

inline result<operation*> endpoint_core::submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& options) {
  return begin(peer, direction, options, now(), [&](operation& fresh) -> result<void> {
    fresh.slices_ = slices;
    return check(fresh, slices);
  });
}

inline result<operation*> endpoint_core::submit(const std::shared_ptr<const detail::prepared_state>& prepared, const submit_options& options) {
  if (prepared->owner != side->identity) return fail(errc::invalid_argument, {.what = "the batch was prepared by another endpoint: prepare it here"});
  return begin(prepared->peer, prepared->direction, options, now(), [&](operation& fresh) -> result<void> {
    fresh.prepared_ = prepared;
    fresh.slices_ = prepared->slices;
    fresh.durable_ = true;
    fresh.total_bytes_ = prepared->bytes;
    for (const region_id id : prepared->locals) {
      auto region = pin_local(fresh, id);
      if (!region) return fail(region.error());
      if ((*region)->quarantined.load(std::memory_order_acquire) == 0) continue;
      for (std::size_t i = 0; i < prepared->slices.size(); ++i) {
        if (prepared->slices[i].local != id) continue;
        if (auto free = check_held(**region, prepared->slices[i], i); !free) return free;
      }
    }
    for (const remote_region_id id : prepared->remotes) {
      if (auto region = pin_remote(fresh, id); !region) return fail(region.error());
    }
    return {};
  });
}

inline result<std::shared_ptr<const detail::prepared_state>> endpoint_core::prepare(peer_id peer, op direction, std::span<const slice> slices) {
  auto state = std::make_shared<detail::prepared_state>();
  state->owner = side->identity;
  state->peer = peer;
  state->direction = direction;
  state->slices.assign(slices.begin(), slices.end());
  operation* const trial = acquire();
  if (trial == nullptr) return fail(errc::no_memory);
  const detail::at_exit unpin([&] {
    release(*trial);
    detach(*trial);
    unreference(*trial);
  });
  if (auto pinned = pin_peer(*trial, peer); !pinned) return fail(pinned.error());
  trial->direction_ = direction;
  trial->slices_ = state->slices;
  trial->durable_ = true;
  if (auto checked = check(*trial, state->slices); !checked) return fail(checked.error());
  state->bytes = trial->total_bytes_;
  state->locals = trial->locals_;
  state->remotes = trial->remotes_;
  const auto once = [](auto& ids) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  };
  once(state->locals);
  once(state->remotes);
  batch view(*trial);
  std::lock_guard held(drive_);
  auto plan = driver_->prepare(view);
  if (!plan) return fail(plan.error());
  state->plan = std::move(*plan);
  return state;
}

/// Gives the driver what it takes at once; the rest waits for progress.
inline void endpoint_core::launch(operation& fresh) noexcept {
  const auto post_now = [&] {
    if (fresh.peer_record_->waiting.load(std::memory_order_relaxed) == 0) post_more(fresh);
  };
  const auto all_posted = [&] { return fresh.cursor_ == fresh.slices_.size(); };
  metrics_.count_submitted();
  if (fresh.deadline_ <= fresh.submitted_) {
    expire(fresh);
  } else if (caps_.concurrent_post) {
    post_now();
  } else if (drive_.try_lock()) {
    post_now();
    drive_.unlock();
  }
  if (!all_posted() && !fresh.durable_) {
    bool stored = false;
    LADING_TRY {
      fresh.own_slices_.assign(fresh.slices_.begin(), fresh.slices_.end());
      stored = true;
    }
    LADING_CATCH_BAD_ALLOC(stored = false)
    if (stored) {
      fresh.slices_ = fresh.own_slices_;
      fresh.durable_ = true;
      if (caps_.concurrent_post) post_now();
    } else {
      const std::size_t rest = fresh.slices_.size() - fresh.cursor_;
      fresh.failed(std::exchange(fresh.cursor_, fresh.slices_.size()), rest, error(errc::no_memory, {.what = "no memory to queue the slices"}));
    }
  }
  if (all_posted() && !fresh.durable_ && fresh.left_.load(std::memory_order_acquire) > 1) {
    // Should it be quarantined, what it holds must be known. The driver does not look at these.
    LADING_TRY { fresh.own_slices_.assign(fresh.slices_.begin(), fresh.slices_.end()); }
    LADING_CATCH_BAD_ALLOC(fresh.own_slices_.clear())
  }
  if (!all_posted()) {
    fresh.counted_waiting_ = true;
    fresh.peer_record_->waiting.fetch_add(1, std::memory_order_relaxed);
  }
  const auto at = now();
  fresh.posted_ = at - fresh.submitted_;
  if (fresh.left_.fetch_sub(1, std::memory_order_acq_rel) == 1) conclude(fresh, at);
  // Ended here and now, it need not be kept among the running ones.
  if ((fresh.marks() & operation::mark::released) != 0) return detach(fresh);
  fresh.references_.fetch_add(1, std::memory_order_relaxed);
  {
    std::lock_guard held(pool_lock_);
    fresh.next_ = inbox_;
    inbox_ = &fresh;
    inbox_filled_.store(true, std::memory_order_release);
  }
  side->awake.signal();
}

/// Its time was up before it began: nothing of it is posted.
inline void endpoint_core::expire(operation& fresh) noexcept {
  constexpr const char* what = "the deadline was over when the batch was submitted";
  fresh.given_up_.store(errc::timed_out, std::memory_order_release);
  fresh.notice_.store(operation::notice::none, std::memory_order_relaxed);
  fresh.notify_error_ = fail(errc::timed_out, {.what = what});  // how a batch of no slices ends
  fresh.cursor_ = fresh.slices_.size();
  fresh.failed(0, fresh.slices_.size(), error(errc::timed_out, {.what = what}));
}

inline void endpoint_core::post_more(operation& running) noexcept {
  if (running.cursor_ == running.slices_.size()) return;
  batch view(running);
  running.cursor_ += driver_->post(view, running.cursor_);
}

}  // namespace lading
