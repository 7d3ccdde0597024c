// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <span>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include <lading/core/bytes.hpp>
#include <lading/core/checked.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
#include <lading/exchange/shared_memory.hpp>
#include <lading/transport/region.hpp>

#if defined(__SANITIZE_ADDRESS__)
#define LADING_DETAIL_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LADING_DETAIL_POISON 1
#endif
#endif
#if defined(LADING_DETAIL_POISON)
#include <sanitizer/asan_interface.h>
#endif

namespace lading {

/// Bytes of one slab.
struct slab_extent {
  std::uint32_t slab = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// How large a slab pool is.
struct slab_options {
  std::uint64_t capacity = std::uint64_t{256} << 20;  ///< bytes in all
  std::uint64_t slab_size = std::uint64_t{64} << 20;  ///< bytes of one region
  std::size_t max_extents = 64;                       ///< that one lease may be made of where no slab has a hole that is large enough
};

namespace detail {

/// Which bytes of the slabs are taken. Best fit by size; neighbouring holes are joined.
///
/// Threads: any.
class slab_core {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::uint64_t alignment = 64;

  slab_core(std::size_t max_extents) : max_extents_(max_extents) {}
  slab_core(const slab_core&) = delete;
  slab_core& operator=(const slab_core&) = delete;

  void add(bytes_span slab) {
    std::lock_guard held(mutex_);
    memory_.push_back(slab);
    holes_.emplace_back();
    give(static_cast<std::uint32_t>(memory_.size() - 1), 0, slab.size() & ~(alignment - 1));
  }

  /// Errors: no_space.
  [[nodiscard]] result<std::vector<slab_extent>> take(std::uint64_t size, bool in_one, std::size_t max_extents) {
    if (size == 0) return std::vector<slab_extent>{};
    std::uint64_t left;
    std::lock_guard held(mutex_);
    release_quarantined();
    if (!checked_align_up<std::uint64_t>(size, alignment, left) || left > free_) return full(size);
    std::vector<slab_extent> taken;
    if (const auto hole = by_size_.lower_bound({left, 0, 0}); hole != by_size_.end()) {
      const auto [hole_size, slab, offset] = *hole;
      taken.push_back({slab, offset, size});
      carve(slab, offset, hole_size, left);
      return taken;
    }
    if (in_one) return full(size);
    taken.reserve(std::min(max_extents, max_extents_));
    std::uint64_t wanted = size;
    while (wanted != 0 && !by_size_.empty() && taken.size() < std::min(max_extents, max_extents_)) {
      const auto rounded = align_up<std::uint64_t>(wanted, alignment);
      auto hole = by_size_.lower_bound({rounded, 0, 0});
      if (hole == by_size_.end()) --hole;  // the largest
      const auto [hole_size, slab, offset] = *hole;
      const std::uint64_t piece = std::min(hole_size, rounded);
      taken.push_back({slab, offset, std::min(piece, wanted)});
      carve(slab, offset, hole_size, piece);
      wanted -= taken.back().size;
    }
    if (wanted == 0) return taken;
    for (const slab_extent& each : taken) give(each.slab, each.offset, align_up<std::uint64_t>(each.size, alignment));
    return full(size);
  }

  /// Whether take would find room for so much, in no more pieces than it may be, were `more` free besides.
  ///
  /// Complexity: n log n for the extents and the holes.
  [[nodiscard]] bool would_fit(std::uint64_t size, std::span<const slab_extent> more) {
    std::vector<slab_extent> all(more.begin(), more.end());
    for (slab_extent& each : all) each.size = align_up<std::uint64_t>(each.size, alignment);
    {
      std::lock_guard held(mutex_);
      release_quarantined();
      for (const auto& [hole_size, slab, offset] : by_size_) all.push_back({slab, offset, hole_size});
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return std::tie(a.slab, a.offset) < std::tie(b.slab, b.offset); });
    std::vector<std::uint64_t> sizes;  // of the holes that there would be
    for (std::size_t i = 0; i < all.size(); ++i) {
      const bool follows = i != 0 && all[i].slab == all[i - 1].slab && all[i].offset == all[i - 1].offset + all[i - 1].size;
      follows ? sizes.back() += all[i].size : sizes.emplace_back(all[i].size);
    }
    const std::size_t usable = std::min(sizes.size(), max_extents_);
    std::nth_element(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(usable), sizes.end(), std::greater<>());
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < usable; ++i) sum += sizes[i];
    return sum >= size;  // take uses the largest ones
  }

  void give_back(std::span<const slab_extent> extents, bool poisoned = false) noexcept {
    std::lock_guard held(mutex_);
    if (memory_.empty()) return;
    for (const slab_extent& each : extents) {
      const auto size = align_up<std::uint64_t>(each.size, alignment);
      if (poisoned) poison(memory_[each.slab].subspan(static_cast<std::size_t>(each.offset), static_cast<std::size_t>(size)), true);
      give(each.slab, each.offset, size);
    }
  }

  /// Gives back later: not before `until`.
  void quarantine(std::vector<slab_extent> extents, clock::time_point until) noexcept {
    std::lock_guard held(mutex_);
    for (const slab_extent& each : extents) quarantined_bytes_ += align_up<std::uint64_t>(each.size, alignment);
    LADING_TRY { quarantined_.push_back({std::move(extents), until}); }
    LADING_CATCH_BAD_ALLOC(static_cast<void>(0))  // lost to this pool rather than reused too early
  }
  /// The slabs are about to go; leases that remain have no bytes any more.
  void close() noexcept {
    std::lock_guard held(mutex_);
    for (const bytes_span each : memory_) poison(each, false);
    memory_.clear();
  }

  [[nodiscard]] bytes_span bytes_of(const slab_extent& extent) const noexcept {
    return memory_[extent.slab].subspan(static_cast<std::size_t>(extent.offset), static_cast<std::size_t>(extent.size));
  }
  [[nodiscard]] std::uint64_t free_bytes() noexcept {
    std::lock_guard held(mutex_);
    release_quarantined();
    return free_;
  }
  [[nodiscard]] std::uint64_t quarantined_bytes() noexcept {
    std::lock_guard held(mutex_);
    return quarantined_bytes_;
  }

 private:
  struct held_back {
    std::vector<slab_extent> extents;
    clock::time_point until;
  };

  LADING_COLD failure full(std::uint64_t size) const noexcept {
    return fail(errc::no_space, {.needed = size, .available = free_, .what = "the slabs are full: remove values, evict, or make them larger"});
  }
  void carve(std::uint32_t slab, std::uint64_t offset, std::uint64_t hole, std::uint64_t size) {
    by_size_.erase({hole, slab, offset});
    holes_[slab].erase(offset);
    if (hole != size) {
      holes_[slab].emplace(offset + size, hole - size);
      by_size_.emplace(hole - size, slab, offset + size);
    }
    free_ -= size;
    poison(memory_[slab].subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size)), false);
  }
  /// Makes a hole and joins it with its neighbours.
  void give(std::uint32_t slab, std::uint64_t offset, std::uint64_t size) noexcept {
    free_ += size;
    auto& holes = holes_[slab];
    auto next = holes.lower_bound(offset);
    if (next != holes.end() && offset + size == next->first) {
      size += next->second;
      by_size_.erase({next->second, slab, next->first});
      next = holes.erase(next);
    }
    if (next != holes.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == offset) {
        by_size_.erase({before->second, slab, before->first});
        offset = before->first;
        size += before->second;
        holes.erase(before);
      }
    }
    LADING_TRY {
      holes.emplace(offset, size);
      by_size_.emplace(size, slab, offset);
    }
    LADING_CATCH_BAD_ALLOC(holes.erase(offset); free_ -= size)  // lost to this pool
  }
  void release_quarantined() noexcept {
    if (quarantined_.empty()) return;
    const auto now = clock::now();
    for (std::size_t i = 0; i < quarantined_.size();) {
      if (now < quarantined_[i].until) {
        ++i;
        continue;
      }
      for (const slab_extent& each : quarantined_[i].extents) {
        const auto size = align_up<std::uint64_t>(each.size, alignment);
        give(each.slab, each.offset, size);
        quarantined_bytes_ -= size;
      }
      quarantined_.erase(quarantined_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  static void poison([[maybe_unused]] bytes_span bytes, [[maybe_unused]] bool on) noexcept {
#if defined(LADING_DETAIL_POISON)
    on ? __asan_poison_memory_region(bytes.data(), bytes.size()) : __asan_unpoison_memory_region(bytes.data(), bytes.size());
#endif
  }

  std::size_t max_extents_;
  std::mutex mutex_;
  std::vector<bytes_span> memory_;
  std::vector<std::map<std::uint64_t, std::uint64_t>> holes_;  // of each slab: size by offset
  std::set<std::tuple<std::uint64_t, std::uint32_t, std::uint64_t>> by_size_;
  std::vector<held_back> quarantined_;
  std::uint64_t free_ = 0, quarantined_bytes_ = 0;
};

}  // namespace detail

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
