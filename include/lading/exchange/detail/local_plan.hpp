// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <lading/core/checked.hpp>
#include <lading/core/result.hpp>
#include <lading/exchange/detail/slicing.hpp>
#include <lading/exchange/detail/submission_state.hpp>
#include <lading/exchange/shared_memory.hpp>
#include <lading/exchange/submitter_options.hpp>

namespace lading::detail {

/// The copies inside this process that would move some of the items.
class local_plan {
 public:
  local_plan(std::span<const exchange_item> items, std::span<const std::size_t> mine) noexcept : items_(items), mine_(mine) {}

  /// Whether all the memory is of regions in the book.
  [[nodiscard]] bool find(const address_book& book) {
    region_id last_local{};
    remote_region_id last_remote{};
    std::shared_ptr<reachable_memory> local, remote;
    const auto look_up = [&](auto id, auto& last, auto& memory) {
      if (memory != nullptr && last == id) return true;
      last = id;
      memory = book.find(address_book::key(id));
      if (memory != nullptr) keep_.push_back(memory);
      return memory != nullptr;
    };
    sides_.reserve(mine_.size());
    for (const std::size_t each : mine_) {
      const slice& where = items_[each].where;
      if (!look_up(where.local, last_local, local) || !look_up(where.remote, last_remote, remote)) return false;
      sides_.push_back({local.get(), remote.get()});
    }
    return true;
  }

  /// After a find that was true, gives the copies to the group, in pieces of at most `largest` bytes. Calls refuse(item, error) for each item that reaches
  /// outside its regions, and leaves it out.
  template <class Refuse>
  void carry_out(submitted_group& group, op direction, std::uint64_t largest, Refuse&& refuse) {
    sliced_items sliced;
    std::vector<sides> of_slice;
    for (std::size_t i = 0; i < mine_.size(); ++i) {
      const slice& where = items_[mine_[i]].where;
      auto fits = check_range(where.local_offset, where.size, *sides_[i].local);
      if (fits) fits = check_range(where.remote_offset, where.size, *sides_[i].remote);
      if (!fits) {
        refuse(mine_[i], fits.error());
        continue;
      }
      sliced.add(mine_[i], where, largest);
      of_slice.resize(sliced.slices.size(), sides_[i]);
    }
    group.copies.reserve(of_slice.size());
    for (std::size_t i = 0; i < of_slice.size(); ++i) {
      const slice& each = sliced.slices[i];
      if (direction == op::put) {
        group.copies.push_back({of_slice[i].remote, of_slice[i].local, each.remote_offset, each.local_offset, each.size});
      } else {
        group.copies.push_back({of_slice[i].local, of_slice[i].remote, each.local_offset, each.remote_offset, each.size});
      }
    }
    group.closed.resize(group.copies.size());
    group.memories = std::move(keep_);
    group.take(std::move(sliced));
  }

 private:
  struct sides {
    reachable_memory *local, *remote;
  };

  [[nodiscard]] static result<void> check_range(std::uint64_t offset, std::uint64_t size, const reachable_memory& memory) noexcept {
    const std::uint64_t available = memory.bytes().size();
    if (range_inside(offset, size, available)) return {};
    return fail(errc::out_of_range, {.needed = size, .available = available, .offset = offset, .what = "the item reaches outside its region"});
  }

  std::span<const exchange_item> items_;
  std::span<const std::size_t> mine_;
  std::vector<sides> sides_;  // of each of mine_
  std::vector<std::shared_ptr<reachable_memory>> keep_;
};

}  // namespace lading::detail
