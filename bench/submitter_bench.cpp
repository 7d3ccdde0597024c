// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// What the thresholds of a submitter rest on; those of staging are in exchange_bench, put_staged and get_staged. Counters: vs_floor is a ratio of best times.

#include <paired.hpp>

#include <cstdlib>
#include <vector>

#include <lading/exchange/submitter.hpp>
#include <lading/transports/loopback.hpp>

namespace {

using lading::loopback;

/// Two endpoints of this process, and memory of either side.
template <class Selector>
struct sides {
  using submitter = lading::basic_submitter<loopback, Selector>;

  sides(std::size_t size, const lading::submitter_options& options)
      : ours(submitter::create(near, meter, options).value()), theirs(submitter::create(far, meter).value()) {
    here = near.allocate_region(size).value();
    there = far.allocate_region(size).value();
    for (std::size_t page = 0; page < size; page += 4096) here.data()[page] = there.data()[page] = std::byte{1};
    shared_here = ours.share(here).value();
    shared_there = theirs.share(there).value();
    peer = near.connect(far.address().value()).value();
    imported = ours.import_region(peer, shared_there.descriptor()).value();
  }
  [[nodiscard]] std::vector<lading::exchange_item> items(std::size_t count, std::uint64_t size, std::uint64_t gap) const {
    std::vector<lading::exchange_item> made;
    for (std::size_t i = 0; i < count; ++i) made.push_back({peer, {here.id(), imported, i * (size + gap), i * (size + gap), size}});
    return made;
  }
  void run(const std::vector<lading::exchange_item>& which) {
    for (const auto& each : ours.submit(which, lading::op::put).get()) {
      if (!each) std::abort();
    }
  }

  lading::exchange_meter<> meter;
  loopback near = loopback::create().value(), far = loopback::create().value();
  submitter ours, theirs;
  lading::region here, there;
  lading::shared_region shared_here, shared_there;
  lading::peer_id peer{};
  lading::remote_region_id imported{};
};

/// 1,024 slices that follow each other, and so go as one, beside as many with a byte between them.
void joined(benchmark::State& state) {
  constexpr std::size_t count = 1024;
  const auto size = static_cast<std::uint64_t>(state.range(0));
  sides<lading::select_always> one(count * (size + 1), {});
  const auto adjacent = one.items(count, size, 0), apart = one.items(count, size, 1);
  paired::compare(
      state, [&] { one.run(adjacent); }, [&] { one.run(apart); });
  state.counters["ns/slice"] = state.counters["best_ns"] / count;
}
BENCHMARK(joined)->ArgName("bytes")->Arg(64)->Arg(1 << 10)->Arg(16 << 10)->UseManualTime();

/// One slice of 64 MiB in pieces of max_slice, beside whole.
void split(benchmark::State& state) {
  constexpr std::uint64_t size = std::uint64_t{64} << 20;
  const auto piece = static_cast<std::uint64_t>(state.range(0));
  sides<lading::select_always> pieces(size, {.max_slice = piece}), whole(size, {.max_slice = size});
  const auto some = pieces.items(1, size, 0), all = whole.items(1, size, 0);
  paired::compare(
      state, [&] { pieces.run(some); }, [&] { whole.run(all); });
}
BENCHMARK(split)->ArgName("max_slice")->Arg(64 << 10)->Arg(1 << 20)->Arg(8 << 20)->UseManualTime();

/// A copy inside the process by two threads, the one that waits included, beside one: where sharing begins to gain.
void copied(benchmark::State& state) {
  const auto size = static_cast<std::uint64_t>(state.range(0));
  static lading::worker_pool pool(1);
  sides<lading::select_by_process> two(size, {.inline_limit = 0, .copy_workers = 2, .pool = &pool}),
      one(size, {.inline_limit = 0, .copy_workers = 1});
  const auto shared = two.items(1, size, 0), alone = one.items(1, size, 0);
  paired::compare(
      state, [&] { two.run(shared); }, [&] { one.run(alone); });
  state.counters["GB/s"] = static_cast<double>(size) / state.counters["best_ns"];
}
BENCHMARK(copied)->ArgName("bytes")->Arg(256 << 10)->Arg(1 << 20)->Arg(2 << 20)->Arg(4 << 20)->Arg(16 << 20)->Arg(64 << 20)->UseManualTime();

/// 64 items of 1 MiB that follow each other, and 64 that do not, by two threads beside one: neither is left to one thread.
void copied_items(benchmark::State& state) {
  constexpr std::uint64_t size = std::uint64_t{1} << 20;
  static lading::worker_pool pool(1);
  sides<lading::select_by_process> two(65 * size, {.copy_workers = 2, .pool = &pool}), one(65 * size, {.copy_workers = 1});
  const auto gap = static_cast<std::uint64_t>(state.range(0));
  const auto shared = two.items(64, size, gap), alone = one.items(64, size, gap);
  paired::compare(
      state, [&] { two.run(shared); }, [&] { one.run(alone); });
}
BENCHMARK(copied_items)->ArgName("gap")->Arg(0)->Arg(64)->UseManualTime();

}  // namespace
