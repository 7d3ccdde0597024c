// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
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
    spare_one();
    give(static_cast<std::uint32_t>(memory_.size() - 1), 0, slab.size() & ~(alignment - 1));
  }

  /// Errors: no_space. Where an allocation fails nothing has been taken.
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
      spare_one();
      carve(slab, offset, hole_size, left);
      return taken;
    }
    if (in_one) return full(size);
    taken.reserve(std::min(max_extents, max_extents_));
    const auto give_up = [&]() noexcept {
      for (const slab_extent& each : taken) give(each.slab, each.offset, align_up<std::uint64_t>(each.size, alignment));
    };
    std::uint64_t wanted = size;
    while (wanted != 0 && !by_size_.empty() && taken.size() < std::min(max_extents, max_extents_)) {
      const auto rounded = align_up<std::uint64_t>(wanted, alignment);
      auto hole = by_size_.lower_bound({rounded, 0, 0});
      if (hole == by_size_.end()) --hole;  // the largest
      const auto [hole_size, slab, offset] = *hole;
      const std::uint64_t piece = std::min(hole_size, rounded);
      LADING_TRY { spare_one(); }
      LADING_CATCH_BAD_ALLOC(give_up(); return fail(errc::no_memory, {.what = "there is no memory to remember what is free"}))
      taken.push_back({slab, offset, std::min(piece, wanted)});
      carve(slab, offset, hole_size, piece);
      wanted -= taken.back().size;
    }
    if (wanted == 0) return taken;
    give_up();
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
  /// Sets the nodes of one hole aside. There are as many as extents that are taken, so that giving these back allocates nothing and cannot fail.
  void spare_one() {
    const std::uint64_t number = spare_holes_.size();
    spare_sizes_.emplace(number, 0, 0);  // it stays, and is found again, where what follows fails
    spare_holes_.emplace(number, 0);
  }
  void drop_spare() noexcept {
    spare_holes_.erase(std::prev(spare_holes_.end()));
    spare_sizes_.erase(std::prev(spare_sizes_.end()));
  }
  void add_hole(std::uint32_t slab, std::uint64_t offset, std::uint64_t size) noexcept {
    auto hole = spare_holes_.extract(std::prev(spare_holes_.end()));
    auto by_size = spare_sizes_.extract(std::prev(spare_sizes_.end()));
    hole.key() = offset;
    hole.mapped() = size;
    by_size.value() = {size, slab, offset};
    holes_[slab].insert(std::move(hole));
    by_size_.insert(std::move(by_size));
  }
  /// Forgets a hole; its nodes are spare then.
  void remove_hole(std::uint32_t slab, std::uint64_t offset, std::uint64_t size) noexcept {
    auto hole = holes_[slab].extract(offset);
    auto by_size = by_size_.extract({size, slab, offset});
    const std::uint64_t number = spare_holes_.size();
    hole.key() = number;
    by_size.value() = {number, 0, 0};
    spare_holes_.insert(std::move(hole));
    spare_sizes_.insert(std::move(by_size));
  }
  /// Takes the beginning of a hole. Spare nodes have been made for it.
  void carve(std::uint32_t slab, std::uint64_t offset, std::uint64_t hole, std::uint64_t size) noexcept {
    remove_hole(slab, offset, hole);
    hole != size ? add_hole(slab, offset + size, hole - size) : drop_spare();
    free_ -= size;
    poison(memory_[slab].subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size)), false);
  }
  /// Makes a hole and joins it with its neighbours.
  void give(std::uint32_t slab, std::uint64_t offset, std::uint64_t size) noexcept {
    free_ += size;
    auto& holes = holes_[slab];
    if (const auto next = holes.find(offset + size); next != holes.end()) {
      size += next->second;
      remove_hole(slab, next->first, next->second);
      drop_spare();
    }
    if (const auto next = holes.lower_bound(offset); next != holes.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == offset) {
        offset = before->first;
        size += before->second;
        remove_hole(slab, offset, before->second);
        drop_spare();
      }
    }
    add_hole(slab, offset, size);
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
  std::map<std::uint64_t, std::uint64_t> spare_holes_;  // nodes alone, by number; and as many of the other kind
  std::set<std::tuple<std::uint64_t, std::uint32_t, std::uint64_t>> spare_sizes_;
  std::vector<held_back> quarantined_;
  std::uint64_t free_ = 0, quarantined_bytes_ = 0;
};

}  // namespace detail
}  // namespace lading
