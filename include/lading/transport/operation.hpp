// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// The state of one submitted batch. The endpoint makes it, the adapter reports into it, the user's transfer reads it.

#include <atomic>
#include <mutex>
#include <new>
#include <span>
#include <stdexcept>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/transport/records.hpp>
#include <lading/transport/spin_lock.hpp>

namespace lading {

class endpoint_core;
class operation;

/// An adapter's own form of a prepared batch, such as a chain of work requests.
struct driver_plan {
  virtual ~driver_plan() = default;
};

namespace detail {

/// A checked list of slices that can be posted again and again.
struct prepared_state {
  endpoint_identity owner{};  ///< whose ids these are
  peer_id peer{};
  op direction = op::put;
  std::vector<slice> slices;
  std::vector<region_id> locals;  // each region once
  std::vector<remote_region_id> remotes;
  std::uint64_t bytes = 0;
  std::unique_ptr<driver_plan> plan;
};

/// Who ends an operation once all of it has been reported.
struct operation_owner {
  explicit operation_owner(std::size_t notification_capacity) : side(std::make_shared<incoming_side>(notification_capacity)) {}

  virtual void drained(operation& done) noexcept = 0;

  registry<remote_region> remotes;
  std::shared_ptr<incoming_side> side;

 protected:
  ~operation_owner() = default;
};

}  // namespace detail

/// A slice whose handles have been looked up and whose bounds have been checked.
struct posted_slice {
  local_region& local;
  remote_region& remote;
  std::uint64_t local_offset, remote_offset, size;

  [[nodiscard]] bytes_span local_bytes() const noexcept { return {local.bytes.data() + local_offset, static_cast<std::size_t>(size)}; }
};

/// The slices of an operation as the adapter sees them. Cheap to make; each thread makes its own.
class batch {
 public:
  explicit batch(operation& owner) noexcept;

  [[nodiscard]] operation& token() const noexcept { return *owner_; }  ///< where to report
  [[nodiscard]] op direction() const noexcept;
  [[nodiscard]] driver_connection& connection() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return slices_.size(); }
  [[nodiscard]] std::uint64_t total_bytes() const noexcept;  ///< of all slices
  [[nodiscard]] std::chrono::nanoseconds submitted() const noexcept;
  [[nodiscard]] driver_plan* plan() const noexcept;  ///< what driver::prepare made, or nullptr

  /// Whether the slices may be looked at after post returns, until the last one is reported.
  [[nodiscard]] bool durable() const noexcept;

  /// From post, before the last slice is reported: more of this batch can be taken when progress is next called, whatever other batches of this peer wait
  /// for. Such batches take turns within a round: `had_turn` says that it is another's now; if not, nothing of any can be taken before the next round.
  void again(bool had_turn) noexcept;

  /// The slice as it was submitted; for loops that look regions up only when the handles change.
  [[nodiscard]] const slice& raw(std::size_t index) const noexcept { return slices_[index]; }

  /// Complexity: constant; a run of slices of the same regions looks them up once.
  [[nodiscard]] LADING_ALWAYS_INLINE posted_slice operator[](std::size_t index) noexcept;

 private:
  operation* owner_;
  std::span<const slice> slices_;
  region_id last_local_{};
  remote_region_id last_remote_{};
  local_region* local_ = nullptr;
  remote_region* remote_ = nullptr;
};

/// One submitted batch.
///
/// An adapter that took slices [first, first + n) reports each of them exactly once, by succeeded or failed, from any thread, possibly before
/// post returns. With the last report the transfer ends; afterwards the adapter must not touch the operation.
class operation {
 public:
  /// `count` slices have arrived whole; together they are `bytes` long.
  void succeeded(std::size_t count, std::uint64_t bytes) noexcept {
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    reported(count);
  }

  /// Slices [first, first + count) did not arrive.
  LADING_COLD void failed(std::size_t first, std::size_t count, const error& why) noexcept {
    if (count == 0) return;
    {
      std::lock_guard held(lock_);
      note_failure(first, count, why);
    }
    reported(count);
  }

  /// The notification that driver::notify took has arrived, or has not.
  void notified(const result<void>& how = {}) noexcept {
    if (!how) {
      std::lock_guard held(lock_);
      notify_error_ = how;
    }
    reported(1);
  }

  /// Whether the caller or a deadline gave the batch up: slices that have not begun need not begin, and are to be reported failed with this code.
  [[nodiscard]] errc given_up() const noexcept { return given_up_.load(std::memory_order_acquire); }

  [[nodiscard]] std::size_t slice_count() const noexcept { return slices_.size(); }

  /// A place for the adapter to keep a pointer or number while the operation runs.
  void* user = nullptr;
  std::uint64_t user_number = 0;

 private:
  friend class batch;
  friend class endpoint_core;
  friend class transfer;

  // What has become of it. ended: told to the user, but slices may be out. released: all is over. listed: among the running ones, which then are told
  // what comes, and keep it alive until they were. due: the notification is to be given.
  struct mark {
    static constexpr std::uint8_t ended = 1, released = 2, listed = 4, due = 8;
  };
  enum class place : std::uint8_t { none, fresh, posting, again, notifying };
  enum class turn : std::uint8_t { none, had, to_come };
  enum class notice : std::uint8_t { none, wanted, due, sent };

  [[nodiscard]] std::uint8_t marks() const noexcept { return marks_.load(std::memory_order_acquire); }
  [[nodiscard]] bool over() const noexcept { return (marks() & (mark::ended | mark::released)) != 0; }

  void note_failure(std::size_t first, std::size_t count, const error& why) noexcept {
    failed_ += static_cast<std::uint32_t>(count);
    if (first < first_failed_) {
      first_failed_ = static_cast<std::uint32_t>(first);
      first_error_ = result<void>(fail(why.with_item(first)));
    }
    if (!failures_unknown_) {
      LADING_TRY {
        if (failures_.empty()) failures_.assign(slices_.size(), false);
        for (std::size_t i = first; i < first + count; ++i) failures_[i] = true;
      }
      LADING_CATCH_BAD_ALLOC(failures_unknown_ = true)
    }
  }
  void reported(std::size_t count) noexcept {
    if (left_.fetch_sub(count, std::memory_order_acq_rel) == count) owner_->drained(*this);
  }

  detail::operation_owner* owner_ = nullptr;
  std::atomic<std::uint32_t> references_{0};
  std::atomic<std::uint8_t> marks_{0};
  std::atomic<notice> notice_{notice::none};
  std::atomic<errc> given_up_{errc{}};
  std::atomic<bool> cancel_{false};
  std::atomic<std::size_t> left_{0};  // slices (and the notification) that are not reported
  std::atomic<std::uint64_t> bytes_{0};

  detail::spin_lock lock_;  // what follows up to the blank line
  bool settled_ = false;
  bool failures_unknown_ = false;
  std::uint32_t failed_ = 0;
  std::uint32_t first_failed_ = completion::none;
  result<void> first_error_, notify_error_;
  std::vector<bool> failures_;

  peer_id peer_{};
  peer_record* peer_record_ = nullptr;
  op direction_ = op::put;
  bool durable_ = false;
  bool counted_waiting_ = false;
  bool holds_unknown_ = false;  // quarantined without knowing its slices
  std::size_t cursor_ = 0;      // slices before it were taken by the adapter or dropped; only the thread that drives looks at it
  std::span<const slice> slices_;
  std::vector<slice> own_slices_;  // empty where it ended in submit, or was prepared
  std::shared_ptr<const detail::prepared_state> prepared_;
  std::vector<region_id> locals_;  // pinned, each once per entry
  std::vector<remote_region_id> remotes_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t notify_tag_ = 0;
  std::chrono::nanoseconds submitted_{0}, deadline_{0}, drain_until_{0}, posted_{0};
  completion completion_;
  operation* next_ = nullptr;  // in the pool, in the inbox, or among those that have something to tell

  // Only for the thread that drives.
  turn turn_ = turn::none;
  place place_ = place::none;
  detail::chain_link<operation> active_, line_;
};

inline batch::batch(operation& owner) noexcept : owner_(&owner), slices_(owner.slices_) {}
inline op batch::direction() const noexcept { return owner_->direction_; }
inline driver_connection& batch::connection() const noexcept { return *owner_->peer_record_->connection; }
inline std::uint64_t batch::total_bytes() const noexcept { return owner_->total_bytes_; }
inline std::chrono::nanoseconds batch::submitted() const noexcept { return owner_->submitted_; }
inline driver_plan* batch::plan() const noexcept { return owner_->prepared_ != nullptr ? owner_->prepared_->plan.get() : nullptr; }
inline void batch::again(bool had_turn) noexcept { owner_->turn_ = had_turn ? operation::turn::had : operation::turn::to_come; }
inline bool batch::durable() const noexcept { return owner_->durable_; }

LADING_ALWAYS_INLINE posted_slice batch::operator[](std::size_t index) noexcept {
  const slice& wanted = slices_[index];
  if (wanted.local != last_local_) {
    local_ = &owner_->owner_->side->regions.pinned(static_cast<std::uint32_t>(wanted.local));
    last_local_ = wanted.local;
  }
  if (wanted.remote != last_remote_) {
    remote_ = &owner_->owner_->remotes.pinned(static_cast<std::uint32_t>(wanted.remote));
    last_remote_ = wanted.remote;
  }
  return {*local_, *remote_, wanted.local_offset, wanted.remote_offset, wanted.size};
}

}  // namespace lading
