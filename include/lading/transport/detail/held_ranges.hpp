// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>
#include <stdexcept>
#include <vector>

#include <lading/core/config.hpp>

namespace lading::detail {

/// Ranges of one region that the transport may still touch, although the transfers that they were part of have ended.
///
/// Threads: any.
class held_ranges {
 public:
  /// Until `holder` lets go. False where there is no memory to know the range by.
  [[nodiscard]] bool add(const void* holder, std::uint64_t offset, std::uint64_t size) noexcept {
    if (size == 0) return true;
    std::lock_guard held(mutex_);
    LADING_TRY { ranges_.push_back({offset, offset + size, 0, holder}); }
    LADING_CATCH_BAD_ALLOC(return false)
    ordered_ = false;
    return true;
  }
  void let_go(const void* holder) noexcept {
    std::lock_guard held(mutex_);
    std::erase_if(ranges_, [&](const range& each) { return each.holder == holder; });
    ordered_ = false;
  }

  /// Complexity: logarithmic in the ranges, once they are in order.
  [[nodiscard]] bool overlap(std::uint64_t offset, std::uint64_t size) noexcept {
    if (size == 0) return false;
    std::lock_guard held(mutex_);
    if (!ordered_) order();
    const auto behind = std::partition_point(ranges_.begin(), ranges_.end(), [&](const range& each) { return each.begin < offset + size; });
    return behind != ranges_.begin() && std::prev(behind)->reach > offset;
  }

 private:
  struct range {
    std::uint64_t begin, end, reach;  // of all up to this one, the furthest end
    const void* holder;
  };

  void order() noexcept {
    std::sort(ranges_.begin(), ranges_.end(), [](const range& left, const range& right) { return left.begin < right.begin; });
    std::uint64_t reach = 0;
    for (range& each : ranges_) each.reach = reach = std::max(reach, each.end);
    ordered_ = true;
  }

  std::mutex mutex_;
  std::vector<range> ranges_;
  bool ordered_ = true;
};

}  // namespace lading::detail
