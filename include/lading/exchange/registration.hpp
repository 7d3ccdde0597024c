// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>
#include <lading/exchange/metrics.hpp>
#include <lading/exchange/shared_memory.hpp>
#include <lading/transport/region.hpp>

namespace lading {

namespace detail {

/// Registered memory of a user. The last lease ends the registration.
struct registered_memory {
  region memory;
  shared_region shared;  // closed before the registration ends
};

}  // namespace detail

/// A part of registered memory; the registration lives as long as a lease of any part of it does.
class registration {
 public:
  registration() noexcept = default;

  [[nodiscard]] bytes_span bytes() const noexcept { return bytes_; }
  [[nodiscard]] region_id region() const noexcept { return memory_->memory.id(); }
  [[nodiscard]] std::uint64_t offset() const noexcept { return static_cast<std::uint64_t>(bytes_.data() - memory_->memory.data()); }
  [[nodiscard]] bytes_view descriptor() const noexcept { return memory_->shared.descriptor(); }
  [[nodiscard]] explicit operator bool() const noexcept { return memory_ != nullptr; }

 private:
  template <class, class>
  friend class registration_cache;
  registration(std::shared_ptr<detail::registered_memory> memory, bytes_span bytes) noexcept : memory_(std::move(memory)), bytes_(bytes) {}

  std::shared_ptr<detail::registered_memory> memory_;
  bytes_span bytes_;
};

/// Registers ranges of a user's memory, and finds the registration that a range lies in already.
///
/// Nothing stays registered without a lease, so that memory that is freed and comes back elsewhere is never taken for what it was: whoever wants to
/// register once and use it often keeps a lease.
/// Lifetime: the transport and the submitter must outlive it and its leases; the memory its leases.
/// Threads:  any.
template <class Transport, class Submitter>
class registration_cache {
 public:
  registration_cache(Transport& transport, Submitter& submitter) noexcept : transport_(&transport), submitter_(&submitter) {}

  /// Errors: as register_region and export_region of the transport: a failure is never a slower path.
  [[nodiscard]] result<registration> acquire(bytes_span bytes) {
    if (bytes.empty()) return fail(errc::invalid_argument, {.needed = 1, .available = 0, .what = "a registration has at least one byte"});
    std::lock_guard held(mutex_);
    if (registration known = look_up(bytes); known) return known;
    const stage_timer timer(submitter_->meter(), stage::registering, bytes.size());
    auto fresh = std::make_shared<detail::registered_memory>();
    auto memory = transport_->register_region(bytes);
    if (!memory) return fail(memory.error());
    fresh->memory = std::move(*memory);
    auto shared = submitter_->share(fresh->memory);
    if (!shared) return fail(shared.error());
    fresh->shared = std::move(*shared);
    by_address_.emplace(address_of(bytes), fresh);
    return registration(std::move(fresh), bytes);
  }

  /// A lease of what is registered already; an empty one where that is not so.
  [[nodiscard]] registration find(bytes_span bytes) {
    std::lock_guard held(mutex_);
    return by_address_.empty() ? registration() : look_up(bytes);
  }

  /// How often a range was found to be registered.
  [[nodiscard]] std::uint64_t hits() const noexcept {
    std::lock_guard held(mutex_);
    return hits_;
  }

 private:
  // Safety: addresses are compared as numbers, because ranges of different objects have no order.
  static std::uintptr_t address_of(bytes_span bytes) noexcept { return reinterpret_cast<std::uintptr_t>(bytes.data()); }

  [[nodiscard]] registration look_up(bytes_span bytes) {
    const std::uintptr_t begin = address_of(bytes);
    std::size_t looked = 0;
    for (auto at = by_address_.upper_bound(begin); at != by_address_.begin() && looked < look_limit; ++looked) {
      --at;
      auto memory = at->second.lock();
      if (memory == nullptr) {
        at = by_address_.erase(at);
        continue;
      }
      if (begin - at->first <= memory->memory.size() && bytes.size() <= memory->memory.size() - (begin - at->first)) {
        ++hits_;
        return registration(std::move(memory), bytes);
      }
    }
    return {};
  }

  static constexpr std::size_t look_limit = 64;  // ranges that begin before the wanted one; beyond that it is registered once more

  Transport* transport_;
  Submitter* submitter_;
  mutable std::mutex mutex_;
  std::multimap<std::uintptr_t, std::weak_ptr<detail::registered_memory>> by_address_;
  std::uint64_t hits_ = 0;
};

}  // namespace lading
