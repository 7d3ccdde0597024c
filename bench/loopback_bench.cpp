// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The loopback transport beside memcpy of the same bytes, in turn, in the same run. Counters: vs_memcpy is a ratio of the best times; the others
// are nanoseconds.

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include <benchmark/benchmark.h>

#include <lading/transports/loopback.hpp>

namespace {

using clock_type = std::chrono::steady_clock;

struct fixture {
  fixture(std::size_t size, const lading::loopback_options& options)
      : near(lading::loopback::create(options).value()),
        far(lading::loopback::create(options).value()),
        source(near.allocate_region(size).value()),
        target(far.allocate_region(size).value()),
        to_far(near.connect(far.address().value()).value()),
        imported(near.import_region(to_far, far.export_region(target).value()).value()) {
    std::memset(source.data(), 1, size);
  }
  [[nodiscard]] std::vector<lading::slice> slices(std::size_t count, std::size_t size, std::size_t stride) const {
    std::vector<lading::slice> made(count);
    for (std::size_t i = 0; i < count; ++i) made[i] = {source.id(), imported, i * stride, i * stride, size};
    return made;
  }
  void copy(const std::vector<lading::slice>& slices) const {
    for (const lading::slice& each : slices) std::memcpy(target.data() + each.remote_offset, source.data() + each.local_offset, each.size);
    benchmark::ClobberMemory();
  }
  void put(const std::vector<lading::slice>& slices) {
    if (!near.submit(to_far, lading::op::put, slices).value().wait().ok()) std::abort();
  }

  lading::loopback near, far;
  lading::region source, target;
  lading::peer_id to_far;
  lading::remote_region_id imported;
};

template <class Body>
double seconds(Body&& body) {
  const auto start = clock_type::now();
  body();
  return std::chrono::duration<double>(clock_type::now() - start).count();
}

/// Times both in turn, so that neither has the quieter machine.
template <class Floor, class Subject>
void compare(benchmark::State& state, std::size_t bytes, std::size_t slices, Floor&& floor, Subject&& subject, const char* name = "vs_memcpy") {
  double best_floor = std::numeric_limits<double>::max(), best = best_floor;
  for (auto _ : state) {
    best_floor = std::min(best_floor, seconds(floor));
    const double took = seconds(subject);
    best = std::min(best, took);
    state.SetIterationTime(took);
  }
  state.counters[name] = best / best_floor;
  state.counters["ns_per_slice_more"] = (best - best_floor) * 1e9 / static_cast<double>(slices);
  state.counters["GB_per_s"] = static_cast<double>(bytes) / best / 1e9;
}

/// A batch of slices copied where it is submitted: {slice size, slices}.
void inline_batch(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0)), count = static_cast<std::size_t>(state.range(1));
  fixture here(size * count, {.workers = 1});
  const auto slices = here.slices(count, size, size);
  compare(
      state, size * count, count, [&] { here.copy(slices); }, [&] { here.put(slices); });
}
BENCHMARK(inline_batch)
    ->Args({64 << 10, 1})
    ->Args({64 << 10, 16})
    ->Args({64 << 10, 64})
    ->Args({1 << 20, 1})
    ->Args({1 << 20, 8})
    ->Args({16 << 20, 1})
    ->Args({1 << 10, 4096})
    ->UseManualTime();

/// A batch too large for the caches, copied by one thread and by two.
void two_workers_on_cold_data(benchmark::State& state) {
  constexpr std::size_t size = std::size_t{256} << 20;
  fixture one(size, {.workers = 1}), two(size, {.workers = 2});
  const auto by_one = one.slices(256, 1 << 20, 1 << 20), by_two = two.slices(256, 1 << 20, 1 << 20);
  double best_floor = std::numeric_limits<double>::max();
  const auto memcpy_by_one = [&] { best_floor = std::min(best_floor, seconds([&] { one.copy(by_one); })); };
  double best = std::numeric_limits<double>::max();
  compare(
      state, size, 256, [&] { one.put(by_one); },
      [&] {
        const double took = seconds([&] { two.put(by_two); });
        best = std::min(best, took);
      },
      "vs_one_thread");
  for (int i = 0; i < 10; ++i) memcpy_by_one();
  state.counters["vs_memcpy"] = best / best_floor;
}
BENCHMARK(two_workers_on_cold_data)->UseManualTime()->Iterations(15);

/// One thread that bypasses the caches beside memcpy, on cold data.
void one_worker_on_cold_data(benchmark::State& state) {
  constexpr std::size_t size = std::size_t{256} << 20;
  fixture one(size, {.workers = 1});
  const auto slices = one.slices(256, 1 << 20, 1 << 20);
  compare(
      state, size, 256, [&] { one.copy(slices); }, [&] { one.put(slices); });
}
BENCHMARK(one_worker_on_cold_data)->UseManualTime()->Iterations(15);

/// How long submit takes for 16,384 slices: checked each time, and prepared. The copying is progress's.
void post(benchmark::State& state) {
  const bool prepare = state.range(0) != 0;
  constexpr std::size_t count = 16'384;
  lading::worker_pool pool(1);
  fixture here(count * 1024, {.workers = 2, .inline_limit = 0, .pool = &pool});
  const auto slices = here.slices(count, 1024, 1024);
  const auto prepared = here.near.prepare(here.to_far, lading::op::put, slices).value();
  double best = std::numeric_limits<double>::max();
  for (auto _ : state) {
    auto running = prepare ? here.near.submit(prepared).value() : here.near.submit(here.to_far, lading::op::put, slices).value();
    const double took = std::chrono::duration<double>(running.wait().posted).count();
    best = std::min(best, took);
    state.SetIterationTime(took);
  }
  state.counters["ns_per_slice"] = best * 1e9 / count;
  state.counters["ns_in_all"] = best * 1e9;
}
BENCHMARK(post)->ArgName("prepared")->Arg(0)->Arg(1)->UseManualTime()->Iterations(200);

/// One small slice, submitted and waited for.
void one_small_slice(benchmark::State& state) {
  fixture here(4096, {.workers = 1});
  const auto slices = here.slices(1, 64, 64);
  const auto prepared = here.near.prepare(here.to_far, lading::op::put, slices).value();
  for (auto _ : state) benchmark::DoNotOptimize(here.near.submit(prepared).value().wait().bytes);
}
BENCHMARK(one_small_slice);

/// What a small batch costs while as many others run: each is queued, and the oldest is waited for.
void small_batches_running(benchmark::State& state) {
  const auto running_at_once = static_cast<std::size_t>(state.range(0));
  lading::worker_pool pool(1);
  fixture here(4096, {.workers = 2, .inline_limit = 0, .pool = &pool});
  const auto slices = here.slices(1, 64, 64);
  const auto prepared = here.near.prepare(here.to_far, lading::op::put, slices).value();
  std::vector<lading::transfer> running;
  for (std::size_t i = 0; i < running_at_once; ++i) running.push_back(here.near.submit(prepared).value());
  std::size_t oldest = 0;
  for (auto _ : state) {
    running[oldest].wait();
    running[oldest] = here.near.submit(prepared).value();
    oldest = (oldest + 1) % running_at_once;
  }
}
BENCHMARK(small_batches_running)->ArgName("at_once")->Arg(1)->Arg(32)->Arg(4096);

}  // namespace
