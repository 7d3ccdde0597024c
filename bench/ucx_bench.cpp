// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The ucx transport beside a bare loop over UCX itself, in turn, in the same run, both sides in one thread: messages beside the same active messages and
// answers; shared regions beside ucp_put_nbx into memory that UCX allocated, and a flush.
// UCX_TLS chooses the lanes of both. Counters: vs_floor is a ratio of the best times.

#include <benchmark/benchmark.h>

#if __has_include(<ucp/api/ucp.h>)

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <thread>

#include <lading/transports/ucx.hpp>

#include "bare_ucx.hpp"
#include "paired.hpp"

namespace {

struct fixture {
  fixture(std::size_t size, bool shares)
      : bare_near(0), bare_far(0), near(lading::ucx::create().value()), far(lading::ucx::create({.share_regions = shares}).value()) {
    bare_near.connect(bare_far);
    bare_far.connect(bare_near);
    source = near.allocate_region(size).value();
    target = far.allocate_region(size).value();
    std::memset(source.data(), 1, size);
    bare_far.memory = target.data();  // the same memory for both
    auto running = std::thread([&] { peer = near.connect(far.address().value()).value(), connected = true; });
    while (!connected) far.progress();
    running.join();
    imported = near.import_region(peer, far.export_region(target).value()).value();
  }
  void move(const lading::prepared_batch& batch) {
    auto running = near.submit(batch).value();
    while (!running.ready()) near.progress(), far.progress();
    if (!running.how().ok()) std::abort();
  }
  void bare_put(std::size_t count, std::size_t size) { bare::send_and_wait(bare_near, bare_far, source.data(), count, size); }

  bare::messages bare_near, bare_far;
  lading::ucx near, far;
  lading::region source, target;
  std::atomic<bool> connected{false};
  lading::peer_id peer{};
  lading::remote_region_id imported{};
};

std::vector<lading::slice> slices_of(const fixture& sides, std::size_t count, std::size_t size) {
  std::vector<lading::slice> slices;
  for (std::size_t i = 0; i < count; ++i) slices.push_back({sides.source.id(), sides.imported, i * size, i * size, size});
  return slices;
}

/// The floor is a bare put, for gets too: nobody has to ask for its bytes.
void by_messages(benchmark::State& state, lading::op direction) {
  const auto count = static_cast<std::size_t>(state.range(0)), size = static_cast<std::size_t>(state.range(1));
  fixture sides(count * size, false);
  const auto batch = sides.near.prepare(sides.peer, direction, slices_of(sides, count, size)).value();
  paired::compare(
      state, [&] { sides.move(batch); }, [&] { sides.bare_put(count, size); });
  state.counters["more_ns_per_slice"] = (state.counters["best_ns"] - state.counters["floor_ns"]) / static_cast<double>(count);
}
void puts_by_messages(benchmark::State& state) { by_messages(state, lading::op::put); }
BENCHMARK(puts_by_messages)
    ->ArgNames({"slices", "bytes"})
    ->Args({1, 64 << 10})
    ->Args({1, 16 << 20})
    ->Args({64, 64 << 10})
    ->Args({4096, 1024})
    ->Iterations(200)
    ->UseManualTime();

void puts_into_shared_regions(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0)), size = static_cast<std::size_t>(state.range(1));
  fixture sides(count * size, true);
  bare::put_loop floor(count * size);
  const auto batch = sides.near.prepare(sides.peer, lading::op::put, slices_of(sides, count, size)).value();
  if (!sides.near.submit(sides.peer, lading::op::put, slices_of(sides, 1, 64)).value().ready())
    return state.SkipWithError("the region is not shared: UCX_TLS names no lane of shared memory");
  paired::compare(
      state, [&] { sides.move(batch); }, [&] { floor.put(sides.source.data(), count, size); });
  state.counters["more_ns_per_slice"] = (state.counters["best_ns"] - state.counters["floor_ns"]) / static_cast<double>(count);
}
BENCHMARK(puts_into_shared_regions)
    ->ArgNames({"slices", "bytes"})
    ->Args({1, 64 << 10})
    ->Args({1, 16 << 20})
    ->Args({64, 64 << 10})
    ->Args({4096, 1024})
    ->Args({16384, 64})
    ->Iterations(200)
    ->UseManualTime();

void gets_by_messages(benchmark::State& state) { by_messages(state, lading::op::get); }
BENCHMARK(gets_by_messages)
    ->ArgNames({"slices", "bytes"})
    ->Args({1, 64 << 10})
    ->Args({1, 16 << 20})
    ->Args({64, 64 << 10})
    ->Iterations(200)
    ->UseManualTime();

/// How long submit takes for 16,384 slices by messages: checked each time, and prepared. All but the first window of them is progress's.
void post(benchmark::State& state) {
  const bool prepare = state.range(0) != 0;
  constexpr std::size_t count = 16'384, size = 64;
  fixture sides(count * size, false);
  const auto slices = slices_of(sides, count, size);
  const auto prepared = sides.near.prepare(sides.peer, lading::op::put, slices).value();
  double best = std::numeric_limits<double>::max();
  for (auto _ : state) {
    auto running = prepare ? sides.near.submit(prepared).value() : sides.near.submit(sides.peer, lading::op::put, slices).value();
    while (!running.ready()) sides.near.progress(), sides.far.progress();
    if (!running.how().ok()) std::abort();
    const double took = std::chrono::duration<double>(running.how().posted).count();
    best = std::min(best, took);
    state.SetIterationTime(took);
  }
  state.counters["ns_per_slice"] = best * 1e9 / count;
}
BENCHMARK(post)->ArgName("prepared")->Arg(0)->Arg(1)->UseManualTime()->Iterations(200);

}  // namespace

#endif
