// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <lading/core/bytes.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
#include <lading/exchange/metrics.hpp>
#include <lading/exchange/shared_memory.hpp>
#include <lading/transport/region.hpp>

namespace lading {

namespace detail {

struct registered_bytes;

/// Registered memory. The last lease ends the registration.
struct registered_memory {
  std::shared_ptr<void> owner;  // of the bytes, where that is not the user
  region memory;
  shared_region shared;  // closed before the registration ends
};

/// Registrations that nobody has a lease of any more, but whose memory the transport has not let go of. Who gives one up does not wait for that.
///
/// Threads: any.
class late_registrations {
 public:
  /// Ends a registration, now or later.
  void end(std::unique_ptr<registered_memory> left) noexcept {
    left->shared.close();
    if (ended(*left)) return;
    std::lock_guard held(mutex_);
    if (closed_) return;  // this waits, as nobody will look after it
    LADING_TRY { late_.push_back(std::move(left)); }
    LADING_CATCH_BAD_ALLOC(static_cast<void>(0))  // this waits
  }
  /// Ends those that can be ended by now; returns whether all have been.
  bool sweep() noexcept {
    std::lock_guard held(mutex_);
    std::erase_if(late_, [](const auto& each) { return ended(*each); });
    return late_.empty();
  }
  /// Takes no more, and leaves those that are left registered for ever: their memory may yet be touched.
  void close() noexcept {
    std::lock_guard held(mutex_);
    closed_ = true;
    for (auto& each : late_) static_cast<void>(each.release());
    late_.clear();
  }

 private:
  [[nodiscard]] static bool ended(registered_memory& left) noexcept {
    const auto done = left.memory.deregister();
    return done || done.error() != errc::busy;
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<registered_memory>> late_;
  bool closed_ = false;
};

}  // namespace detail

/// A part of registered memory; the registration lives as long as a lease of any part of it does. Where the transport still touches the memory then, it
/// ends when that has let it go, and nobody waits.
class registration {
 public:
  registration() noexcept = default;

  [[nodiscard]] bytes_span bytes() const noexcept { return bytes_; }
  [[nodiscard]] region_id region() const noexcept { return memory_->memory.id(); }
  [[nodiscard]] std::uint64_t offset() const noexcept { return static_cast<std::uint64_t>(bytes_.data() - memory_->memory.data()); }
  [[nodiscard]] bytes_view descriptor() const noexcept { return memory_->shared.descriptor(); }
  [[nodiscard]] explicit operator bool() const noexcept { return memory_ != nullptr; }

 private:
  friend struct detail::registered_bytes;
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
/// Lifetime: the transport and the submitter must outlive it and its leases; the memory its leases, and those of late registrations until settle() is
///           true. Destroying it waits a second for these, all together.
/// Threads:  any.
template <class Transport, class Submitter>
class registration_cache {
 public:
  registration_cache(Transport& transport, Submitter& submitter) : transport_(&transport), submitter_(&submitter) {}
  registration_cache(const registration_cache&) = delete;
  registration_cache& operator=(const registration_cache&) = delete;
  ~registration_cache() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    while (!settle() && std::chrono::steady_clock::now() < until) {
      if (transport_->progress() == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    late_->close();
  }

  /// Errors: as register_region and export_region of the transport: a failure is never a slower path.
  [[nodiscard]] result<registration> acquire(bytes_span bytes) {
    if (bytes.empty()) return fail(errc::invalid_argument, {.needed = 1, .available = 0, .what = "a registration has at least one byte"});
    if (registration known = find(bytes); known) return known;
    settle();
    // Registering takes seconds for large memory: nobody waits for it but who needs it. Should two register the same, both have it.
    const stage_timer timer(submitter_->meter(), stage::registering, bytes.size());
    const std::shared_ptr<detail::registered_memory> fresh(new detail::registered_memory, [late = late_](detail::registered_memory* left) {
      late->end(std::unique_ptr<detail::registered_memory>(left));
    });
    auto memory = transport_->register_region(bytes);
    if (!memory) return fail(memory.error());
    fresh->memory = std::move(*memory);
    auto shared = submitter_->share(fresh->memory);
    if (!shared) return fail(shared.error());
    fresh->shared = std::move(*shared);
    std::lock_guard held(mutex_);
    by_address_.emplace(address_of(bytes), fresh);
    return registration(fresh, bytes);
  }

  /// A lease of what is registered already; an empty one where that is not so.
  [[nodiscard]] registration find(bytes_span bytes) {
    std::lock_guard held(mutex_);
    return by_address_.empty() ? registration() : look_up(bytes);
  }

  /// Ends what late registrations can be ended by now; returns whether there are none left.
  bool settle() noexcept { return late_->sweep(); }

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
  std::shared_ptr<detail::late_registrations> late_ = std::make_shared<detail::late_registrations>();
  std::uint64_t hits_ = 0;
};

}  // namespace lading
