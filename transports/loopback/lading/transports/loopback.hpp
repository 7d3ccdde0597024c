// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>
#include <unordered_map>

#include <lading/memory/copy.hpp>
#include <lading/memory/worker_pool.hpp>
#include <lading/transport/concept.hpp>
#include <lading/transport/endpoint.hpp>

namespace lading {

/// How a loopback endpoint copies, besides what every endpoint has.
struct loopback_options {
  std::size_t workers = 2;  ///< threads that copy a large batch, the one that makes progress included; 1 = submit copies all
  std::uint64_t inline_limit = std::uint64_t{1} << 20;  ///< bytes of a batch up to which submit copies it, because waking a thread would cost more
  worker_pool* pool = nullptr;                          ///< which must outlive the endpoint; nullptr = the process's own
  endpoint_options endpoint = {};
};

namespace detail {

/// An endpoint as its peers see it. Its owner may do what it likes with its memory once it has closed: so whoever copies announces itself first.
struct loopback_side {
  explicit loopback_side(std::shared_ptr<incoming_side> of) noexcept : incoming(std::move(of)) {}

  /// Whether its memory may be touched, until leave; not for long, for its owner waits.
  [[nodiscard]] bool enter() noexcept {
    visitors_.fetch_add(1);  // before the look at closed: one of the two sides sees the other
    if (!incoming->closed.load()) return true;
    leave();
    return false;
  }
  void leave() noexcept { visitors_.fetch_sub(1, std::memory_order_release); }
  /// After it was closed: returns when nobody touches its memory any more.
  void wait_until_left() const noexcept {
    while (visitors_.load() != 0) std::this_thread::yield();
  }

  std::shared_ptr<incoming_side> incoming;

 private:
  std::atomic<std::uint32_t> visitors_{0};
};

/// The loopback endpoints of this process, by their random number.
class loopback_hub {
 public:
  static loopback_hub& instance() {
    static loopback_hub hub;
    return hub;
  }
  void add(const std::shared_ptr<loopback_side>& side) {
    std::lock_guard held(mutex_);
    sides_.emplace(side->incoming->identity.endpoint, side);
  }
  void remove(std::uint64_t endpoint) noexcept {
    std::lock_guard held(mutex_);
    sides_.erase(endpoint);
  }
  [[nodiscard]] std::shared_ptr<loopback_side> find(std::uint64_t endpoint) noexcept {
    std::lock_guard held(mutex_);
    const auto found = sides_.find(endpoint);
    return found == sides_.end() ? nullptr : found->second;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<loopback_side>> sides_;
};

struct loopback_connection final : driver_connection {
  std::shared_ptr<loopback_side> side;
};

/// A region of another endpoint in this process; pinned there while a batch uses it, so that its owner finds it busy.
struct loopback_remote final : driver_remote {
  std::shared_ptr<incoming_side> side;
  region_id id{};
  std::uint64_t generation = 0;
  std::byte* data = nullptr;

  result<void> hold() noexcept override {
    auto pinned = side->pin(id, generation);
    if (!pinned) return fail(pinned.error() == errc::closed ? error(errc::peer_lost, {.what = "the peer has closed its endpoint"}) : pinned.error());
    return {};
  }
  void release() noexcept override { side->unpin(id); }
};

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
    slices.direction() == op::put ? copy_here<true>(slices, first) : copy_here<false>(slices, first);
    target.leave();
    slices.token().succeeded(count - first, slices.total_bytes());
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
    if (front_.token == &token) return finish_front(error(token.given_up(), {.what = "given up while it was copied"}));
    {
      std::lock_guard held(mutex_);
      const auto found = std::find(queued_.begin(), queued_.end(), &token);
      if (found == queued_.end()) return;
      queued_.erase(found);
    }
    token.failed(0, token.slice_count(), error(token.given_up(), {.what = "given up before it was copied"}));
  }

  /// Copies one round of what is queued.
  std::size_t progress() noexcept override {
    if (front_.token == nullptr && !next_in_queue()) return 0;
    batch slices(*front_.token);
    loopback_side& target = *static_cast<loopback_connection&>(slices.connection()).side;
    if (!target.enter()) return finish_front(gone(target)), 1;
    const bool put = slices.direction() == op::put;
    pieces_.clear();
    for (std::uint64_t bytes = 0; front_.slice < slices.size() && bytes < round_bytes && pieces_.size() < round_pieces;) {
      const posted_slice each = slices[front_.slice];
      const std::uint64_t size = std::min<std::uint64_t>(each.size - front_.offset, piece_bytes);
      std::byte* const local = local_of(each) + front_.offset;
      std::byte* const remote = remote_of(each) + front_.offset;
      pieces_.push_back(put ? piece{remote, local, static_cast<std::size_t>(size)} : piece{local, remote, static_cast<std::size_t>(size)});
      bytes += size;
      front_.offset += size;
      if (front_.offset == each.size) {
        front_.bytes += each.size;
        front_.offset = 0;
        ++front_.slice;
      }
    }
    // The copies cannot fail, and so the run cannot.
    static_cast<void>(pool_->run(pieces_.size(), workers_, [&](std::size_t index) noexcept {
      copy_bytes(pieces_[index].target, pieces_[index].source, pieces_[index].size, mode_of(slices, pieces_[index].size));
    }));
    target.leave();
    const std::size_t happened = pieces_.size();
    if (front_.slice == slices.size()) finish_front(error(errc{}));
    return happened + 1;
  }

 private:
  struct piece {
    std::byte* target;
    const std::byte* source;
    std::size_t size;
  };
  struct running {
    operation* token = nullptr;
    std::size_t slice = 0;     // those before it are copied
    std::uint64_t offset = 0;  // in that slice
    std::uint64_t bytes = 0;   // of the slices before it
  };

  static constexpr std::uint64_t piece_bytes = std::uint64_t{256} << 10;
  static constexpr std::uint64_t round_bytes = std::uint64_t{32} << 20;  // some milliseconds, after which a cancel or deadline is seen
  static constexpr std::size_t round_pieces = 4096;
  // A batch that is larger than what the caches keep bypasses them, in slices that are long enough to gain by it.
  static constexpr std::uint64_t streaming_batch = std::uint64_t{16} << 20;
  static constexpr std::uint64_t streaming_slice = std::uint64_t{16} << 10;

  static copy_mode mode_of(const batch& slices, std::uint64_t size) noexcept {
    return slices.total_bytes() >= streaming_batch && size >= streaming_slice ? copy_mode::streaming : copy_mode::cached;
  }

  static std::byte* local_of(const posted_slice& each) noexcept { return each.local.bytes.data() + each.local_offset; }
  static std::byte* remote_of(const posted_slice& each) noexcept { return static_cast<loopback_remote&>(*each.remote.key).data + each.remote_offset; }

  template <bool Put>
  static void copy_here(batch& slices, std::size_t first) noexcept {
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
      }
      std::byte* const here = local + each.local_offset;
      std::byte* const there = remote + each.remote_offset;
      copy_bytes(Put ? there : here, Put ? here : there, static_cast<std::size_t>(each.size),
                 streaming && each.size >= streaming_slice ? copy_mode::streaming : copy_mode::cached);
    }
  }

  [[nodiscard]] bool queue(operation& token) noexcept {
    LADING_TRY {
      std::lock_guard held(mutex_);
      queued_.push_back(&token);
      return true;
    }
    LADING_CATCH_BAD_ALLOC(return false)
  }
  [[nodiscard]] bool next_in_queue() noexcept {
    std::lock_guard held(mutex_);
    if (queued_.empty()) return false;
    front_ = running{.token = queued_.front()};
    queued_.erase(queued_.begin());
    return true;
  }
  /// Ends the front batch; `why` is for the slices that it has not copied, if there are any.
  void finish_front(const error& why) noexcept {
    const running ended = std::exchange(front_, running{});
    const std::size_t rest = ended.token->slice_count() - ended.slice;
    // The failures first: the last report ends the operation.
    if (ended.slice == 0) return ended.token->failed(0, rest, why);
    operation& token = *ended.token;
    if (rest != 0) token.failed(ended.slice, rest, why);
    token.succeeded(ended.slice, ended.bytes);
  }
  [[nodiscard]] error gone(const loopback_side& target) const noexcept {
    if (&target == side_.get()) return error(errc::closed, {.what = "this endpoint was closed"});
    return error(errc::peer_lost, {.what = "the peer has closed its endpoint"});
  }

  std::shared_ptr<loopback_side> side_;
  std::shared_ptr<wakeup> awake_;  // of this side
  worker_pool* pool_;
  std::size_t workers_;
  std::uint64_t inline_limit_;
  std::mutex mutex_;
  std::vector<operation*> queued_;  // oldest first
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
