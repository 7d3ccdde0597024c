// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <lading/core/bytes.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
#include <lading/exchange/detail/slab_core.hpp>
#include <lading/exchange/shared_memory.hpp>
#include <lading/transport/region.hpp>

namespace lading {

/// How large a slab pool is.
struct slab_options {
  std::uint64_t capacity = std::uint64_t{256} << 20;  ///< bytes in all
  std::uint64_t slab_size = std::uint64_t{64} << 20;  ///< bytes of one region
  std::size_t max_extents = 64;                       ///< that one lease may be made of where no slab has a hole that is large enough
};

/// Bytes of a slab pool, given back when it is destroyed.
///
/// Lifetime: it may outlive the pool, its bytes do not.
class slab_lease {
 public:
  slab_lease() noexcept = default;
  slab_lease(std::shared_ptr<detail::slab_core> core, std::vector<slab_extent> extents) noexcept
      : core_(std::move(core)), extents_(std::move(extents)) {}
  slab_lease(slab_lease&& other) noexcept
      : core_(std::move(other.core_)), extents_(std::exchange(other.extents_, {})), kept_from_peers_(other.kept_from_peers_) {}
  slab_lease& operator=(slab_lease&& other) noexcept {
    std::swap(core_, other.core_);
    std::swap(extents_, other.extents_);
    std::swap(kept_from_peers_, other.kept_from_peers_);
    return *this;
  }
  ~slab_lease() {
    if (core_ != nullptr && !extents_.empty()) core_->give_back(extents_, kept_from_peers_);
  }

  [[nodiscard]] std::span<const slab_extent> extents() const noexcept { return extents_; }
  [[nodiscard]] bytes_span bytes_of(const slab_extent& extent) const noexcept { return core_->bytes_of(extent); }

  /// All its bytes, where they are in one piece.
  [[nodiscard]] bytes_span bytes() const noexcept {
    LADING_ASSERT(extents_.size() <= 1);
    return extents_.empty() ? bytes_span{} : core_->bytes_of(extents_[0]);
  }
  [[nodiscard]] std::uint64_t size() const noexcept {
    std::uint64_t sum = 0;
    for (const slab_extent& each : extents_) sum += each.size;
    return sum;
  }

  /// No peer is told where the bytes are, so that nobody may touch them once they are given back: under AddressSanitizer that is then an error. A peer of
  /// the same process may read what it was told of at any later time; it finds another checksum.
  void keep_from_peers() noexcept { kept_from_peers_ = true; }

  /// Gives the bytes back no sooner than after `time`: for what a peer may still touch.
  void quarantine(std::chrono::nanoseconds time) && noexcept {
    if (core_ != nullptr && !extents_.empty()) core_->quarantine(std::exchange(extents_, {}), detail::slab_core::clock::now() + time);
  }

 private:
  std::shared_ptr<detail::slab_core> core_;
  std::vector<slab_extent> extents_;
  bool kept_from_peers_ = false;
};

/// Memory that was allocated, touched and registered once, and is handed out in 64-byte-aligned pieces.
///
/// Lifetime: the submitter must outlive it.
/// Threads:  any, once made.
template <class Submitter>
class slab_pool {
 public:
  slab_pool(slab_pool&&) noexcept = default;
  slab_pool& operator=(slab_pool&&) noexcept = delete;
  ~slab_pool() {
    if (core_ != nullptr) core_->close();
  }

  /// Errors: invalid_argument for sizes that make no sense, and what the transport says to allocating and exporting.
  template <class Transport>
  [[nodiscard]] static result<slab_pool> create(Transport& transport, Submitter& submitter, const slab_options& options = {}) {
    if (options.slab_size < detail::slab_core::alignment || options.capacity < options.slab_size || options.max_extents == 0 ||
        options.capacity / options.slab_size > 0xffff) {
      return fail(errc::invalid_argument,
                  {.needed = options.slab_size, .available = options.capacity, .what = "a pool is 1 to 65,535 slabs of at least 64 bytes"});
    }
    slab_pool pool(options);
    for (std::uint64_t made = 0; made + options.slab_size <= options.capacity; made += options.slab_size) {
      auto memory = transport.allocate_region(static_cast<std::size_t>(options.slab_size));
      if (!memory) return fail(memory.error());
      for (std::size_t page = 0; page < memory->size(); page += 4096) {
        static_cast<volatile std::byte*>(memory->data())[page] = std::byte{0};  // the first write of a page costs more than copying it
      }
      auto shared = submitter.share(*memory);
      if (!shared) return fail(shared.error());
      pool.slabs_.push_back({std::move(*memory), std::move(*shared)});
      pool.core_->add(pool.slabs_.back().memory.bytes());
    }
    return pool;
  }

  /// Bytes in as many pieces as it takes, at most `max_extents`.
  ///
  /// Errors: no_space.
  [[nodiscard]] result<slab_lease> take(std::uint64_t size, std::size_t max_extents = ~std::size_t{0}) {
    return lease(core_->take(size, false, max_extents));
  }

  /// Bytes in one piece.
  ///
  /// Errors: no_space.
  [[nodiscard]] result<slab_lease> take_one(std::uint64_t size) { return lease(core_->take(size, true, 1)); }

  /// Whether take would find room for so much, were `more` free besides.
  ///
  /// Complexity: n log n for the extents and the holes.
  [[nodiscard]] bool would_fit(std::uint64_t size, std::span<const slab_extent> more) const { return core_->would_fit(size, more); }

  [[nodiscard]] region_id region_of(std::uint32_t index) const noexcept { return slabs_[index].memory.id(); }
  [[nodiscard]] bytes_view descriptor_of(std::uint32_t index) const noexcept { return slabs_[index].shared.descriptor(); }
  [[nodiscard]] std::size_t slab_count() const noexcept { return slabs_.size(); }
  [[nodiscard]] std::uint64_t capacity() const noexcept { return slabs_.size() * slab_size_; }
  [[nodiscard]] std::uint64_t largest() const noexcept { return slab_size_; }  ///< bytes that take_one can give at best
  [[nodiscard]] std::uint64_t free_bytes() const noexcept { return core_->free_bytes(); }
  [[nodiscard]] std::uint64_t quarantined_bytes() const noexcept { return core_->quarantined_bytes(); }

 private:
  struct slab {
    region memory;
    shared_region shared;  // closed before the memory goes
  };

  explicit slab_pool(const slab_options& options)
      : core_(std::make_shared<detail::slab_core>(options.max_extents)), slab_size_(options.slab_size & ~(detail::slab_core::alignment - 1)) {}
  [[nodiscard]] result<slab_lease> lease(result<std::vector<slab_extent>> extents) {
    if (!extents) return fail(extents.error());
    return slab_lease(core_, std::move(*extents));
  }

  std::vector<slab> slabs_;
  std::shared_ptr<detail::slab_core> core_;
  std::uint64_t slab_size_;
};

}  // namespace lading
