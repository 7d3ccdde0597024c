// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <utility>

#include <lading/exchange/registration.hpp>
#include <lading/exchange/slab.hpp>
#include <lading/memory/aligned_buffer.hpp>

namespace lading::detail {

/// Registered bytes in one piece: of the slab, of a buffer of their own, or of the user. Their registration always ends before their owner goes.
struct registered_bytes {
  registered_bytes() = default;
  registered_bytes(registered_bytes&&) noexcept = default;
  registered_bytes& operator=(registered_bytes&& other) noexcept {
    registered = std::move(other.registered);  // before the owner
    owner = std::move(other.owner);
    lease = std::move(other.lease);
    bytes = other.bytes;
    region = other.region;
    offset = other.offset;
    descriptor = other.descriptor;
    return *this;
  }
  ~registered_bytes() = default;

  bytes_span bytes;
  region_id region{};
  std::uint64_t offset = 0;
  bytes_view descriptor;

  std::shared_ptr<void> owner;  // of bytes that nobody else keeps
  registration registered;
  slab_lease lease;

  /// The peer may still read the bytes.
  void quarantine(std::chrono::nanoseconds time) && noexcept { std::move(lease).quarantine(time); }
  /// Whether the bytes are the user's, who is told to keep them until the transport has let them go.
  [[nodiscard]] bool is_of_user() const noexcept { return owner == nullptr && lease.extents().empty(); }
  /// The bytes are another's than the user's, who lives as long as they are registered.
  void belong_to(std::shared_ptr<void> whom) noexcept {
    owner = std::move(whom);
    if (owner != nullptr && registered) registered.memory_->owner = owner;
  }
};

/// Where a client gets registered memory.
template <class Transport, class Submitter>
class client_memory {
 public:
  client_memory(slab_pool<Submitter> pool, Transport& transport, Submitter& submitter) : pool_(std::move(pool)), cache_(transport, submitter) {}

  /// Memory of the client's own: of the slab, and where that has not enough in one piece, of the heap.
  ///
  /// Errors: no_memory, and those of registering.
  [[nodiscard]] result<registered_bytes> room(std::uint64_t size) {
    registered_bytes made;
    if (size == 0) return made;
    if (auto lease = pool_.take_one(size); lease) {
      made.bytes = lease->bytes();
      const slab_extent& where = lease->extents()[0];
      made.region = pool_.region_of(where.slab);
      made.offset = where.offset;
      made.descriptor = pool_.descriptor_of(where.slab);
      made.lease = std::move(*lease);
      return made;
    }
    auto own = aligned_buffer::allocate(static_cast<std::size_t>(size));
    if (!own) return fail(own.error());
    auto owner = std::make_shared<aligned_buffer>(std::move(*own));
    auto used = in_place(owner->span());
    if (used) used->belong_to(std::move(owner));
    return used;
  }

  /// The user's memory where it is.
  ///
  /// Errors: those of registering.
  [[nodiscard]] result<registered_bytes> in_place(bytes_span bytes) {
    if (bytes.empty()) return registered_bytes{};
    auto registered = cache_.acquire(bytes);
    if (!registered) return fail(registered.error());
    return lease_of(std::move(*registered));
  }

  /// The user's memory where it is registered already; else no bytes.
  [[nodiscard]] registered_bytes if_registered(bytes_span bytes) {
    registration known = bytes.empty() ? registration() : cache_.find(bytes);
    return known ? lease_of(std::move(known)) : registered_bytes{};
  }

  [[nodiscard]] result<registration> keep_registered(bytes_span bytes) { return cache_.acquire(bytes); }

  /// Ends what late registrations can be ended by now; returns whether there are none left.
  bool settle() noexcept { return cache_.settle(); }

 private:
  [[nodiscard]] static registered_bytes lease_of(registration known) {
    registered_bytes made;
    made.bytes = known.bytes();
    made.region = known.region();
    made.offset = known.offset();
    made.descriptor = known.descriptor();
    made.registered = std::move(known);
    return made;
  }

  slab_pool<Submitter> pool_;
  registration_cache<Transport, Submitter> cache_;
};

}  // namespace lading::detail
