// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unordered_map>

#include <lading/memory/copy.hpp>
#include <lading/transport/concept.hpp>
#include <lading/transport/endpoint.hpp>

namespace lading {

namespace detail {

/// The loopback endpoints of this process, by their random number.
class loopback_hub {
 public:
  static loopback_hub& instance() {
    static loopback_hub hub;
    return hub;
  }
  void add(const std::shared_ptr<incoming_side>& side) {
    std::lock_guard held(mutex_);
    sides_.emplace(side->identity.endpoint, side);
  }
  void remove(std::uint64_t endpoint) noexcept {
    std::lock_guard held(mutex_);
    sides_.erase(endpoint);
  }
  [[nodiscard]] std::shared_ptr<incoming_side> find(std::uint64_t endpoint) noexcept {
    std::lock_guard held(mutex_);
    const auto found = sides_.find(endpoint);
    return found == sides_.end() ? nullptr : found->second;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<incoming_side>> sides_;
};

struct loopback_connection final : driver_connection {
  std::shared_ptr<incoming_side> side;
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

class loopback_driver final : public driver {
 public:
  std::string_view name() const noexcept override { return "loopback"; }
  lading::capabilities capabilities() const noexcept override {
    return {.one_sided = true, .enforces_ranges = false, .detects_peer_death = true, .native_gather = true, .notifies = true, .concurrent_post = true};
  }
  result<void> start(driver_host& host) override {
    side_ = host.incoming();
    loopback_hub::instance().add(side_);
    return {};
  }
  void stop() noexcept override { loopback_hub::instance().remove(side_->identity.endpoint); }

  result<std::unique_ptr<driver_connection>> connect(const endpoint_address& address) override {
    auto side = loopback_hub::instance().find(address.identity.endpoint);
    if (side == nullptr || side->closed) return fail(errc::peer_lost, {.what = "no loopback endpoint of this process has that address (any more)"});
    auto made = std::make_unique<loopback_connection>();
    made->side = std::move(side);
    return made;
  }
  result<std::unique_ptr<driver_remote>> import_key(driver_connection& peer, const region_descriptor& region) override {
    auto& side = static_cast<loopback_connection&>(peer).side;
    auto made = std::make_unique<loopback_remote>();
    made->side = side;
    made->id = region.id;
    made->generation = region.generation;
    auto pinned = side->pin(region.id, region.generation);
    if (!pinned) return fail(pinned.error());
    const bytes_span bytes = (*pinned)->bytes;
    made->data = bytes.data();
    side->unpin(region.id);
    if (bytes.size() != region.size) return fail(errc::bad_header, {.needed = region.size, .available = bytes.size(), .what = "the descriptor lies about its region's size"});
    return made;
  }

  std::size_t post(batch& slices, std::size_t first) noexcept override {
    const std::size_t count = slices.size();
    const bool put = slices.direction() == op::put;
    std::uint64_t bytes = 0;
    for (std::size_t i = first; i < count; ++i) {
      const posted_slice each = slices[i];
      std::byte* local = each.local.bytes.data() + each.local_offset;
      std::byte* remote = static_cast<loopback_remote&>(*each.remote.key).data + each.remote_offset;
      if (put) {
        copy_bytes(remote, local, each.size);
      } else {
        copy_bytes(local, remote, each.size);
      }
      bytes += each.size;
    }
    slices.token().succeeded(count - first, bytes);
    return count - first;
  }
  bool notify(driver_connection& peer, std::uint64_t tag, operation& token) noexcept override {
    auto& side = *static_cast<loopback_connection&>(peer).side;
    if (side.closed) {
      token.notified(fail(errc::peer_lost, {.what = "the peer has closed its endpoint"}));
      return true;
    }
    if (!side.notifications.push({tag, side_->identity.endpoint})) return false;
    side.awake.signal();
    token.notified();
    return true;
  }
  std::size_t progress() noexcept override { return 0; }

 private:
  std::shared_ptr<incoming_side> side_;
};

}  // namespace detail

/// The transport inside one process: endpoints find each other by address, and copy.
class loopback : public endpoint {
 public:
  [[nodiscard]] static result<loopback> create(const endpoint_options& options = {}) {
    auto made = endpoint::create(std::make_unique<detail::loopback_driver>(), options);
    if (!made) return fail(made.error());
    return loopback(std::move(*made));
  }

 private:
  explicit loopback(endpoint&& made) noexcept : endpoint(std::move(made)) {}
};

static_assert(transport<loopback>);

}  // namespace lading
