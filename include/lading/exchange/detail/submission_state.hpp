// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
#include <lading/exchange/detail/slicing.hpp>
#include <lading/exchange/detail/staging.hpp>
#include <lading/exchange/shared_memory.hpp>
#include <lading/exchange/strategy.hpp>
#include <lading/transport/transfer.hpp>

namespace lading::detail {

/// What one submission waits for: a transfer, or copies of this process.
struct submitted_group {
  struct copy {
    reachable_memory *target, *source;
    std::uint64_t target_offset, source_offset, size;
  };

  strategy how = strategy::transport;
  transfer running;
  std::vector<sliced_items::place> places;
  std::uint64_t bytes = 0;
  bool settled = false;
  std::vector<std::uint8_t> closed;  // of each slice that is copied here: whether an owner had closed the memory; threads write different ones
  staged_slices staged;              // on their way by the transport

  // Local copies.
  std::vector<copy> copies;  // one for each slice
  std::vector<std::shared_ptr<reachable_memory>> memories;
  std::size_t next = 0;
  std::chrono::steady_clock::time_point begun{};

  void take(sliced_items&& sliced) noexcept {
    places = std::move(sliced.places);
    bytes = sliced.bytes;
  }
};

/// All of one submission. One thread at a time.
struct submission_state {
  std::vector<submitted_group> groups;
  std::vector<result<void>> results;
  std::vector<strategy> strategies;  // of each item
  std::vector<std::shared_ptr<void>> kept;
  std::size_t open = 0;  // groups that are not settled
  bool quarantined = false;
};

/// Submissions that their users have dropped: they run on, with the memory that they keep.
class orphanage {
 public:
  /// Takes it over; not where nobody will look after it, because the submitter has gone.
  [[nodiscard]] bool adopt(std::unique_ptr<submission_state>& state) noexcept {
    std::lock_guard held(mutex_);
    if (closed_) return false;
    LADING_TRY { states_.push_back(std::move(state)); }
    LADING_CATCH_BAD_ALLOC(static_cast<void>(state.release()))  // its memory must not be freed under a transfer
    return true;
  }
  [[nodiscard]] std::vector<std::unique_ptr<submission_state>> take() noexcept {
    std::lock_guard held(mutex_);
    return std::exchange(states_, {});
  }
  /// The last take.
  [[nodiscard]] std::vector<std::unique_ptr<submission_state>> close() noexcept {
    std::lock_guard held(mutex_);
    closed_ = true;
    return std::exchange(states_, {});
  }

 private:
  std::mutex mutex_;
  bool closed_ = false;
  std::vector<std::unique_ptr<submission_state>> states_;
};

}  // namespace lading::detail
