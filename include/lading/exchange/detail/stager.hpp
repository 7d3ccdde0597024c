// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <lading/core/checked.hpp>
#include <lading/exchange/detail/slicing.hpp>
#include <lading/exchange/detail/staging.hpp>
#include <lading/exchange/metrics.hpp>
#include <lading/exchange/shared_memory.hpp>
#include <lading/transport/types.hpp>

namespace lading::detail {

/// Replaces runs of tiny slices that follow each other at the peer by one slice of a staging buffer each.
///
/// Lifetime: borrows all it is made of.
template <class Transport, class Meter>
class stager {
 public:
  stager(Transport& transport, Meter& meter, staging_area& area, const address_book& book, std::uint64_t below, std::uint64_t largest) noexcept
      : transport_(transport),
        meter_(meter),
        area_(area),
        book_(book),
        below_(below),
        longest_(std::min<std::uint64_t>(staging_buffer::size, largest)) {}

  /// Stages what gains by it; true where that was anything.
  bool stage(sliced_items& all, staged_slices& staged, op direction) {
    std::vector<slice>& slices = all.slices;
    std::vector<slice> fewer;         // empty until there is a run
    std::vector<std::size_t> now_at;  // where in `fewer` each slice is
    remote_region_id last{};
    auto way = staging_area::way::unknown;
    for (std::size_t i = 0; i < slices.size();) {
      const std::size_t end = std::max(run_of_tiny(slices, i), i + 1);
      if (end - i > 1 && slices[i].remote != last) {
        last = slices[i].remote;
        way = area_.way_of(last);
        if (way == staging_area::way::unknown) staged.untried.push_back(last);
      }
      const bool tried = end - i > 1 && way == staging_area::way::by_messages;
      if (tried && now_at.empty()) {
        fewer.assign(slices.begin(), slices.begin() + static_cast<std::ptrdiff_t>(i));
        now_at.resize(slices.size());
        for (std::size_t before = 0; before < i; ++before) now_at[before] = before;
      }
      const bool done = tried && stage_run(staged, std::span(slices).subspan(i, end - i), direction, fewer);
      for (; i < end; ++i) {
        if (now_at.empty()) continue;
        if (!done) fewer.push_back(slices[i]);
        now_at[i] = fewer.size() - 1;
      }
    }
    if (now_at.empty()) return false;
    for (auto& place : all.places) {
      place.first_slice = now_at[place.first_slice];
      place.last_slice = now_at[place.last_slice];
    }
    slices = std::move(fewer);
    return true;
  }

 private:
  /// The end of the tiny slices from `first` on that follow each other at the peer.
  [[nodiscard]] std::size_t run_of_tiny(std::span<const slice> slices, std::size_t first) const noexcept {
    std::uint64_t bytes = 0;
    std::size_t end = first;
    for (; end < slices.size(); ++end) {
      const slice& each = slices[end];
      if (each.size >= below_ || each.size == 0 || bytes + each.size > longest_) break;
      if (end != first && (each.remote != slices[first].remote || each.remote_offset != slices[end - 1].remote_offset + slices[end - 1].size)) break;
      bytes += each.size;
    }
    return end;
  }

  /// The memory of a region of this side's; null where it is not known here.
  [[nodiscard]] reachable_memory* memory_of(staged_slices& staged, region_id id) const {
    auto& known = staged.memories;
    if (known.empty() || known.back().first != id) {
      auto found = book_.find(address_book::key(id));
      if (found == nullptr) return nullptr;
      known.push_back({id, std::move(found)});
    }
    return known.back().second.get();
  }

  /// Adds one slice of a buffer in their place; false where their memory is not known here, or there is no buffer.
  [[nodiscard]] bool stage_run(staged_slices& staged, std::span<const slice> run, op direction, std::vector<slice>& fewer) {
    std::uint64_t bytes = 0;
    for (const slice& each : run) {
      reachable_memory* const memory = memory_of(staged, each.local);
      if (memory == nullptr || !range_inside<std::uint64_t, std::uint64_t, std::uint64_t>(each.local_offset, each.size, memory->bytes().size())) {
        return false;  // the transport will say so
      }
      bytes += each.size;
    }
    if (staged.buffers.empty() || staged.buffers.back()->used + bytes > staging_buffer::size) {
      const auto quiescent = [&] {
        const auto seen = transport_.metrics();
        return seen.quarantined == seen.released;
      };
      auto fresh = area_.take(quiescent, [&](std::size_t size) { return transport_.allocate_region(size); });
      if (fresh == nullptr) return false;
      staged.buffers.push_back(std::move(fresh));
    }
    staging_buffer& into = *staged.buffers.back();
    const bool added = direction == op::put ? fill(staged, run, into, bytes) : expect(staged, run, into, fewer.size());
    if (!added) return false;
    fewer.push_back({into.memory.id(), run[0].remote, into.used, run[0].remote_offset, bytes});
    into.used += bytes;
    staged.count += run.size();
    staged.bytes += bytes;
    return true;
  }

  /// Copies what a put sends into the buffer; false where an owner has just now closed the memory.
  [[nodiscard]] bool fill(staged_slices& staged, std::span<const slice> run, staging_buffer& into, std::uint64_t bytes) {
    const stage_timer timer(meter_, stage::pack, strategy::transport, bytes);
    std::byte* at = into.memory.data() + into.used;
    for (const slice& each : run) {
      reachable_memory* const memory = memory_of(staged, each.local);
      if (memory == nullptr || !memory->enter()) return false;
      std::memcpy(at, memory->bytes().data() + each.local_offset, static_cast<std::size_t>(each.size));
      memory->leave();
      at += each.size;
    }
    return true;
  }

  /// Notes where what a get brings belongs.
  [[nodiscard]] bool expect(staged_slices& staged, std::span<const slice> run, const staging_buffer& into, std::size_t slice_index) {
    const std::size_t before = staged.landings.size();
    const std::byte* at = into.memory.data() + into.used;
    for (const slice& each : run) {
      reachable_memory* const memory = memory_of(staged, each.local);
      if (memory == nullptr) {
        staged.landings.resize(before);
        return false;
      }
      staged.landings.push_back({memory, each.local_offset, each.size, at, slice_index});
      at += each.size;
    }
    return true;
  }

  Transport& transport_;
  Meter& meter_;
  staging_area& area_;
  const address_book& book_;
  std::uint64_t below_, longest_;
};

}  // namespace lading::detail
