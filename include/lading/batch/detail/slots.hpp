// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include <lading/core/bytes.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>

namespace lading::detail {

/// The bytes of the slots that a batch will write, in the order of their addresses.
///
/// Complexity: constant memory and one pass where the allocator gave ascending slots, as slabs do; else they are sorted.
class slot_map {
 public:
  /// Checks that each slot holds its size and that no two share a byte to be written.
  ///
  /// Errors: invalid_argument, buffer_too_small, naming the item; std::bad_alloc.
  [[nodiscard]] result<void> assign(std::span<const bytes_span> slots, std::span<const std::size_t> sizes) {
    slots_ = slots;
    sizes_ = sizes;
    if (slots.size() != sizes.size()) {
      return fail(errc::invalid_argument,
                  {.needed = sizes.size(), .available = slots.size(), .what = "the allocator is to return one slot for each size"});
    }
    bool ascending = true;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (slots[i].size() < sizes[i]) {
        return fail(
            errc::buffer_too_small,
            {.needed = sizes[i], .available = slots[i].size(), .item = i, .what = "a slot is smaller than the size that the allocator was given"});
      }
      ascending = ascending && (i == 0 || begin_of(i) >= end_of(i - 1));
    }
    if (!ascending) {
      if (auto sorted = sort(); !sorted) return sorted;
    }
    if (!slots.empty()) {
      begin_ = begin_of(at(0));
      end_ = end_of(at(slots.size() - 1));
    }
    return {};
  }

  /// Whether any of `size` bytes at `source` will be written.
  [[nodiscard]] bool overlaps(const void* source, std::size_t size) const noexcept {
    // Safety: nothing is accessed through the address.
    const auto begin = reinterpret_cast<std::uintptr_t>(source);
    if (size == 0 || begin >= end_ || begin + size <= begin_) [[likely]]
      return false;
    std::size_t low = 0, high = slots_.size();  // finds the first slot that ends behind `begin`
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (end_of(at(middle)) > begin)
        high = middle;
      else
        low = middle + 1;
    }
    return low < slots_.size() && begin_of(at(low)) < begin + size;
  }

 private:
  struct place {
    std::uintptr_t begin = 0;
    std::size_t index = 0;
  };

  [[nodiscard]] result<void> sort() {
    order_.resize(slots_.size());
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = {begin_of(i), i};
    // std::qsort, because <algorithm> would add 5,000 lines to every user's translation unit.
    std::qsort(order_.data(), order_.size(), sizeof(place), [](const void* left, const void* right) {
      const auto a = static_cast<const place*>(left)->begin, b = static_cast<const place*>(right)->begin;
      return a < b ? -1 : a > b ? 1 : 0;
    });
    for (std::size_t i = 1; i < order_.size(); ++i) {
      const std::size_t left = order_[i - 1].index, right = order_[i].index;
      if (end_of(left) > begin_of(right)) return fail(errc::invalid_argument, {.item = left < right ? right : left, .what = "two slots overlap"});
    }
    return {};
  }

  [[nodiscard]] std::size_t at(std::size_t nth) const noexcept { return order_.empty() ? nth : order_[nth].index; }
  // Safety: addresses are compared as numbers, because pointers into different objects have no order.
  [[nodiscard]] std::uintptr_t begin_of(std::size_t index) const noexcept { return reinterpret_cast<std::uintptr_t>(slots_[index].data()); }
  [[nodiscard]] std::uintptr_t end_of(std::size_t index) const noexcept { return begin_of(index) + sizes_[index]; }

  std::span<const bytes_span> slots_;
  std::span<const std::size_t> sizes_;
  std::vector<place> order_;  ///< by address; empty where that is the slots' own order
  std::uintptr_t begin_ = 0;  ///< of the lowest slot
  std::uintptr_t end_ = 0;    ///< of the highest
};

}  // namespace lading::detail
