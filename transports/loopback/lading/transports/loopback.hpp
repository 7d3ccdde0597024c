// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>

#include <lading/memory/copy.hpp>
#include <lading/memory/worker_pool.hpp>
#include <lading/transport/concept.hpp>
#include <lading/transport/endpoint.hpp>
#include <lading/transports/loopback/hub.hpp>

namespace lading {

/// How a loopback endpoint copies, besides what every endpoint has.
struct loopback_options {
  std::size_t workers = 2;  ///< threads that copy a large batch, the one that makes progress included; 1 = submit copies all
  std::uint64_t inline_limit = std::uint64_t{1} << 20;  ///< bytes of a batch up to which submit copies it, because waking a thread would cost more
  worker_pool* pool = nullptr;                          ///< which must outlive the endpoint; nullptr = the process's own
  endpoint_options endpoint = {};
};

namespace detail {

/// Copies small batches where they are submitted, and queues large ones for progress, which splits them over the pool.
class loopback_driver final : public driver {
 public:
  explicit loopback_driver(const loopback_options& options)
      : pool_(options.pool), workers_(options.workers), inline_limit_(options.workers > 1 ? options.inline_limit : ~std::uint64_t{0}) {}

  std::string_view name() const noexcept override { return "loopback"; }
  lading::capabilities capabilities() const noexcept override {
    return {
        .one_sided = true, .enforces_ranges = false, .detects_peer_death = true, .native_gather = true, .notifies = true, .concurrent_post = true};
  }
  result<void> start(driver_host& host) override {
    host_ = &host;
    side_ = std::make_shared<loopback_side>(host.incoming());
    awake_ = {side_, &side_->incoming->awake};
    if (workers_ > 1) {
      if (pool_ == nullptr) pool_ = &worker_pool::shared();
      if (pool_->size() == 0) inline_limit_ = ~std::uint64_t{0};
      pieces_.reserve(round_pieces);
    }
    loopback_hub::instance().add(side_);
    return {};
  }
  void stop() noexcept override {
    if (side_ != nullptr) {
      loopback_hub::instance().remove(side_->incoming->identity.endpoint);
      side_->wait_until_left();
    }
    front_ = {};
    queued_.clear();
    begun_ = 0;
  }

  result<std::unique_ptr<driver_connection>> connect(const endpoint_address& address) override {
    auto side = loopback_hub::instance().find(address.identity.endpoint);
    if (side == nullptr || side->incoming->closed)
      return fail(errc::peer_lost, {.what = "no loopback endpoint of this process has that address (any more)"});
    auto made = std::make_unique<loopback_connection>();
    made->side = std::move(side);
    return made;
  }
  result<std::unique_ptr<driver_remote>> import_key(driver_connection& peer, const region_descriptor& region) override {
    auto& side = static_cast<loopback_connection&>(peer).side->incoming;
    auto range = incoming_range::open(*side, region.id, region.generation, 0, region.size);
    if (!range) return fail(range.error());
    auto made = std::make_unique<loopback_remote>();
    made->side = side;
    made->id = region.id;
    made->generation = region.generation;
    made->data = range->bytes().data();
    return made;
  }

  std::size_t post(batch& slices, std::size_t first) noexcept override {
    const std::size_t count = slices.size();
    if (slices.total_bytes() > inline_limit_) {
      if (!slices.durable()) return 0;
      if (queue(slices.token())) return count - first;
    }
    loopback_side& target = *static_cast<loopback_connection&>(slices.connection()).side;
    if (!target.enter()) {
      slices.token().failed(first, count - first, gone(target));
      return count - first;
    }
    const auto refused = slices.direction() == op::put ? copy_here<true>(slices, first) : copy_here<false>(slices, first);
    target.leave();
    // The failures were reported; the last report ends the operation.
    if (refused.count != count - first) slices.token().succeeded(count - first - refused.count, slices.total_bytes() - refused.bytes);
    return count - first;
  }

  bool notify(driver_connection& peer, std::uint64_t tag, operation& token) noexcept override {
    loopback_side& target = *static_cast<loopback_connection&>(peer).side;
    if (target.incoming->closed) {
      token.notified(fail(gone(target)));
      return true;
    }
    if (!target.incoming->notifications.push({tag, side_->incoming->identity.endpoint}, awake_)) return false;
    target.incoming->awake.signal();
    token.notified();
    return true;
  }

  int event_fd() const noexcept override { return endpoint_event_fd; }

  /// Ends the batch at the piece that it has reached.
  void abort(driver_connection&, operation& token) noexcept override {
    running ended = front_;
    if (front_.token == &token) {
      front_ = {};
    } else {
      std::lock_guard held(mutex_);
      const auto found = std::find_if(queued_.begin() + static_cast<std::ptrdiff_t>(begun_), queued_.end(),
                                      [&](const running& each) { return each.token == &token; });
      if (found == queued_.end()) return;
      ended = *found;
      queued_.erase(found);
    }
    finish(ended, error(token.given_up(), {.what = "given up before all of it was copied"}));
  }

  /// Copies one round of a batch; then it is the next one's turn.
  std::size_t progress() noexcept override {
    if (!next_in_queue()) return 0;
    batch slices(*front_.token);
    loopback_side& target = *static_cast<loopback_connection&>(slices.connection()).side;
    if (!target.enter()) return finish(std::exchange(front_, {}), gone(target)), 1;
    gather(slices);
    const std::size_t copied = copy_pieces(slices);
    target.leave();
    for (std::size_t i = 0; i < copied; ++i) advance(front_, slices, pieces_[i].size);
    if (front_.slice == slices.size()) finish(std::exchange(front_, {}), error(errc{}));
    return copied + 1;
  }

 private:
  struct piece {
    std::byte* target;
    const std::byte* source;
    std::size_t size;
  };
  struct running {
    operation* token = nullptr;
    std::size_t slice = 0;     // those before it are copied, or were refused
    std::uint64_t offset = 0;  // in that slice
    std::size_t refused = 0;   // of the slices before it
    std::uint64_t bytes = 0;   // of the others before it
  };
  struct tally {
    std::size_t count = 0;
    std::uint64_t bytes = 0;
  };

  // After a round a cancel or deadline is seen, and another batch has its turn. Memory that is touched for the first time takes twenty times as long.
  static constexpr std::uint64_t piece_bytes = std::uint64_t{256} << 10;
  static constexpr std::uint64_t round_bytes = std::uint64_t{32} << 20;
  static constexpr std::chrono::nanoseconds round_time = std::chrono::milliseconds(4);
  static constexpr std::size_t round_pieces = 4096;
  // A batch that is larger than what the caches keep bypasses them, in slices that are long enough to gain by it.
  static constexpr std::uint64_t streaming_batch = std::uint64_t{16} << 20;
  static constexpr std::uint64_t streaming_slice = std::uint64_t{16} << 10;

  static copy_mode mode_of(const batch& slices, std::uint64_t size) noexcept {
    return slices.total_bytes() >= streaming_batch && size >= streaming_slice ? copy_mode::streaming : copy_mode::cached;
  }

  static std::byte* local_of(const posted_slice& each) noexcept { return each.local.bytes.data() + each.local_offset; }
  static std::byte* remote_of(const posted_slice& each) noexcept { return static_cast<loopback_remote&>(*each.remote.key).data + each.remote_offset; }

  /// Whether two ranges have bytes in common.
  static bool overlap(const std::byte* one, std::uint64_t one_size, const std::byte* other, std::uint64_t other_size) noexcept {
    const std::less<> before;
    return before(one, other + other_size) && before(other, one + one_size) && one_size != 0 && other_size != 0;
  }
  static bool overlap(const posted_slice& each) noexcept { return overlap(local_of(each), each.size, remote_of(each), each.size); }
  static error overlapping() noexcept {
    return error(errc::invalid_argument, {.what = "the local and the remote bytes of the slice overlap: copy them by memmove"});
  }

  /// Returns which slices it has refused.
  template <bool Put>
  static tally copy_here(batch& slices, std::size_t first) noexcept {
    tally refused;
    bool doubtful = false;  // the two regions overlap
    region_id last_local{};
    remote_region_id last_remote{};
    std::byte* local = nullptr;
    std::byte* remote = nullptr;
    const bool streaming = slices.total_bytes() >= streaming_batch;
    for (std::size_t i = first; i < slices.size(); ++i) {
      const slice& each = slices.raw(i);
      if (each.local != last_local || each.remote != last_remote) {
        const posted_slice found = slices[i];
        local = found.local.bytes.data();
        remote = static_cast<loopback_remote&>(*found.remote.key).data;
        last_local = each.local;
        last_remote = each.remote;
        doubtful = overlap(local, found.local.bytes.size(), remote, found.remote.size);
      }
      std::byte* const here = local + each.local_offset;
      std::byte* const there = remote + each.remote_offset;
      if (doubtful && overlap(here, each.size, there, each.size)) [[unlikely]] {
        refused = {refused.count + 1, refused.bytes + each.size};
        slices.token().failed(i, 1, overlapping());
        continue;
      }
      copy_bytes(Put ? there : here, Put ? here : there, static_cast<std::size_t>(each.size),
                 streaming && each.size >= streaming_slice ? copy_mode::streaming : copy_mode::cached);
    }
    return refused;
  }

  /// Moves on by what was copied of the slice.
  static void advance(running& each, const batch& slices, std::uint64_t size) noexcept {
    each.offset += size;
    if (each.offset != slices.raw(each.slice).size) return;
    each.bytes += each.offset;
    each.offset = 0;
    ++each.slice;
  }
  /// The pieces of the front batch's next round. Slices that overlap come to an end of their own, where nothing is before them in the round.
  void gather(batch& slices) noexcept {
    pieces_.clear();
    const bool put = slices.direction() == op::put;
    running next = front_;
    for (std::uint64_t bytes = 0; next.slice < slices.size() && bytes < round_bytes && pieces_.size() < round_pieces;) {
      const posted_slice each = slices[next.slice];
      if (next.offset == 0 && overlap(each)) [[unlikely]] {
        if (!pieces_.empty()) return;
        ++next.refused;
        if (next.refused != slices.size()) slices.token().failed(next.slice, 1, overlapping());
        ++next.slice;
        front_ = next;
        continue;
      }
      const std::uint64_t size = std::min<std::uint64_t>(each.size - next.offset, piece_bytes);
      std::byte* const local = local_of(each) + next.offset;
      std::byte* const remote = remote_of(each) + next.offset;
      pieces_.push_back(put ? piece{remote, local, static_cast<std::size_t>(size)} : piece{local, remote, static_cast<std::size_t>(size)});
      bytes += size;
      advance(next, slices, size);
    }
  }
  /// Returns how many of the pieces are copied; the rest are for the next round, because time was up.
  [[nodiscard]] std::size_t copy_pieces(const batch& slices) noexcept {
    const auto until = later(host_->now(), round_time);
    std::atomic<std::size_t> copied{pieces_.size()};
    // The copies cannot fail, and so the run cannot.
    static_cast<void>(pool_->run(pieces_.size(), workers_, [&](std::size_t index) noexcept {
      const piece& each = pieces_[index];
      const bool looks = each.size >= piece_bytes / 4 || index % 16 == 0;
      std::size_t end = copied.load(std::memory_order_relaxed);
      if (index != 0 && (index >= end || (looks && host_->now() >= until))) {
        while (index < end && !copied.compare_exchange_weak(end, index, std::memory_order_relaxed)) {}
        return;
      }
      copy_bytes(each.target, each.source, each.size, mode_of(slices, each.size));
    }));
    return copied.load(std::memory_order_relaxed);
  }

  [[nodiscard]] bool queue(operation& token) noexcept {
    LADING_TRY {
      std::lock_guard held(mutex_);
      queued_.push_back({.token = &token});
      return true;
    }
    LADING_CATCH_BAD_ALLOC(return false)
  }
  /// Puts the front batch behind the others, and takes the first of these. Whether there is any.
  [[nodiscard]] bool next_in_queue() noexcept {
    std::lock_guard held(mutex_);
    if (begun_ == queued_.size()) return front_.token != nullptr;
    if (front_.token != nullptr) {
      LADING_TRY { queued_.push_back(front_); }
      LADING_CATCH_BAD_ALLOC(return true)
    }
    front_ = queued_[begun_++];
    // Not each time, so that it costs the same for each however many there are.
    if (begun_ == queued_.size() || begun_ >= 1024)
      queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(std::exchange(begun_, 0)));
    return true;
  }
  /// Ends a batch; `why` is for the slices that are not copied, if there are any.
  static void finish(const running& ended, const error& why) noexcept {
    operation& token = *ended.token;
    const std::size_t rest = token.slice_count() - ended.slice, copied = ended.slice - ended.refused;
    // The failures first: the last report ends the operation.
    if (ended.refused != 0 && ended.refused == token.slice_count()) return token.failed(ended.slice - 1, 1, overlapping());
    if (rest != 0) token.failed(ended.slice, rest, why);
    if (copied != 0) token.succeeded(copied, ended.bytes);
  }
  [[nodiscard]] error gone(const loopback_side& target) const noexcept {
    if (&target == side_.get()) return error(errc::closed, {.what = "this endpoint was closed"});
    return error(errc::peer_lost, {.what = "the peer has closed its endpoint"});
  }

  driver_host* host_ = nullptr;
  std::shared_ptr<loopback_side> side_;
  std::shared_ptr<wakeup> awake_;  // of this side
  worker_pool* pool_;
  std::size_t workers_;
  std::uint64_t inline_limit_;
  std::mutex mutex_;
  std::vector<running> queued_;  // from begun_ on, the one that has waited longest first
  std::size_t begun_ = 0;
  running front_;
  std::vector<piece> pieces_;
};

}  // namespace detail

/// The transport inside one process: endpoints find each other by address, and copy.
///
/// A batch of up to inline_limit bytes is copied by submit itself. A larger one is copied by whoever makes progress, together with the pool's threads.
class loopback : public endpoint {
 public:
  [[nodiscard]] static result<loopback> create(const loopback_options& options = {}) {
    auto made = endpoint::create(std::make_unique<detail::loopback_driver>(options), options.endpoint);
    if (!made) return fail(made.error());
    return loopback(std::move(*made));
  }

 private:
  explicit loopback(endpoint&& made) noexcept : endpoint(std::move(made)) {}
};

static_assert(transport<loopback>);

}  // namespace lading
