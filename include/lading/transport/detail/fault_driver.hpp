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
    bool told = false;  // the host, that the inner transport keeps it
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

  // Running batches.
  [[nodiscard]] running draw(batch& slices);
  void let_go(const running& begun) noexcept;
  [[nodiscard]] bool begin(running& each);
  [[nodiscard]] bool submit(running& each, op direction, std::span<const slice> slices);
  [[nodiscard]] bool flip(running& each);
  [[nodiscard]] bool over(running& each) noexcept;
  [[nodiscard]] bool advance(running& each, std::chrono::nanoseconds at) noexcept;
  void note_arrived(running& each);
  void report(running& ended) noexcept;

  /// The batch to this peer that waits for another one to begin first, or end().
  [[nodiscard]] auto held_back(const connection& peer) noexcept {
    return std::find_if(running_.begin(), running_.end(), [&](const running& each) { return each.state == stage::reordered && each.peer == &peer; });
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

#include <lading/transport/detail/fault_batches.hpp>
