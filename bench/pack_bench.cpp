// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Packing and unpacking beside memcpy of the same bytes. Both sides alternate in chunks of about a millisecond within one run; the counters
// compare best with best: vs_floor is the ratio of times; best_ns and ns_per_item are the library's own time.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

#include <lading/pack/gather.hpp>
#include <lading/pack/pack.hpp>
#include <lading/pack/transfer_queue.hpp>
#include <lading/pack/unpack.hpp>

#include "paired.hpp"

namespace {

using lading::bytes_span;
using lading::bytes_view;

struct payloads {
  std::vector<std::vector<std::byte>> owned;
  std::vector<bytes_view> items;
  std::size_t bytes = 0;

  explicit payloads(const std::vector<std::size_t>& sizes) {
    std::mt19937_64 random(1);
    for (const std::size_t size : sizes) {
      std::vector<std::byte>& payload = owned.emplace_back(size);
      for (std::size_t i = 0; i + 8 <= size; i += 8) {
        const std::uint64_t word = random();
        std::memcpy(payload.data() + i, &word, 8);
      }
      bytes += size;
    }
    items.assign(owned.begin(), owned.end());
  }
};

payloads tensors() { return payloads(std::vector<std::size_t>(32, std::size_t{4} << 20)); }  // W5: 128 MiB
payloads small_object() { return payloads({62, 512, 640, 512, 576, 550, 550}); }             // a head and six small tensors
payloads medium() { return payloads(std::vector<std::size_t>(64, std::size_t{16} << 10)); }  // 1 MiB

/// Beside memcpy: what paired::compare counts, and rates.
void compare(benchmark::State& state, std::size_t bytes, std::size_t count, auto&& run, auto&& floor) {
  paired::compare(state, run, floor);
  const double best = state.counters["best_ns"], best_floor = state.counters["floor_ns"];
  state.counters["ns_per_item"] = best / static_cast<double>(count);
  state.counters["GB/s"] = static_cast<double>(bytes) / best;
  state.counters["memcpy_GB/s"] = static_cast<double>(bytes) / best_floor;
}

/// memcpy of every payload to where the layout puts it.
auto plain_copies(const payloads& data, bytes_span target) {
  return [&data, target] {
    std::byte* place = target.data();
    for (const bytes_view item : data.items) {
      std::memcpy(place, item.data(), item.size());
      place += (item.size() + 63) & ~std::size_t{63};
    }
    benchmark::DoNotOptimize(place);
  };
}

template <class Layout>
void pack(benchmark::State& state, payloads (*make)(), bool checksum) {
  const payloads data = make();
  std::vector<std::byte> target(*lading::calc_packed_size(data.items) + 64 * data.items.size());
  compare(
      state, data.bytes, data.items.size(),
      [&] {
        auto packed = lading::pack_into<Layout>(target, data.items, {.checksum = checksum});
        if (!packed) state.SkipWithError("pack_into failed");
        benchmark::DoNotOptimize(packed);
      },
      plain_copies(data, target));
}

void plan(benchmark::State& state, payloads (*make)(), bool checksum) {
  const payloads data = make();
  std::vector<std::byte> target(*lading::calc_packed_size(data.items) + 64 * data.items.size());
  compare(
      state, data.bytes, data.items.size(),
      [&] {
        auto planned = lading::plan_gather(data.items, {.checksum = checksum});
        if (!planned) state.SkipWithError("plan_gather failed");
        benchmark::DoNotOptimize(planned);
      },
      plain_copies(data, target));
}

template <class Layout>
void unpack(benchmark::State& state, payloads (*make)(), bool verify) {
  const payloads data = make();
  std::vector<std::byte> packed(*lading::calc_packed_size<Layout>(data.items)), target(data.bytes + 64 * data.items.size());
  if (!lading::pack_into<Layout>(packed, data.items)) state.SkipWithError("pack_into failed");
  compare(
      state, data.bytes, data.items.size(),
      [&] {
        auto items = lading::unpack_from<Layout>(packed, {.verify_checksum = verify});
        if (!items) state.SkipWithError("unpack_from failed");
        benchmark::DoNotOptimize(items);
      },
      plain_copies(data, target));
}

using lading::layout::aligned;
using lading::layout::transfer_queue;

// The floor is always a copy of the payloads alone, as memcpy does it.
const bool registered = [] {
  const auto add = [](const char* name, int rounds, auto&& run) {
    benchmark::RegisterBenchmark(name, run)->UseManualTime()->Iterations(rounds)->Unit(benchmark::kMicrosecond);
  };
  add("pack_into/w5_128MiB", 13, [](benchmark::State& state) { pack<aligned>(state, tensors, false); });
  add("pack_into/w5_128MiB/checksum", 13, [](benchmark::State& state) { pack<aligned>(state, tensors, true); });
  add("pack_into/w5_128MiB/transfer_queue", 13, [](benchmark::State& state) { pack<transfer_queue>(state, tensors, false); });
  add("pack_into/1MiB", 80, [](benchmark::State& state) { pack<aligned>(state, medium, false); });
  add("pack_into/1MiB/checksum", 80, [](benchmark::State& state) { pack<aligned>(state, medium, true); });
  add("pack_into/3KB", 80, [](benchmark::State& state) { pack<aligned>(state, small_object, false); });
  add("pack_into/3KB/checksum", 80, [](benchmark::State& state) { pack<aligned>(state, small_object, true); });
  add("pack_into/3KB/transfer_queue", 80, [](benchmark::State& state) { pack<transfer_queue>(state, small_object, false); });
  add("plan_gather/w5_128MiB", 13, [](benchmark::State& state) { plan(state, tensors, false); });
  add("plan_gather/3KB/checksum", 80, [](benchmark::State& state) { plan(state, small_object, true); });
  add("unpack_from/w5_128MiB", 80, [](benchmark::State& state) { unpack<aligned>(state, tensors, false); });
  add("unpack_from/w5_128MiB/checksum", 13, [](benchmark::State& state) { unpack<aligned>(state, tensors, true); });
  add("unpack_from/3KB", 80, [](benchmark::State& state) { unpack<aligned>(state, small_object, false); });
  add("unpack_from/3KB/checksum", 80, [](benchmark::State& state) { unpack<aligned>(state, small_object, true); });
  add("unpack_from/3KB/transfer_queue", 80, [](benchmark::State& state) { unpack<transfer_queue>(state, small_object, false); });
  return true;
}();

}  // namespace
