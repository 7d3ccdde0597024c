// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// endpoint_core: regions, imports and peers.

#include <lading/transport/detail/at_exit.hpp>
#include <lading/transport/endpoint_core.hpp>

namespace lading {

// Registering takes seconds for large memory. It holds no lock, so that others drive meanwhile and deadlines hold.
inline result<region_id> endpoint_core::add_region(bytes_span bytes, memory_kind kind) {
  if (side->closed) return fail(errc::closed);
  if (bytes.empty() || bytes.data() == nullptr)
    return fail(errc::invalid_argument, {.needed = 1, .available = 0, .what = "a region has at least one byte"});
  if ((caps_.memory_kinds & bit_of(kind)) == 0) return fail(errc::unsupported, {.what = "this transport cannot register memory of that kind"});
  auto memory = driver_->map(bytes, kind);
  if (!memory) return fail(memory.error());
  return insert_region({bytes, kind, std::move(*memory)});
}

inline result<std::pair<region_id, bytes_span>> endpoint_core::add_allocation(std::size_t size) {
  if (side->closed) return fail(errc::closed);
  if (size == 0) return fail(errc::invalid_argument, {.needed = 1, .available = 0, .what = "a region has at least one byte"});
  auto allocation = driver_->allocate(size);
  if (!allocation) return fail(allocation.error());
  const bytes_span bytes = allocation->bytes;
  auto id = insert_region(std::move(*allocation));
  if (!id) return fail(id.error());
  return std::pair{*id, bytes};
}

inline result<region_id> endpoint_core::insert_region(driver_allocation made) {
  auto record = std::make_unique<local_region>();
  record->bytes = made.bytes;
  record->kind = made.kind;
  record->generation = ++generation_;
  record->memory = std::move(made.memory);
  auto id = side->regions.insert(std::move(record));
  if (!id) return fail(id.error());
  return region_id{*id};
}

/// Unregisters in this thread; waits for nobody.
inline result<void> endpoint_core::remove_region(region_id id) noexcept {
  auto record = side->regions.remove(number(id));
  if (!record) return fail(record.error());
  return {};
}

/// For destructors: nobody can use the region any more, and it is gone when its last transfer is; waits for that within close_limit.
inline void endpoint_core::retire_region(region_id id) noexcept {
  side->dead.bury(side->regions.retire(number(id)));
  const auto until = later(time_source{}.now(), options_.close_limit);
  while (side->regions.contains(number(id)) && time_source{}.now() < until) {
    if (help() == 0) std::this_thread::yield();
  }
  wake();
  side->dead.sweep();
}

inline result<std::vector<std::byte>> endpoint_core::describe(region_id id) {
  local_region* region = side->regions.pin(number(id));
  if (region == nullptr) return fail(errc::not_registered, {.what = "no such region of this endpoint"});
  const detail::at_exit unpin([&] { side->unpin(id); });
  const auto exported = [&] {
    std::lock_guard held(drive_);
    return driver_->export_key(*region);
  }();
  if (!exported) return fail(exported.error());
  const region_descriptor described{.transport = tag_,
                                    .endpoint = side->identity.endpoint,
                                    .generation = region->generation,
                                    .size = region->bytes.size(),
                                    .id = id,
                                    .kind = region->kind,
                                    .key = *exported};
  return encode_descriptor(described);
}

inline result<remote_region_id> endpoint_core::import(peer_id peer, bytes_view blob) {
  auto described = decode_descriptor(blob);
  if (!described) return fail(described.error());
  if (described->transport != tag_) return fail(errc::bad_header, {.offset = detail::blob_prefix, .what = "the descriptor is of another transport"});
  peer_record* record = peers_.pin(number(peer));
  if (record == nullptr) return fail(errc::closed, {.what = "no such peer: connect to it first"});
  const detail::at_exit unpin([&] { dead_.bury(peers_.unpin(number(peer))); });
  if (described->endpoint != record->identity.endpoint) {
    return fail(errc::not_registered, {.offset = detail::blob_prefix + 8, .what = "the descriptor is of another endpoint than this peer"});
  }
  if (const errc lost = record->lost.load(); lost != errc{}) return fail(lost);
  auto fresh = std::make_unique<remote_region>();
  std::lock_guard held(drive_);
  auto key = driver_->import_key(*record->connection, *described);
  if (!key) return fail(key.error());
  fresh->size = described->size;
  fresh->peer = peer;
  fresh->key = std::move(*key);
  auto id = remotes.insert(std::move(fresh));
  if (!id) return fail(id.error());
  return remote_region_id{*id};
}

inline result<void> endpoint_core::remove_import(remote_region_id id) noexcept {
  auto record = remotes.remove(number(id));
  if (!record) return fail(record.error());
  std::lock_guard held(drive_);
  record->reset();
  dead_.sweep();
  return {};
}

inline result<std::vector<std::byte>> endpoint_core::address() {
  const auto native = [&] {
    std::lock_guard held(drive_);
    return driver_->native_address();
  }();
  if (!native) return fail(native.error());
  return encode_address({.transport = tag_, .identity = side->identity, .native = *native});
}

inline result<peer_id> endpoint_core::connect(bytes_view blob, std::chrono::nanoseconds timeout) {
  if (side->closed) return fail(errc::closed);
  auto address = decode_address(blob);
  if (!address) return fail(address.error());
  if (address->transport != tag_) return fail(errc::bad_header, {.offset = detail::blob_prefix, .what = "the address is of another transport"});
  auto fresh = std::make_unique<peer_record>();
  driver_connection* connection = nullptr;
  peer_id id{};
  {
    std::lock_guard held(drive_);
    auto connected = driver_->connect(*address);
    if (!connected) return fail(connected.error());
    connection = connected->get();
    fresh->connection = std::move(*connected);
    fresh->identity = address->identity;
    auto inserted = peers_.insert(std::move(fresh));
    if (!inserted) return fail(inserted.error());
    id = peer_id{*inserted};
    connection->id = id;
  }
  const detail::at_exit tell([&] { wake(); });
  const auto until = later(now(), timeout);
  for (;;) {
    result<bool> ready = false;
    {
      std::lock_guard held(drive_);
      ready = driver_->connected(*connection);
    }
    if (ready && *ready) return id;
    if (!ready || now() >= until) {
      disconnect(id);
      if (!ready) return fail(ready.error());
      return fail(errc::timed_out, {.what = "the peer did not answer: is it running, and making progress?"});
    }
    if (help() == 0) std::this_thread::yield();
  }
}

inline void endpoint_core::disconnect(peer_id peer) noexcept {
  peer_record* record = peers_.pin(number(peer));
  if (record == nullptr) return;
  errc expected{};
  record->lost.compare_exchange_strong(expected, errc::closed);
  look_again();
  remotes.for_each(
      [&](std::uint32_t id, remote_region& region) {
        if (region.peer == peer) dead_.bury(remotes.retire(id));
      },
      [&](std::unique_ptr<remote_region> last) { dead_.bury(std::move(last)); });
  {
    std::lock_guard held(drive_);
    driver_->disconnect(*record->connection);
  }
  dead_.bury(peers_.retire(number(peer)));
  dead_.bury(peers_.unpin(number(peer)));
  help();
  wake();
  std::lock_guard held(drive_);
  dead_.sweep();
}

inline result<endpoint_identity> endpoint_core::identity_of(peer_id peer) noexcept {
  const peer_record* record = peers_.pin(number(peer));
  if (record == nullptr) return fail(errc::closed, {.what = "no such peer: connect to it first"});
  const endpoint_identity identity = record->identity;
  dead_.bury(peers_.unpin(number(peer)));
  return identity;
}

/// Ends all transfers and lets no new ones begin. Regions stay until their handles are gone.
inline void endpoint_core::close() noexcept {
  if (side->closed.exchange(true)) return;
  const auto until = later(time_source{}.now(), options_.close_limit);
  std::lock_guard held(drive_);
  const auto running = [&] {
    drive();
    for (operation* each = active_.first(); each != nullptr; each = each->active_.next) {
      if (each->given_up() == errc{}) give_up(*each, errc::closed, now());
    }
    return !active_.empty();
  };
  while (running() && time_source{}.now() < until) std::this_thread::yield();
  // Peers of this process may be reading and writing our regions; they have pinned them, and nobody can pin anew.
  const auto used = [&] {
    bool any = false;
    side->regions.for_each([&](std::uint32_t id, local_region&) { any = any || side->regions.pins(id) > 1; },
                           [&](std::unique_ptr<local_region> last) { side->dead.bury(std::move(last)); });
    return any;
  };
  while (used() && time_source{}.now() < until) std::this_thread::yield();
  driver_->stop();
  stopped_ = true;
  drive();
  for (operation* each = active_.first(); each != nullptr; each = each->active_.next) {
    quarantine(*each);
    if (each->left_.exchange(0) != 0) drained(*each);
  }
  drive();
  remotes.for_each([&](std::uint32_t id, remote_region&) { dead_.bury(remotes.retire(id)); },
                   [&](std::unique_ptr<remote_region> last) { dead_.bury(std::move(last)); });
  peers_.for_each([&](std::uint32_t id, peer_record&) { dead_.bury(peers_.retire(id)); },
                  [&](std::unique_ptr<peer_record> last) { dead_.bury(std::move(last)); });
  dead_.sweep();
  side->dead.sweep();
}

}  // namespace lading
