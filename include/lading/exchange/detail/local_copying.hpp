// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <lading/exchange/detail/submission_state.hpp>
#include <lading/memory/copy.hpp>
#include <lading/memory/worker_pool.hpp>

namespace lading::detail {

/// How copies inside the process are made.
struct local_copying {
  worker_pool* pool = nullptr;
  std::size_t workers = 1;
  static constexpr std::uint64_t largest_piece = std::uint64_t{1} << 20;  // of one copy, so that there is something to share
  static constexpr std::uint64_t shared_from = std::uint64_t{1} << 20;    // a thread is worth waking
  static constexpr std::uint64_t round_bytes = std::uint64_t{32} << 20;
  static constexpr std::uint64_t streaming_group = std::uint64_t{16} << 20;
  static constexpr std::uint64_t streaming_slice = std::uint64_t{16} << 10;

  /// Makes up to `limit` bytes of the group's copies.
  void advance(submitted_group& group, std::uint64_t limit = round_bytes) const noexcept {
    const std::size_t first = group.next;
    std::uint64_t bytes = 0;
    while (group.next < group.copies.size() && (bytes == 0 || bytes < limit)) bytes += group.copies[group.next++].size;
    const auto run = [&](std::size_t index) noexcept { group.closed[first + index] = make(group, group.copies[first + index]) ? 0 : 1; };
    if (pool == nullptr || workers <= 1 || bytes < shared_from) {
      for (std::size_t i = 0; i < group.next - first; ++i) run(i);
    } else {
      static_cast<void>(pool->run(group.next - first, workers, run));
    }
  }

 private:
  /// False where an owner has closed its memory: then nothing is touched.
  static bool make(const submitted_group& group, const submitted_group::copy& each) noexcept {
    if (!each.target->enter()) return false;
    const bool open = each.source->enter();
    if (open) {
      const bool streaming = group.bytes >= streaming_group && each.size >= streaming_slice;
      copy_bytes(each.target->bytes().data() + each.target_offset, each.source->bytes().data() + each.source_offset,
                 static_cast<std::size_t>(each.size), streaming ? copy_mode::streaming : copy_mode::cached);
      each.source->leave();
    }
    each.target->leave();
    return open;
  }
};

}  // namespace lading::detail
