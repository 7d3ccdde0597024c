// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include <lading/core/result.hpp>
#include <lading/exchange/detail/staging.hpp>
#include <lading/memory/worker_pool.hpp>
#include <lading/transport/types.hpp>

namespace lading {

/// A slice and the peer that it goes to or comes from.
struct exchange_item {
  peer_id peer{};
  slice where;
};

/// How a submitter groups and moves.
///
/// Source: the thresholds are measured by bench/submitter_bench.cpp and, for staging, bench/exchange_bench.cpp; docs/ARCHITECTURE.md has the figures.
struct submitter_options {
  std::uint64_t max_slice = std::uint64_t{64} << 20;  ///< larger ones are split, so that a deadline or a lost peer costs no more than this much again
  /// Bytes of a slice below which several, that follow each other at the peer, go as one through memory of the submitter's, where the transport does not
  /// copy them at once. It gains up to 256 bytes or so, over messages.
  std::uint64_t stage_below = 0;
  std::uint64_t inline_limit = std::uint64_t{1} << 20;  ///< bytes of local copies up to which submit makes them itself
  std::size_t copy_workers = 2;                         ///< threads that share larger local copies, the one that asks or waits included
  worker_pool* pool = nullptr;                          ///< whose threads these are; null = worker_pool::shared()
  std::chrono::nanoseconds deadline{0};                 ///< of a submission that names none; 0 = the endpoint's
  std::chrono::nanoseconds close_limit =
      std::chrono::seconds(1);  ///< how long destroying it, or a submission that outlived it, waits for the transport to let go of what is kept

  /// Errors: invalid_argument, with the option's bounds.
  [[nodiscard]] result<void> check() const noexcept {
    if (max_slice == 0) return fail(errc::invalid_argument, {.needed = 1, .available = 0, .what = "max_slice is at least one byte"});
    if (constexpr std::uint64_t most = detail::staging_buffer::size / 2; stage_below > most) {
      return fail(errc::invalid_argument, {.needed = stage_below, .available = most, .what = "stage_below: slices that are staged are smaller"});
    }
    if (copy_workers == 0) return fail(errc::invalid_argument, {.needed = 1, .available = 0, .what = "copy_workers counts the caller"});
    if (deadline.count() < 0) return fail(errc::invalid_argument, {.what = "deadline is not negative"});
    if (close_limit.count() < 0) return fail(errc::invalid_argument, {.what = "close_limit is not negative"});
    return {};
  }
};

}  // namespace lading
