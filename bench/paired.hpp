// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// One way to measure, for every benchmark: the code and its floor alternate in chunks of about a millisecond within one run, and best is compared
// with best, so that what else the machine does falls on both sides.

#include <algorithm>
#include <chrono>
#include <cstddef>

#include <benchmark/benchmark.h>

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

namespace paired {

// Large blocks are recycled, so that page faults are no part of the figures.
[[maybe_unused]] inline const bool allocator_is_set = [] {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 0x7FFFFFFF);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
  return true;
}();

inline double seconds(auto&& run, std::size_t times) {
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < times; ++i) {
    run();
    benchmark::ClobberMemory();
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / static_cast<double>(times);
}

/// Alternates `run` and `floor`, one chunk of each per iteration. Counters: vs_floor (ratio of best times), best_ns, floor_ns.
inline void compare(benchmark::State& state, auto&& run, auto&& floor) {
  const auto chunk = [](double once) { return once > 1e-3 ? std::size_t{1} : static_cast<std::size_t>(1e-3 / once) + 1; };
  seconds(run, 1);
  seconds(floor, 1);
  const std::size_t times = chunk(seconds(run, 3)), floor_times = chunk(seconds(floor, 3));
  double best = 1e9, best_floor = 1e9;
  for (auto _ : state) {
    const double time = seconds(run, times);
    best = std::min(best, time);
    best_floor = std::min(best_floor, seconds(floor, floor_times));
    state.SetIterationTime(time);
  }
  state.counters["vs_floor"] = best / best_floor;
  state.counters["best_ns"] = best * 1e9;
  state.counters["floor_ns"] = best_floor * 1e9;
}

}  // namespace paired
