// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/submitter.hpp>

#include <algorithm>
#include <optional>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exchange/keeps_gets.hpp>
#include <lading/exchange/slab.hpp>
#include <lading/transport/fault_injecting.hpp>
#include <lading/transports/loopback.hpp>

#if defined(LADING_DETAIL_POISON)
#include <sanitizer/lsan_interface.h>
#endif

namespace lading {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::ElementsAre;

template <class Transport, class Selector>
struct sides {
  using submitter_type = basic_submitter<Transport, Selector>;

  sides(Transport a, Transport b, const submitter_options& options = {}, Selector select = {}) : near(std::move(a)), far(std::move(b)) {
    ours.emplace(submitter_type::create(near, meter, options, select).value());
    theirs.emplace(submitter_type::create(far, far_meter, {}, select).value());
    here = near.allocate_region(1 << 20).value();
    there = far.allocate_region(1 << 20).value();
    shared_here = ours->share(here).value();
    shared_there = theirs->share(there).value();
    peer = near.connect(far.address().value()).value();
    imported = ours->import_region(peer, shared_there.descriptor()).value();
    for (std::size_t i = 0; i < here.size(); ++i) {
      here.data()[i] = static_cast<std::byte>(i * 7 + i / 251);
      there.data()[i] = std::byte{0};
    }
  }
  [[nodiscard]] exchange_item item(std::uint64_t from, std::uint64_t to, std::uint64_t size) const {
    return {peer, {here.id(), imported, from, to, size}};
  }
  [[nodiscard]] bool arrived(std::uint64_t from, std::uint64_t to, std::uint64_t size) const {
    return std::equal(here.data() + from, here.data() + from + size, there.data() + to);
  }

  exchange_meter<> meter, far_meter;
  Transport near, far;
  region here, there;
  std::optional<submitter_type> ours, theirs;
  shared_region shared_here, shared_there;
  peer_id peer{};
  remote_region_id imported{};
};

template <class Selector>
struct loopback_sides : sides<loopback, Selector> {
  explicit loopback_sides(const submitter_options& options = {}, const loopback_options& how = {})
      : sides<loopback, Selector>(loopback::create(how).value(), loopback::create(how).value(), options) {}
};

/// The transport queues all it gets: nothing moves before somebody makes progress.
loopback_options queueing(worker_pool& pool) {
  loopback_options how;
  how.inline_limit = 0;
  how.pool = &pool;
  return how;
}

MATCHER(is_ok, "") { return arg.has_value(); }

TEST(submitter, refuses_options_that_make_no_sense) {
  auto one = loopback::create().value();
  exchange_meter<> meter;
  EXPECT_EQ(submitter<loopback>::create(one, meter, {.max_slice = 0}).error(), errc::invalid_argument);
  EXPECT_EQ(submitter<loopback>::create(one, meter, {.copy_workers = 0}).error(), errc::invalid_argument);
  EXPECT_EQ(submitter<loopback>::create(one, meter, {.deadline = -1s}).error(), errc::invalid_argument);
  EXPECT_TRUE(submitter<loopback>::create(one, meter).has_value());
}

TEST(submitter, a_peer_of_this_process_is_copied_to) {
  loopback_sides<select_by_process> two;
  const exchange_item items[]{two.item(0, 100, 50), two.item(1000, 2000, 300)};
  auto future = two.ours->submit(items, op::put);
  EXPECT_TRUE(future.is_ready()) << "small copies are made at once";
  EXPECT_THAT(future.get(), ElementsAre(is_ok(), is_ok()));
  EXPECT_THAT(future.strategies(), Each(strategy::local));
  EXPECT_TRUE(two.arrived(0, 100, 50));
  EXPECT_TRUE(two.arrived(1000, 2000, 300));
  EXPECT_EQ(two.near.metrics().submitted, 0u);
  EXPECT_EQ(two.meter.read().at(stage::transfer, strategy::local).bytes, 350u);
}

TEST(submitter, another_selector_takes_the_transport) {
  loopback_sides<select_always> two;
  const exchange_item items[]{two.item(0, 100, 50)};
  auto future = two.ours->submit(items, op::put);
  EXPECT_THAT(future.get(), ElementsAre(is_ok()));
  EXPECT_THAT(future.strategies(), Each(strategy::transport));
  EXPECT_TRUE(two.arrived(0, 100, 50));
  EXPECT_EQ(two.near.metrics().submitted, 1u);
  EXPECT_EQ(two.meter.read().at(stage::transfer, strategy::transport).bytes, 50u);
}

TEST(submitter, gets_by_either_way) {
  loopback_sides<select_by_process> local;
  std::fill_n(local.there.data(), 100, std::byte{9});
  const exchange_item mine[]{local.item(500, 0, 100)};
  EXPECT_THAT(local.ours->submit(mine, op::get).get(), ElementsAre(is_ok()));
  EXPECT_TRUE(std::all_of(local.here.data() + 500, local.here.data() + 600, [](std::byte each) { return each == std::byte{9}; }));
  loopback_sides<select_always> remote;
  std::fill_n(remote.there.data(), 100, std::byte{8});
  const exchange_item theirs[]{remote.item(500, 0, 100)};
  EXPECT_THAT(remote.ours->submit(theirs, op::get).get(), ElementsAre(is_ok()));
  EXPECT_TRUE(std::all_of(remote.here.data() + 500, remote.here.data() + 600, [](std::byte each) { return each == std::byte{8}; }));
}

TEST(submitter, memory_that_is_not_shared_goes_by_the_transport) {
  loopback_sides<select_by_process> two;
  two.shared_here.close();
  const exchange_item items[]{two.item(0, 100, 50)};
  auto future = two.ours->submit(items, op::put);
  EXPECT_THAT(future.get(), ElementsAre(is_ok()));
  EXPECT_THAT(future.strategies(), Each(strategy::transport));
  EXPECT_TRUE(two.arrived(0, 100, 50));
}

TEST(submitter, a_selector_cannot_make_memory_reachable) {
  sides<loopback, select_always> two(loopback::create().value(), loopback::create().value(), {}, select_always{strategy::local});
  const exchange_item items[]{two.item(0, 100, 50)};
  EXPECT_THAT(two.ours->submit(items, op::put).get(), ElementsAre(is_ok())) << "control: shared memory";
  two.shared_here.close();
  const auto refused = two.ours->submit(items, op::put).get();
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].error(), errc::invalid_argument);
}

TEST(submitter, memory_closed_by_its_owner_is_an_error_and_not_touched) {
  loopback_sides<select_by_process> two({.inline_limit = 0});
  const exchange_item items[]{two.item(0, 100, 50)};
  auto future = two.ours->submit(items, op::put);
  EXPECT_FALSE(future.is_ready());
  two.shared_there.close();
  ASSERT_EQ(future.get().size(), 1u);
  EXPECT_EQ(future.get()[0].error(), errc::not_registered);
  EXPECT_EQ(two.there.data()[100], std::byte{0});
}

TEST(submitter, adjacent_slices_are_one_and_large_ones_several) {
  loopback_sides<select_always> two({.max_slice = 1000});
  std::vector<exchange_item> items;
  for (std::uint64_t i = 0; i < 10; ++i) items.push_back(two.item(i * 100, 5000 + i * 100, 100));  // one slice
  items.push_back(two.item(2000, 20'000, 2500));                                                   // three
  items.push_back(two.item(4500, 22'500, 400));                                                    // joins the last of them
  items.push_back(two.item(4900, 30'000, 10));                                                     // adjacent on one side only
  auto future = two.ours->submit(items, op::put);
  EXPECT_THAT(future.get(), Each(is_ok()));
  EXPECT_EQ(future.get().size(), 13u);
  EXPECT_EQ(two.near.metrics().slices, 5u);
  EXPECT_TRUE(two.arrived(0, 5000, 1000));
  EXPECT_TRUE(two.arrived(2000, 20'000, 2900));
  EXPECT_TRUE(two.arrived(4900, 30'000, 10));
}

/// Two sides whose transport does not move slices at once, as the submitter has seen.
struct staging_sides : loopback_sides<select_always> {
  explicit staging_sides(std::uint64_t stage_below, worker_pool& pool) : loopback_sides({.stage_below = stage_below}, queueing(pool)) {
    const exchange_item tried[]{item(0, 0, 1), item(5, 1, 1)};
    static_cast<void>(ours->submit(tried, op::put).get());
    before = near.metrics().slices;
  }
  [[nodiscard]] std::uint64_t slices() const { return near.metrics().slices - before; }
  std::uint64_t before = 0;
};

TEST(submitter, tiny_slices_that_follow_each_other_at_the_peer_are_staged) {
  worker_pool pool(1);
  for (const op direction : {op::put, op::get}) {
    staging_sides two(100, pool);
    EXPECT_EQ(two.before, 2u) << "not before it is known to be of use";
    std::vector<exchange_item> items;
    for (std::uint64_t i = 0; i < 50; ++i) items.push_back(two.item(i * 200, 5000 + i * 64, 64));  // one slice
    items.push_back(two.item(20'000, 5000 + 50 * 64, 100));                                        // follows, but is not tiny
    items.push_back(two.item(30'000, 9000, 10));                                                   // tiny, but follows nothing
    items.push_back(two.item(40'000, 9010, 0));
    if (direction == op::get) {
      for (std::size_t i = 0; i < two.there.size(); ++i) two.there.data()[i] = static_cast<std::byte>(i * 3 + i / 253);
    }
    auto future = two.ours->submit(items, direction);
    EXPECT_THAT(future.get(), Each(is_ok()));
    EXPECT_EQ(future.get().size(), items.size());
    EXPECT_EQ(two.slices(), 4u);
    for (const exchange_item& each : items) EXPECT_TRUE(two.arrived(each.where.local_offset, each.where.remote_offset, each.where.size));
    EXPECT_EQ(two.here.data()[64], std::byte{64 * 7 % 256}) << "and nothing between them is touched";
    EXPECT_EQ(two.meter.read().at(payload_path::slice_staged).values, 50u);
    EXPECT_EQ(two.meter.read().at(payload_path::slice_staged).copies, 50u) << "once each";
    EXPECT_EQ(two.meter.read().at(stage::pack, strategy::transport).bytes, 3200u);
  }
}

TEST(submitter, nothing_is_staged_unless_that_gains_nor_beyond_its_memory) {
  worker_pool pool(1);
  staging_sides two(1000, pool), never(0, pool);
  loopback_sides<select_always> at_once({.stage_below = 1000});
  const auto items_of = [](const auto& sides) {
    std::vector<exchange_item> items;
    for (std::uint64_t i = 0; i < 500; ++i) items.push_back(sides.item(i * 2000, i * 999, 999));
    return items;
  };
  EXPECT_THAT(two.ours->submit(items_of(two), op::put).get(), Each(is_ok()));
  EXPECT_EQ(two.slices(), 8u) << "a buffer each";
  for (const exchange_item& each : items_of(two)) EXPECT_TRUE(two.arrived(each.where.local_offset, each.where.remote_offset, each.where.size));
  EXPECT_THAT(never.ours->submit(items_of(never), op::put).get(), Each(is_ok()));
  EXPECT_EQ(never.slices(), 500u);
  for (int round = 0; round < 2; ++round) {
    const exchange_item some[]{at_once.item(0, 0, 20), at_once.item(100, 20, 20)};
    EXPECT_THAT(at_once.ours->submit(some, op::put).get(), Each(is_ok()));
  }
  EXPECT_EQ(at_once.near.metrics().slices, 4u) << "the transport copies: a second copy cannot gain";
  EXPECT_EQ(submitter<loopback>::create(two.near, two.meter, {.stage_below = 1 << 20}).error(), errc::invalid_argument);
}

TEST(submitter, staged_slices_keep_their_errors) {
  worker_pool pool(1);
  staging_sides two(100, pool);
  const exchange_item outside[]{two.item(0, (1 << 20) - 20, 20), two.item(100, 1 << 20, 20)};
  for (const auto& each : two.ours->submit(outside, op::put).get()) EXPECT_EQ(each.error(), errc::out_of_range);
  const exchange_item nowhere[]{two.item(0, 0, 20), two.item((1 << 20) - 10, 20, 20)};
  for (const auto& each : two.ours->submit(nowhere, op::put).get()) EXPECT_EQ(each.error(), errc::out_of_range);
  const exchange_item inside[]{two.item(0, 0, 20), two.item(100, 20, 20)};
  EXPECT_THAT(two.ours->submit(inside, op::put).get(), Each(is_ok()));
  EXPECT_EQ(two.meter.read().at(payload_path::slice_staged).values, 2u);
  two.shared_here.close();
  EXPECT_THAT(two.ours->submit(inside, op::put).get(), Each(is_ok())) << "the transport still knows the memory";
  EXPECT_EQ(two.meter.read().at(payload_path::slice_staged).values, 2u);
}

TEST(submitter, staged_bytes_of_memory_that_was_closed_are_dropped) {
  worker_pool pool(1);
  staging_sides two(100, pool);
  const exchange_item items[]{two.item(0, 0, 20), two.item(100, 20, 20), two.item(200, 500, 20)};
  const std::byte before = two.here.data()[7];
  auto future = two.ours->submit(items, op::get);
  while (two.near.progress() != 0) {}
  EXPECT_FALSE(future.is_ready()) << "it has arrived, but not where it belongs";
  two.shared_here.close();
  const auto results = future.get();
  EXPECT_EQ(results[0].error(), errc::not_registered);
  EXPECT_EQ(results[1].error(), errc::not_registered);
  EXPECT_TRUE(results[2].has_value());
  EXPECT_EQ(two.here.data()[7], before);
}

TEST(submitter, empty_slices_and_no_items_are_fine) {
  loopback_sides<select_always> two;
  EXPECT_TRUE(two.ours->submit({}, op::put).get().empty());
  const exchange_item items[]{two.item(0, 0, 0), two.item(10, 10, 0)};
  EXPECT_THAT(two.ours->submit(items, op::put).get(), ElementsAre(is_ok(), is_ok()));
}

TEST(submitter, a_group_that_is_refused_leaves_the_others_alone) {
  loopback_sides<select_always> two;
  auto third = loopback::create().value();
  const region elsewhere = third.allocate_region(4096).value();
  const peer_id other = two.near.connect(third.address().value()).value();
  const remote_region_id at_other = two.ours->import_region(other, third.export_region(elsewhere).value()).value();
  const exchange_item items[]{two.item(0, 0, 10), {other, {two.here.id(), at_other, 0, 4090, 10}}, two.item(50, 50, 10)};
  const auto results = two.ours->submit(items, op::put).get();
  ASSERT_EQ(results.size(), 3u);
  EXPECT_TRUE(results[0].has_value());
  EXPECT_EQ(results[1].error(), errc::out_of_range);
  EXPECT_EQ(results[1].error().details().item, 1u);
  EXPECT_TRUE(results[2].has_value());
}

TEST(submitter, large_local_copies_are_made_by_whoever_waits) {
  worker_pool pool(1);
  loopback_sides<select_by_process> two({.max_slice = 100'000, .inline_limit = 1000, .copy_workers = 2, .pool = &pool});
  const exchange_item items[]{two.item(1, 0, (1 << 20) - 1)};
  auto future = two.ours->submit(items, op::put);
  EXPECT_FALSE(future.is_ready());
  EXPECT_TRUE(future.wait_for(10s));
  EXPECT_THAT(future.get(), ElementsAre(is_ok()));
  EXPECT_TRUE(two.arrived(1, 0, (1 << 20) - 1));
}

TEST(submitter, a_dropped_future_runs_on_with_what_it_keeps) {
  worker_pool pool(1);
  loopback_sides<select_always> two({}, queueing(pool));
  auto kept = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = kept;
  {
    const exchange_item items[]{two.item(0, 100, 50)};
    auto future = two.ours->submit(items, op::put);
    future.keep(std::move(kept));
    ASSERT_FALSE(future.is_ready());
  }
  EXPECT_FALSE(watched.expired());
  two.ours->reap();
  EXPECT_FALSE(watched.expired()) << "still running";
  while (two.near.progress() != 0) {}
  two.ours->reap();
  EXPECT_TRUE(watched.expired());
  EXPECT_TRUE(two.arrived(0, 100, 50));
}

TEST(submitter, a_dropped_local_copy_is_made_by_its_submitter) {
  loopback_sides<select_by_process> two({.inline_limit = 0});
  const exchange_item items[]{two.item(0, 100, 50)};
  { auto dropped = two.ours->submit(items, op::put); }
  EXPECT_FALSE(two.arrived(0, 100, 50));
  two.ours->reap();
  EXPECT_TRUE(two.arrived(0, 100, 50));
}

TEST(submitter, its_end_ends_what_was_dropped) {
  worker_pool pool(1);
  loopback_sides<select_always> two({}, queueing(pool));
  auto kept = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = kept;
  const exchange_item items[]{two.item(0, 100, 50)};
  {
    auto future = two.ours->submit(items, op::put);
    future.keep(std::move(kept));
  }
  two.ours.reset();
  EXPECT_TRUE(watched.expired());
}

TEST(submitter, a_future_that_outlives_it_is_ended_before_what_it_keeps_goes) {
  worker_pool pool(1);
  loopback_sides<select_always> two({}, queueing(pool));
  std::uint64_t running = 1;  // when what was kept is freed
  std::shared_ptr<int> kept(new int(1), [&](int* gone) {
    running = two.near.metrics().submitted - two.near.metrics().completed;
    delete gone;
  });
  const std::weak_ptr<int> watched = kept;
  {
    const exchange_item items[]{two.item(0, 100, 50)};
    auto future = two.ours->submit(items, op::get);
    future.keep(std::move(kept));
    two.ours.reset();
    ASSERT_FALSE(future.is_ready());
    ASSERT_FALSE(watched.expired());
  }
  EXPECT_TRUE(watched.expired());
  EXPECT_EQ(running, 0u);
}

/// Two sides whose transport ends gets before their bytes come, and submissions that were dropped then.
struct late_sides : sides<endpoint, select_always> {
  late_sides(store_conformance::keeps_gets::fate& near_fate, store_conformance::keeps_gets::fate& far_fate, std::chrono::nanoseconds close_limit)
      : sides(make(near_fate), make(far_fate), {.close_limit = close_limit}), told(near_fate) {}
  /// Returns what the dropped submission keeps.
  [[nodiscard]] std::weak_ptr<int> drop_quarantined(bool submitter_first = false) {
    told.keep = true;
    auto kept = std::make_shared<int>(1);
    std::weak_ptr<int> watched = kept;
    const exchange_item items[]{item(0, 100, 50)};
    auto future = ours->submit(items, op::get, {.deadline = 5ms});
    future.keep(std::move(kept));
    EXPECT_EQ(future.get()[0].error(), errc::timed_out);
    EXPECT_TRUE(future.quarantined());
    if (submitter_first) ours.reset();
    return watched;
  }
  static endpoint make(store_conformance::keeps_gets::fate& fate) {
    return endpoint::create(std::make_unique<store_conformance::keeps_gets>(fate), {.drain_limit = 1ms}).value();
  }
  store_conformance::keeps_gets::fate& told;
};

TEST(submitter, its_end_waits_until_the_transport_lets_go) {
  store_conformance::keeps_gets::fate told, others;
  late_sides two(told, others, 10s);
  const auto watched = two.drop_quarantined();
  two.ours->reap();
  EXPECT_FALSE(watched.expired());
  std::thread later([&] {
    std::this_thread::sleep_for(20ms);
    told.keep = false;
  });
  two.ours.reset();
  EXPECT_TRUE(watched.expired());
  EXPECT_EQ(two.near.metrics().released, 1u);
  EXPECT_TRUE(two.arrived(0, 100, 50));
  later.join();
}

TEST(submitter, its_end_frees_nothing_that_may_yet_be_written_and_all_else) {
  store_conformance::keeps_gets::fate told, others;
  late_sides two(told, others, 1ms);
  const auto back = two.drop_quarantined();
  told.keep = false;
  while (two.near.metrics().released != 1) two.near.progress();
#if defined(LADING_DETAIL_POISON)
  const __lsan::ScopedDisabler meant;
#endif
  const auto out = two.drop_quarantined();
  two.ours.reset();
  EXPECT_TRUE(back.expired());
  EXPECT_FALSE(out.expired());
  told.keep = false;
  while (two.near.metrics().released != 2) two.near.progress();
}

TEST(submitter, a_future_that_outlives_it_frees_nothing_that_may_yet_be_written_and_all_else) {
  store_conformance::keeps_gets::fate told, others;
  late_sides two(told, others, 1ms);
  {
#if defined(LADING_DETAIL_POISON)
    const __lsan::ScopedDisabler meant;
#endif
    EXPECT_FALSE(two.drop_quarantined(true).expired());
  }
  told.keep = false;
  while (two.near.metrics().released != 1) two.near.progress();
  store_conformance::keeps_gets::fate then, far;
  late_sides patient(then, far, 10s);
  std::weak_ptr<int> watched;
  std::thread later([&] {
    std::this_thread::sleep_for(50ms);
    then.keep = false;
  });
  watched = patient.drop_quarantined(true);
  later.join();
  EXPECT_TRUE(watched.expired());
  EXPECT_TRUE(patient.arrived(0, 100, 50));
}

TEST(submitter, per_item_results_of_a_batch_that_fails_in_part) {
  using faulty = fault_injecting<loopback>;
  const auto wrap = [] { return loopback::create().value(); };
  sides<faulty, select_always> two(faulty::create(wrap(), fault_plan{}.with(fault::short_write, fault_plan::always)).value(),
                                   faulty::create(wrap()).value(), {.max_slice = 1000});
  const exchange_item items[]{two.item(0, 0, 10), two.item(2000, 2000, 3000), two.item(9000, 9000, 10)};
  const auto results = two.ours->submit(items, op::put).get();
  ASSERT_EQ(results.size(), 3u);
  EXPECT_TRUE(results[0].has_value());
  EXPECT_TRUE(results[1].has_value());
  EXPECT_EQ(results[2].error(), errc::backend_failure) << "the last slice is the one that arrives in part";
  EXPECT_TRUE(two.arrived(2000, 2000, 3000));
}

TEST(submitter, a_lost_peer_is_told_of_each_item) {
  loopback_sides<select_always> two;
  const exchange_item items[]{two.item(0, 0, 10), two.item(20, 20, 10)};
  EXPECT_THAT(two.ours->submit(items, op::put).get(), Each(is_ok()));
  two.near.disconnect(two.peer);
  for (const auto& each : two.ours->submit(items, op::put).get()) EXPECT_EQ(each.error(), errc::closed);
}

}  // namespace
}  // namespace lading
