// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What an endpoint keeps about its regions, its peers and the regions it imported; and what its peers may act on.

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include <lading/core/bytes.hpp>
#include <lading/core/checked.hpp>
#include <lading/core/config.hpp>
#include <lading/transport/detail/chain.hpp>
#include <lading/transport/detail/held_ranges.hpp>
#include <lading/transport/identity.hpp>
#include <lading/transport/registry.hpp>
#include <lading/transport/types.hpp>
#include <lading/transport/wakeup.hpp>

namespace lading {

/// An adapter's own state for registered memory. Destroying it unregisters (and frees what allocate() got).
struct driver_memory {
  virtual ~driver_memory() = default;
};

/// An adapter's own state for a region of a peer: an rkey, a pointer.
struct driver_remote {
  virtual ~driver_remote() = default;

  /// Called when a batch begins to use the region, and when it no longer does. A transport in which this side can keep the other's region
  /// from going away does so here; an error refuses the batch.
  [[nodiscard]] virtual result<void> hold() noexcept { return {}; }
  virtual void release() noexcept {}
};

/// An adapter's own state for a peer: an endpoint, a queue pair, a socket. Destroyed when no transfer uses the peer any more.
struct driver_connection {
  virtual ~driver_connection() = default;
  peer_id id{};  ///< filled in by the endpoint
};

namespace detail {

/// What is taken out of a table by its last user, in whatever thread; it is destroyed later, where that may take its time.
struct disposable {
  virtual ~disposable() = default;
  std::unique_ptr<disposable> next;
};

/// Threads: any.
class graveyard {
 public:
  graveyard() = default;
  graveyard(const graveyard&) = delete;
  graveyard& operator=(const graveyard&) = delete;
  ~graveyard() { sweep(); }

  void bury(std::unique_ptr<disposable> dead) noexcept {
    if (dead == nullptr) return;
    std::lock_guard held(mutex_);
    dead->next = std::move(first_);
    first_ = std::move(dead);
    used_.store(true, std::memory_order_release);
  }
  /// Destroys what is buried; afterwards all that was buried before this call is destroyed.
  void sweep() noexcept {
    std::lock_guard held(sweeping_);
    destroy_all();
  }
  /// The same, but leaves it to another thread that is at it.
  void try_sweep() noexcept {
    if (used_.load(std::memory_order_acquire)) [[unlikely]]
      sweep_unless_swept();
  }

 private:
  LADING_COLD void sweep_unless_swept() noexcept {
    if (!sweeping_.try_lock()) return;
    destroy_all();
    sweeping_.unlock();
  }
  void destroy_all() noexcept {
    std::unique_ptr<disposable> list;
    {
      std::lock_guard held(mutex_);
      list = std::move(first_);
      used_.store(false, std::memory_order_release);
    }
    while (list != nullptr) list = std::move(list->next);
  }

  std::mutex mutex_, sweeping_;
  std::unique_ptr<disposable> first_;
  std::atomic<bool> used_{false};
};

}  // namespace detail

/// A region of this endpoint.
struct local_region : detail::disposable {
  bytes_span bytes;
  memory_kind kind = memory_kind::host;
  std::uint64_t generation = 0;
  std::unique_ptr<driver_memory> memory;
  std::atomic<std::uint32_t> quarantined{0};  ///< transfers that ended while the transport still held slices of this region
  std::atomic<std::uint32_t> held_whole{0};   ///< of these, those of which it is not known what they hold
  detail::held_ranges held;                   ///< what the others hold

  /// Whether a transfer that has ended may still touch the range.
  [[nodiscard]] bool is_held(std::uint64_t offset, std::uint64_t size) noexcept {
    return quarantined.load(std::memory_order_acquire) != 0 && (held_whole.load(std::memory_order_acquire) != 0 || held.overlap(offset, size));
  }
};

/// A region of a peer, imported here.
struct remote_region : detail::disposable {
  std::uint64_t size = 0;
  peer_id peer{};
  std::unique_ptr<driver_remote> key;
};

class operation;

/// A peer that this endpoint has connected to.
struct peer_record : detail::disposable {
  std::unique_ptr<driver_connection> connection;
  endpoint_identity identity;
  std::atomic<errc> lost{errc{}};         ///< why transfers with it cannot go on; errc{} while they can
  std::atomic<std::uint32_t> waiting{0};  ///< batches with slices that the adapter has not taken yet

  // Whose turn it is when there is room again; only for the thread that drives.
  detail::chain<operation> posting, notifying;
  detail::chain_link<peer_record> busy;  ///< among the peers with any of these
};

/// Notifications that have arrived and were not yet taken: bounded, so that a slow taker slows its peers and not its host.
///
/// Threads: any.
class notification_queue {
 public:
  /// `taker` is the endpoint's whose queue this is: its driver may be keeping what was refused.
  explicit notification_queue(std::size_t capacity, wakeup& taker) : ring_(capacity != 0 ? capacity : 1), taker_(taker) {}

  /// False where it is full. Then the taker is woken when there is room, and so is `sender`, where that is another endpoint of this process.
  [[nodiscard]] bool push(notification arrived, const std::shared_ptr<wakeup>& sender = nullptr) noexcept {
    std::lock_guard held(mutex_);
    if (count_ == ring_.size()) {
      refused_ = true;
      if (sender != nullptr) wait(sender);
      return false;
    }
    ring_[(first_ + count_) % ring_.size()] = arrived;
    ++count_;
    return true;
  }
  /// Whether push would take one; if not, the taker is woken when it would.
  [[nodiscard]] bool has_room() noexcept {
    std::lock_guard held(mutex_);
    if (count_ == ring_.size()) refused_ = true;
    return count_ != ring_.size();
  }
  [[nodiscard]] bool pop(notification& taken) noexcept {
    std::vector<std::weak_ptr<wakeup>> waiting;
    {
      std::lock_guard held(mutex_);
      if (count_ == 0) return false;
      taken = ring_[first_];
      first_ = (first_ + 1) % ring_.size();
      --count_;
      if (!std::exchange(refused_, false)) return true;
      waiting.swap(waiting_);
    }
    taker_.signal();
    for (const auto& each : waiting) {
      if (const auto sender = each.lock()) sender->signal();
    }
    return true;
  }

 private:
  /// Each sender once; where there is no memory for another, it finds the room when it next makes progress.
  void wait(const std::shared_ptr<wakeup>& sender) noexcept {
    const auto same = [&](const std::weak_ptr<wakeup>& each) { return !each.owner_before(sender) && !sender.owner_before(each); };
    std::erase_if(waiting_, [](const std::weak_ptr<wakeup>& each) { return each.expired(); });
    if (std::find_if(waiting_.begin(), waiting_.end(), same) != waiting_.end()) return;
    LADING_TRY { waiting_.push_back(sender); }
    LADING_CATCH_BAD_ALLOC(return)
  }

  std::mutex mutex_;
  std::vector<notification> ring_;
  wakeup& taker_;
  std::vector<std::weak_ptr<wakeup>> waiting_;
  std::size_t first_ = 0, count_ = 0;
  bool refused_ = false;
};

/// The part of an endpoint that its peers act on: its regions and its notifications. Adapters check here what a peer asks for.
struct incoming_side {
  explicit incoming_side(std::size_t notification_capacity) : notifications(notification_capacity, awake) {}

  endpoint_identity identity;
  registry<local_region> regions;
  wakeup awake;
  notification_queue notifications;
  detail::graveyard dead;
  std::atomic<bool> closed{false};

  /// Pins the region that a peer names, after checking that it is the registration the peer was told of; `unpin` gives it up.
  ///
  /// Errors: closed, not_registered.
  [[nodiscard]] result<local_region*> pin(region_id id, std::uint64_t generation) noexcept {
    if (closed.load(std::memory_order_acquire)) return fail(errc::closed, {.what = "the endpoint that owns the region is closed"});
    local_region* region = regions.pin(static_cast<std::uint32_t>(id));
    if (region != nullptr && region->generation == generation) return region;
    if (region != nullptr) unpin(id);
    return fail(errc::not_registered, {.what = "its owner has deregistered the region: import its new descriptor"});
  }
  void unpin(region_id id) noexcept {
    regions.unpin(static_cast<std::uint32_t>(id), [this](std::unique_ptr<local_region> last) { dead.bury(std::move(last)); });
  }
};

/// A range of a local region on which a peer's message acts; the region cannot be deregistered while this lives.
class incoming_range {
 public:
  /// Checks a peer's message: the region, its generation, and the bounds.
  ///
  /// Errors: closed, not_registered, out_of_range.
  [[nodiscard]] static result<incoming_range> open(incoming_side& side, region_id id, std::uint64_t generation, std::uint64_t offset,
                                                   std::uint64_t size) noexcept {
    auto region = side.pin(id, generation);
    if (!region) return fail(region.error());
    incoming_range range(side, id);
    const bytes_span all = (*region)->bytes;
    if (!range_inside<std::uint64_t, std::uint64_t, std::uint64_t>(offset, size, all.size())) {
      return fail(errc::out_of_range,
                  {.needed = size, .available = all.size(), .offset = offset, .what = "a peer asked for bytes outside the region"});
    }
    range.bytes_ = all.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
    return range;
  }
  incoming_range(incoming_range&& other) noexcept : side_(std::exchange(other.side_, nullptr)), id_(other.id_), bytes_(other.bytes_) {}
  incoming_range& operator=(incoming_range&& other) noexcept {
    std::swap(side_, other.side_);
    std::swap(id_, other.id_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~incoming_range() {
    if (side_ != nullptr) side_->unpin(id_);
  }

  [[nodiscard]] bytes_span bytes() const noexcept { return bytes_; }

 private:
  incoming_range(incoming_side& side, region_id id) noexcept : side_(&side), id_(id) {}

  incoming_side* side_;
  region_id id_;
  bytes_span bytes_;
};

}  // namespace lading
