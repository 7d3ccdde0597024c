// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>

#include <lading/transport/concept.hpp>
#include <lading/transport/endpoint.hpp>

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

/// How often each fault has happened.
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

#include <lading/transport/detail/fault_driver.hpp>

namespace lading {

/// Any transport, with faults put in between: seeded, reproducible, counted. Both sides of a connection must be wrapped; the faults are those of
/// the side that submits. Without faults it behaves as the transport it wraps.
template <transport Inner>
class fault_injecting : public endpoint {
 public:
  /// Wraps `inner`. The clock of the options also times delays and stalls.
  [[nodiscard]] static result<fault_injecting> create(Inner inner, const fault_plan& plan = {}, const endpoint_options& options = {}) {
    LADING_TRY {
      auto adapter = std::make_unique<fault_driver<Inner>>(std::move(inner), plan);
      fault_driver<Inner>* driver = adapter.get();
      auto made = endpoint::create(std::move(adapter), options);
      if (!made) return fail(made.error());
      return fault_injecting(std::move(*made), driver);
    }
    LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory))
  }

  [[nodiscard]] result<transfer> submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& options = {}) {
    if (driver_->refuses()) return fail(errc::would_block, {.what = "an injected fault: try again"});
    return endpoint::submit(peer, direction, slices, options);
  }
  [[nodiscard]] result<transfer> submit(const prepared_batch& prepared, const submit_options& options = {}) {
    if (driver_->refuses()) return fail(errc::would_block, {.what = "an injected fault: try again"});
    return endpoint::submit(prepared, options);
  }

  /// How often each fault has happened so far.
  [[nodiscard]] const fault_counts& counts() const noexcept { return driver_->counts(); }

 private:
  fault_injecting(endpoint&& made, fault_driver<Inner>* driver) noexcept : endpoint(std::move(made)), driver_(driver) {}

  fault_driver<Inner>* driver_;
};

}  // namespace lading
