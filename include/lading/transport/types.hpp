// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include <lading/core/result.hpp>

namespace lading {

/// Handles: numbers that one endpoint gives out and never gives out again. Zero is none of them.
enum class region_id : std::uint32_t {};
enum class remote_region_id : std::uint32_t {};
enum class peer_id : std::uint32_t {};

/// put writes the peer's region from the local one, get the other way round.
enum class op : std::uint8_t { put, get };

/// Where a region's bytes are.
enum class memory_kind : std::uint8_t { host, host_shared, cuda };

/// The bit of a kind in capabilities::memory_kinds; none for a number that is no kind.
[[nodiscard]] constexpr std::uint32_t bit_of(memory_kind kind) noexcept {
  return static_cast<unsigned>(kind) < 32 ? std::uint32_t{1} << static_cast<unsigned>(kind) : 0;
}

/// A range of a local region paired with one of a remote region.
///
/// Units: bytes.
struct slice {
  region_id local;
  remote_region_id remote;
  std::uint64_t local_offset, remote_offset, size;
};
static_assert(sizeof(slice) == 32);

/// What a transport can do. Users decide by it what to ask for, the conformance suite what to expect.
struct capabilities {
  bool one_sided = false;                                  ///< the target need not make progress
  bool enforces_ranges = false;                            ///< hardware refuses what lies outside a region; else the receiver checks in software
  bool detects_peer_death = false;                         ///< a peer that dies is reported without waiting for a deadline
  bool native_gather = false;                              ///< a batch travels as few messages as the wire allows
  bool notifies = false;                                   ///< submit_options::notify works
  bool serves_get = true;                                  ///< op::get works
  bool concurrent_post = false;                            ///< driver::post may run in several threads at once, and beside driver::progress
  std::uint32_t max_inflight = 0;                          ///< slices under way per peer; 0 = as many as are submitted
  std::uint64_t max_slice_size = ~std::uint64_t{0};        ///< bytes
  std::uint32_t memory_kinds = bit_of(memory_kind::host);  ///< bits of what can be registered
};

/// How one batch is to be run.
struct submit_options {
  /// From submit on; afterwards the transfer ends timed_out. 0 = endpoint_options::default_deadline, nanoseconds::max() = never. With a negative one
  /// nothing is moved: it is over already.
  std::chrono::nanoseconds deadline{0};
  std::uint64_t notify_tag = 0;  ///< given to the peer after all bytes are visible there
  bool notify = false;           ///< whether to give it; a batch that failed in part is not announced
};

/// How a batch ended. Exactly one per transfer; done + failed is the number of slices submitted.
struct completion {
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  result<void> status;                   ///< of the first slice that failed, in submission order
  std::uint64_t bytes = 0;               ///< that arrived, of slices that are done
  std::uint32_t done = 0;                ///< slices that arrived whole
  std::uint32_t failed = 0;              ///< slices of which any part of the target may be written, or none
  std::uint32_t first_failed = none;     ///< index of the first slice that is not known to have arrived
  bool quarantined = false;              ///< slices are still with the transport: their local bytes stay busy until it lets go
  std::chrono::nanoseconds posted{0};    ///< time that submit took
  std::chrono::nanoseconds finished{0};  ///< time from submit to this end

  [[nodiscard]] bool ok() const noexcept { return status.has_value(); }
};

/// What a peer announced about a batch that it has put here.
struct notification {
  std::uint64_t tag = 0;
  std::uint64_t sender = 0;  ///< endpoint_identity::endpoint of the peer
};

}  // namespace lading
