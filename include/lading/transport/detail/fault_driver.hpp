// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// The driver of fault_injecting: it runs batches on another transport, and spoils some.

#include <algorithm>
#include <optional>

#include <lading/transport/concept.hpp>
#include <lading/transport/endpoint.hpp>
#include <lading/transport/event_set.hpp>
#include <lading/transport/fault_plan.hpp>

namespace lading {

template <class Inner>
class fault_driver final : public driver {
 public:
  fault_driver(Inner inner, const fault_plan& plan)
      : inner_(std::move(inner)), plan_(plan), name_("fault_injecting<" + std::string(inner_->name()) + ">"), random_(plan.seed) {}

  std::string_view name() const noexcept override { return name_; }
  lading::capabilities capabilities() const noexcept override {
    lading::capabilities all = inner_->capabilities();
    all.concurrent_post = false;
    return all;
  }
  result<void> start(driver_host& host) override {
    host_ = &host;
    host.incoming()->identity = inner_->identity();
    auto scratch = inner_->allocate_region(scratch_size);
    if (!scratch) return fail(scratch.error());
    scratch_ = std::move(*scratch);
    for (std::size_t i = 0; i < scratch_size; ++i) free_scratch_.push_back(i);
    return {};
  }
  void stop() noexcept override {
    for (running& each : running_) {
      if (each.inner) each.inner.cancel();
    }
    for (running& each : running_) {
      if (each.inner) each.inner.wait_for(std::chrono::milliseconds(100));
    }
    running_.clear();
    scratch_ = region{};
    inner_.reset();
  }

  result<std::unique_ptr<driver_memory>> map(bytes_span bytes, memory_kind) override {
    auto registered = inner_->register_region(bytes);
    if (!registered) return fail(registered.error());
    auto made = std::make_unique<memory>();
    made->inner = std::move(*registered);
    return made;
  }
  result<driver_allocation> allocate(std::size_t size) override {
    auto allocated = inner_->allocate_region(size);
    if (!allocated) return fail(allocated.error());
    auto made = std::make_unique<memory>();
    made->inner = std::move(*allocated);
    const bytes_span bytes = made->inner.bytes();
    return driver_allocation{bytes, memory_kind::host, std::move(made)};
  }
  result<std::vector<std::byte>> export_key(const local_region& exported) override {
    return inner_->export_region(static_cast<memory&>(*exported.memory).inner);
  }
  result<std::unique_ptr<driver_remote>> import_key(driver_connection& peer, const region_descriptor& exported) override {
    auto imported = inner_->import_region(static_cast<connection&>(peer).inner, exported.key);
    if (!imported) return fail(imported.error());
    auto made = std::make_unique<remote>();
    made->inner = *imported;
    made->owner = this;
    return made;
  }
  result<std::vector<std::byte>> native_address() const override { return inner_->address(); }
  result<std::unique_ptr<driver_connection>> connect(const endpoint_address& address) override {
    auto connected = inner_->connect(address.native, std::chrono::nanoseconds(connect_limit_.load(std::memory_order_relaxed)));
    if (!connected) return fail(connected.error());
    auto made = std::make_unique<connection>();
    made->inner = *connected;
    return made;
  }
  void disconnect(driver_connection& peer) noexcept override { inner_->disconnect(static_cast<connection&>(peer).inner); }

  std::size_t post(batch& slices, std::size_t first) noexcept override {
    if (!slices.durable()) return 0;
    LADING_TRY {
      running_.reserve(running_.size() + 1);
      running fresh = draw(slices);
      fresh.first = first;
      fresh.number = ++posted_;
      running_.insert(held_back(*fresh.peer), std::move(fresh));  // the one that is held back begins after it
    }
    LADING_CATCH_BAD_ALLOC(return 0)
    return slices.size() - first;
  }
  bool notify(driver_connection& peer, std::uint64_t tag, operation& token) noexcept override {
    LADING_TRY {
      running_.reserve(running_.size() + 1);
      running fresh(token);
      fresh.peer = &static_cast<connection&>(peer);
      auto submitted = inner_->submit(fresh.peer->inner, op::put, std::span<const slice>{},
                                      {.deadline = std::chrono::nanoseconds::max(), .notify_tag = tag, .notify = true});
      if (!submitted) {
        if (submitted.error() == errc::would_block) return false;
        token.notified(fail(submitted.error()));
        return true;
      }
      fresh.inner = std::move(*submitted);
      fresh.state = stage::notifying;
      running_.push_back(std::move(fresh));
      return true;
    }
    LADING_CATCH_BAD_ALLOC(return false)
  }
  void abort(driver_connection&, operation& token) noexcept override {
    for (running& each : running_) {
      if (each.token == &token) each.inner ? each.inner.cancel() : void(each.state = stage::dropped);
    }
  }
  std::size_t progress() noexcept override {
    std::size_t happened = inner_->progress();
    notification_queue& taken = host_->incoming()->notifications;
    for (notification arrived; taken.has_room() && inner_->next_notification(arrived); ++happened) static_cast<void>(taken.push(arrived));
    const auto at = host_->now();
    for (std::size_t i = 0; i < running_.size();) {
      if (advance(running_[i], at)) {
        // Swapped out before it is reported, which may end the operation.
        running ended = std::move(running_[i]);
        running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
        report(ended);
        ++happened;
      } else {
        ++i;
      }
    }
    return happened;
  }

  /// Readable when the inner transport has something, or this endpoint: a batch that was submitted here is not yet known there.
  int event_fd() const noexcept override {
    const int sources[] = {inner_->event_fd(), host_->incoming()->awake.fd()};
    return events_.of(sources);
  }

  /// How long the next connect waits for the inner transport's.
  void limit_connecting(std::chrono::nanoseconds limit) noexcept { connect_limit_.store(limit.count(), std::memory_order_relaxed); }

  /// Whether the next batch is refused at submit.
  [[nodiscard]] bool refuses() noexcept {
    std::lock_guard held(random_mutex_);
    if (random_below(fault_plan::always) >= plan_.per_million[static_cast<std::size_t>(fault::submit_failure)]) return false;
    counts_.count(fault::submit_failure);
    return true;
  }
  [[nodiscard]] const fault_counts& counts() const noexcept { return counts_; }

 private:
  struct memory final : driver_memory {
    region inner;
  };
  struct remote final : driver_remote {
    ~remote() override {
      if (owner->inner_) static_cast<void>(owner->inner_->release_region(inner));
    }
    remote_region_id inner{};
    fault_driver* owner = nullptr;
  };
  struct connection final : driver_connection {
    peer_id inner{};
    std::chrono::nanoseconds stalled_until{0};
    bool dead = false;
  };
  enum class stage : std::uint8_t { held, reordered, lost, moving, flipping, notifying, dropped };
  static constexpr std::size_t scratch_size = 256;
  static constexpr std::size_t no_scratch = scratch_size;
  struct running {
    explicit running(operation& owner) noexcept : token(&owner) {}

    operation* token;
    connection* peer = nullptr;
    transfer inner;
    std::vector<bool> arrived;
    stage state = stage::held;
    std::size_t first = 0;
    std::uint64_t number = 0;  // in the order in which they were posted
    std::chrono::nanoseconds begin_at{0};
    std::chrono::nanoseconds held_until{0};  // where reordered
    bool overtaken = false, duplicate = false, corrupt = false, shorten = false, pretend = false;
    std::size_t victim = 0;
    std::uint64_t draw = 0;
    std::size_t scratch = no_scratch;  // where the flipped byte of a put comes from, once it is under way
    result<void> failure;
  };

  [[nodiscard]] std::uint64_t next_random() noexcept {  // splitmix64
    std::uint64_t mixed = (random_ += 0x9e3779b97f4a7c15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
  }
  [[nodiscard]] std::uint64_t random_below(std::uint64_t limit) noexcept { return next_random() % limit; }

  /// Decides what happens to a batch. Every batch draws as many numbers, so that one fault's rate does not move the others.
  [[nodiscard]] running draw(batch& slices) {
    std::lock_guard held(random_mutex_);
    std::array<bool, fault_kinds> fires{};
    for (std::size_t kind = 1; kind < fault_kinds; ++kind) fires[kind] = random_below(fault_plan::always) < plan_.per_million[kind];
    const auto due = [&](fault kind) { return fires[static_cast<std::size_t>(kind)]; };
    const auto fire = [&](fault kind) {  // one that happens at once
      if (due(kind)) counts_.count(kind);
      return due(kind);
    };
    running fresh(slices.token());
    fresh.draw = next_random();
    fresh.peer = &static_cast<connection&>(slices.connection());
    if (fire(fault::peer_death)) {
      fresh.peer->dead = true;
      host_->lost(*fresh.peer, errc::peer_lost);
      return fresh;
    }
    if (fire(fault::stall)) fresh.peer->stalled_until = later(host_->now(), plan_.stall_time);
    if (fire(fault::loss)) {
      fresh.state = stage::lost;
      return fresh;
    }
    if (fire(fault::delay)) fresh.begin_at = later(host_->now(), plan_.hold_time);
    // Held back are never two in a row: they would wait for each other, and keep their order.
    if (due(fault::reorder) && held_back(*fresh.peer) == running_.end()) {
      fresh.state = stage::reordered;
      fresh.held_until = later(host_->now(), plan_.hold_time);
    }
    fresh.duplicate = due(fault::duplicate);
    // The faults that spoil bytes need bytes; they choose the last slice that has any.
    std::size_t victim = slices.size();
    while (victim != 0 && slices[victim - 1].size == 0) --victim;
    if (victim == 0) return fresh;
    fresh.victim = victim - 1;
    fresh.shorten = due(fault::short_write);
    fresh.pretend = !fresh.shorten && due(fault::false_completion);
    fresh.corrupt = !fresh.shorten && !fresh.pretend && due(fault::corruption);
    return fresh;
  }

  /// The batch to this peer that waits for another one to begin first, or end().
  [[nodiscard]] auto held_back(const connection& peer) noexcept {
    return std::find_if(running_.begin(), running_.end(), [&](const running& each) { return each.state == stage::reordered && each.peer == &peer; });
  }
  /// `begun` has begun: who was held back for such a one need not wait any more.
  void let_go(const running& begun) noexcept {
    const auto held = held_back(*begun.peer);
    if (held != running_.end() && held->number < begun.number) {
      held->state = stage::held;
      held->overtaken = true;
    }
  }

  /// Submits the batch, or what is to arrive of it, to the inner transport.
  [[nodiscard]] bool begin(running& each) {
    batch slices(*each.token);
    std::vector<slice> inner;
    inner.reserve(slices.size() - each.first);
    for (std::size_t i = each.first; i < slices.size(); ++i) {
      const posted_slice one = slices[i];
      const bool cut = i == each.victim && (each.shorten || each.pretend);
      inner.push_back({static_cast<memory&>(*one.local.memory).inner.id(), static_cast<remote&>(*one.remote.key).inner, one.local_offset,
                       one.remote_offset, cut ? each.draw % one.size : one.size});
    }
    if (!submit(each, slices.direction(), inner)) return false;
    each.state = stage::moving;
    return true;
  }
  [[nodiscard]] bool submit(running& each, op direction, std::span<const slice> slices) {
    auto submitted =
        inner_->submit(each.peer->inner, direction, slices, {.deadline = std::chrono::nanoseconds::max()});  // the outer endpoint keeps it
    if (submitted) {
      each.inner = std::move(*submitted);
      return true;
    }
    if (submitted.error() != errc::would_block) each.failure = fail(submitted.error());
    return false;
  }

  /// Puts the flipped bit where it belongs: into local memory for a get, into the peer's for a put. Whether the batch is to be reported.
  [[nodiscard]] bool flip(running& each) {
    batch slices(*each.token);
    if (each.scratch != no_scratch) {
      if (!each.inner.ready()) return false;
      if (each.inner.released()) free_scratch_.push_back(each.scratch);
      if (each.inner.how().ok()) {
        counts_.count(fault::corruption);
      } else {  // nobody knows which bit is there
        each.arrived[each.victim - each.first] = false;
        each.failure = each.inner.how().status;
      }
      return true;
    }
    if (each.token->given_up() != errc{}) return true;  // too late for the fault
    const posted_slice one = slices[each.victim];
    const std::uint64_t at = each.draw % one.size;
    const std::byte bit{static_cast<unsigned char>(1u << (each.draw >> 61))};
    std::byte& local = one.local.bytes[static_cast<std::size_t>(one.local_offset + at)];
    if (slices.direction() == op::get) {
      local ^= bit;
      counts_.count(fault::corruption);
      return true;
    }
    if (free_scratch_.empty()) return false;
    const std::size_t scratch = free_scratch_.back();
    scratch_.data()[scratch] = local ^ bit;
    const slice flipped{scratch_.id(), static_cast<remote&>(*one.remote.key).inner, scratch, one.remote_offset + at, 1};
    if (!submit(each, op::put, std::span(&flipped, 1))) return !each.failure;
    free_scratch_.pop_back();
    each.scratch = scratch;
    return false;
  }

  /// One step of one batch; whether it is to be reported.
  [[nodiscard]] bool advance(running& each, std::chrono::nanoseconds at) noexcept {
    LADING_TRY {
      if (each.state == stage::dropped) return each.failure = fail(each.token->given_up()), true;
      if (each.peer->dead && !each.inner) return each.failure = fail(errc::peer_lost, {.what = "an injected fault"}), true;
      if (each.state == stage::lost || at < each.begin_at || (each.peer->stalled_until > at && each.state != stage::notifying)) return false;
      if (each.state == stage::reordered && at < each.held_until) return false;
      if (!each.inner) {
        if (!begin(each)) return !each.failure;
        if (each.overtaken) counts_.count(fault::reorder);
        let_go(each);
        return false;
      }
      if (each.state == stage::flipping) return flip(each);
      if (!each.inner.ready()) return false;
      if (each.state == stage::notifying) return true;
      if (each.inner.how().ok() && each.duplicate) {
        each.duplicate = false;
        if (begin(each)) counts_.count(fault::duplicate);  // otherwise the first copy stands
        return !each.failure;
      }
      note_arrived(each);
      if (!each.corrupt || !each.inner.how().ok()) return true;
      each.state = stage::flipping;
      return flip(each);
    }
    LADING_CATCH_BAD_ALLOC(each.failure = fail(errc::no_memory); return true)
  }
  void note_arrived(running& each) {
    const std::size_t count = each.token->slice_count() - each.first;
    each.arrived.assign(count, false);
    for (std::size_t i = 0; i < count; ++i) each.arrived[i] = each.inner.succeeded(i);
    if (!each.inner.how().ok()) each.failure = each.inner.how().status;
    if ((!each.shorten && !each.pretend) || !each.arrived[each.victim - each.first]) return;
    counts_.count(each.shorten ? fault::short_write : fault::false_completion);
    if (each.pretend) return;
    each.arrived[each.victim - each.first] = false;
    if (each.inner.how().ok()) each.failure = fail(errc::backend_failure, {.what = "an injected fault: a slice arrived in part"});
  }

  void report(running& ended) noexcept {
    operation& token = *ended.token;
    const errc given_up = token.given_up();
    if (ended.state == stage::notifying)
      return token.notified(ended.inner.how().ok() || given_up == errc{} ? ended.inner.how().status : fail(given_up));
    if (!ended.failure && ended.failure.error() == errc::cancelled && given_up != errc{}) ended.failure = fail(given_up);
    const std::size_t count = token.slice_count() - ended.first;
    if (ended.arrived.empty()) return token.failed(ended.first, count, ended.failure ? error(errc::backend_failure) : ended.failure.error());
    std::uint64_t bytes = 0;
    std::size_t done = 0, lost = 0;
    batch slices(token);
    for (std::size_t i = 0; i < count; ++i) {
      if (ended.arrived[i]) {
        ++done;
        bytes += slices[ended.first + i].size;
      } else {
        ++lost;
      }
    }
    // Whatever is reported last ends the operation, so that nothing may follow it.
    for (std::size_t i = 0; i < count && lost != 0; ++i) {
      if (ended.arrived[i]) continue;
      --lost;
      token.failed(ended.first + i, 1, ended.failure ? error(errc::backend_failure) : ended.failure.error());
    }
    if (done != 0) token.succeeded(done, bytes);
  }

  std::optional<Inner> inner_;  // until stop
  fault_plan plan_;
  std::string name_;
  driver_host* host_ = nullptr;
  region scratch_;
  std::vector<std::size_t> free_scratch_;
  std::vector<running> running_;  // in the order in which they are to begin
  std::uint64_t posted_ = 0;
  std::mutex random_mutex_;
  std::uint64_t random_;
  fault_counts counts_;
  std::atomic<std::chrono::nanoseconds::rep> connect_limit_{std::chrono::nanoseconds(std::chrono::seconds(10)).count()};
  mutable event_set events_;
};

}  // namespace lading
