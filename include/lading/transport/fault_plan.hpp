// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <lading/transport/concept.hpp>

namespace lading {

/// What can go wrong with a batch.
enum class fault : std::uint8_t {
  submit_failure,    ///< submit returns would_block
  delay,             ///< begins after fault_plan::hold_time
  reorder,           ///< begins after the batch that follows it, or after hold_time
  loss,              ///< never begins: its deadline ends it
  duplicate,         ///< moves twice before it ends
  short_write,       ///< one slice arrives in part; it is reported failed
  corruption,        ///< one bit of one slice arrives flipped; the transfer ends ok
  false_completion,  ///< the end of the last slice does not arrive; the transfer ends ok
  peer_death,        ///< the connection is lost, with all that runs on it
  stall,             ///< the peer does nothing for fault_plan::stall_time
};
inline constexpr std::size_t fault_kinds = 10;

/// How often each fault happens, of 1'000'000 batches; and the seed that decides when. The same seed and the same calls give the same faults.
struct fault_plan {
  static constexpr std::uint32_t always = 1'000'000;

  std::uint64_t seed = 1;
  std::array<std::uint32_t, fault_kinds> per_million{};
  std::chrono::nanoseconds hold_time = std::chrono::milliseconds(1);
  std::chrono::nanoseconds stall_time = std::chrono::milliseconds(20);

  /// Sets how often a fault happens.
  constexpr fault_plan& with(fault kind, std::uint32_t of_a_million) noexcept {
    per_million[static_cast<std::size_t>(kind)] = of_a_million;
    return *this;
  }
};

/// How often each fault has happened: one that was due, but could not be or came too late for a batch that was given up, is not counted. A batch that is
/// held back counts as a reorder when it begins after one that follows it.
class fault_counts {
 public:
  [[nodiscard]] std::uint64_t operator[](fault kind) const noexcept { return fired_[static_cast<std::size_t>(kind)].load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t total() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& each : fired_) sum += each.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  template <transport>
  friend class fault_injecting;
  template <class>
  friend class fault_driver;
  void count(fault kind) noexcept { fired_[static_cast<std::size_t>(kind)].fetch_add(1, std::memory_order_relaxed); }

  std::array<std::atomic<std::uint64_t>, fault_kinds> fired_{};
};

}  // namespace lading
