// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// How the loopback endpoints of a process find each other, and each other's memory.

#include <atomic>
#include <mutex>
#include <thread>
#include <unordered_map>

#include <lading/transport/driver.hpp>

namespace lading::detail {

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

}  // namespace lading::detail
