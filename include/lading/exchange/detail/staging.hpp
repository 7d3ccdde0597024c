// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lading/core/result.hpp>
#include <lading/exchange/shared_memory.hpp>
#include <lading/transport/region.hpp>
#include <lading/transport/types.hpp>

namespace lading::detail {

/// Registered memory of a submitter's own, through which slices go that are too small to go alone.
struct staging_buffer {
  static constexpr std::size_t size = std::size_t{64} << 10;
  region memory;
  std::uint64_t used = 0;
};

/// The buffers of one submitter: made when they are needed, and used again; and for which of the peers' regions they are of use.
///
/// Threads: any.
class staging_area {
 public:
  /// How a region's bytes are moved: what has arrived when submit returns was copied there, and a slice costs next to nothing.
  enum class way : std::uint8_t { unknown, at_once, by_messages };
  [[nodiscard]] way way_of(remote_region_id id) {
    const std::lock_guard held(mutex_);
    const auto found = ways_.find(id);
    return found == ways_.end() ? way::unknown : found->second;
  }
  void learn(remote_region_id id, bool arrived_at_once) {
    const std::lock_guard held(mutex_);
    ways_[id] = arrived_at_once ? way::at_once : way::by_messages;
  }
  void forget(remote_region_id id) noexcept {
    const std::lock_guard held(mutex_);
    ways_.erase(id);
  }

  /// A buffer for one submission; null where as many are in use as there may be, or make() has none.
  /// quiescent() says whether what is held back can be used again; it is asked when nothing more can be held back meanwhile.
  template <class Quiescent, class Make>
  [[nodiscard]] std::unique_ptr<staging_buffer> take(Quiescent&& quiescent, Make&& make) {
    const std::lock_guard held(mutex_);
    while (!held_back_.empty() && quiescent()) {
      free_.push_back(std::move(held_back_.back()));
      held_back_.pop_back();
    }
    if (!free_.empty()) {
      std::unique_ptr<staging_buffer> found = std::move(free_.back());
      free_.pop_back();
      found->used = 0;
      return found;
    }
    if (made_ == most) return nullptr;
    result<region> memory = make(staging_buffer::size);
    if (!memory) return nullptr;
    free_.reserve(most);
    held_back_.reserve(most);
    auto made = std::make_unique<staging_buffer>();
    made->memory = std::move(*memory);
    ++made_;
    return made;
  }
  /// Takes it back: where the transport may still touch it, for when that has let go.
  void give(std::unique_ptr<staging_buffer> used, bool quarantined) noexcept {
    const std::lock_guard held(mutex_);
    (quarantined ? held_back_ : free_).push_back(std::move(used));  // has room
  }

 private:
  static constexpr std::size_t most = 16;

  std::mutex mutex_;
  std::vector<std::unique_ptr<staging_buffer>> free_, held_back_;
  std::unordered_map<remote_region_id, way> ways_;
  std::size_t made_ = 0;
};

/// What was staged of one group of slices.
struct staged_slices {
  /// Where bytes that arrive in a buffer belong.
  struct landing {
    reachable_memory* target;
    std::uint64_t offset, size;
    const std::byte* source;
    std::size_t slice;
  };
  std::vector<std::unique_ptr<staging_buffer>> buffers;
  std::vector<std::pair<region_id, std::shared_ptr<reachable_memory>>> memories;  // of what is copied
  std::vector<landing> landings;                                                  // of a get
  std::vector<remote_region_id> untried;                                          // that runs of tiny slices go to or come from
  std::uint64_t count = 0, bytes = 0;

  /// Copies what has arrived(slice) where it belongs; calls lost(slice) where the owner has closed that memory.
  template <class Arrived, class Lost>
  void land(Arrived&& arrived, Lost&& lost) const noexcept {
    for (const landing& each : landings) {
      if (!arrived(each.slice)) continue;
      if (!each.target->enter()) {
        lost(each.slice);
        continue;
      }
      std::memcpy(each.target->bytes().data() + each.offset, each.source, static_cast<std::size_t>(each.size));
      each.target->leave();
    }
  }
};

}  // namespace lading::detail
