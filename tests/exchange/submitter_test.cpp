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
  EXPECT_EQ(submitter<loopback>::create(one, meter, {.stage_below = (32 << 10) + 1}).error(), errc::invalid_argument);
  EXPECT_EQ(submitter<loopback>::create(one, meter, {.copy_workers = 0}).error(), errc::invalid_argument);
  EXPECT_EQ(submitter<loopback>::create(one, meter, {.deadline = -1ns}).error(), errc::invalid_argument);
  EXPECT_EQ(submitter<loopback>::create(one, meter, {.close_limit = -1ns}).error(), errc::invalid_argument);
  EXPECT_TRUE(submitter<loopback>::create(one, meter).has_value());
  EXPECT_TRUE(submitter<loopback>::create(one, meter, {.max_slice = 1, .stage_below = 32 << 10, .inline_limit = 0, .copy_workers = 1}).has_value());
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
  two.shared_there.close();
  ASSERT_EQ(future.get().size(), 1u);
  EXPECT_EQ(future.get()[0].error(), errc::not_registered);
  EXPECT_EQ(two.meter.read().at(strategy::local).failed(errc::not_registered), 1u);
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
  auto results = two.ours->submit(outside, op::put).get();
  EXPECT_TRUE(results[0].has_value());
  EXPECT_EQ(results[1].error(), errc::out_of_range);
  const exchange_item nowhere[]{two.item(0, 0, 20), two.item((1 << 20) - 10, 20, 20), two.item(100, 40, 20), two.item(200, 60, 20)};
  results = two.ours->submit(nowhere, op::put).get();
  EXPECT_EQ(results[1].error(), errc::out_of_range);
  EXPECT_EQ(results[1].error().details().item, 1u);
  for (const std::size_t i : {0u, 2u, 3u}) {
    EXPECT_TRUE(results[i].has_value());
    EXPECT_TRUE(two.arrived(nowhere[i].where.local_offset, nowhere[i].where.remote_offset, 20));
  }
  const std::uint64_t before = two.meter.read().at(payload_path::slice_staged).values;
  EXPECT_EQ(before, 2u) << "those that follow each other once the bad one is out";
  const exchange_item inside[]{two.item(0, 0, 20), two.item(100, 20, 20)};
  EXPECT_THAT(two.ours->submit(inside, op::put).get(), Each(is_ok()));
  EXPECT_EQ(two.meter.read().at(payload_path::slice_staged).values, before + 2);
  two.shared_here.close();
  EXPECT_THAT(two.ours->submit(inside, op::put).get(), Each(is_ok())) << "the transport still knows the memory";
  EXPECT_EQ(two.meter.read().at(payload_path::slice_staged).values, before + 2);
}

TEST(submitter, staged_bytes_of_memory_that_was_closed_are_dropped) {
  worker_pool pool(1);
  staging_sides two(100, pool);
  const exchange_item items[]{two.item(0, 0, 20), two.item(100, 20, 20), two.item(200, 500, 20)};
  const std::byte before = two.here.data()[7];
  auto future = two.ours->submit(items, op::get);
  while (two.near.progress() != 0) {}
  two.shared_here.close();  // it has arrived, but not yet where it belongs
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

TEST(submitter, what_names_no_slice_ends_every_item_once) {
  for (const std::uint32_t stage_below : {0u, 100u}) {
    loopback_sides<select_always> two({.stage_below = stage_below});
    std::vector<exchange_item> items;
    for (std::uint64_t i = 0; i < 5000; ++i) items.push_back(two.item(i * 32, (i ^ 1) * 32, 16));
    EXPECT_THAT(two.ours->submit(items, op::put).get(), Each(is_ok()));
    two.near.disconnect(two.peer);
    const auto results = two.ours->submit(items, op::put).get();
    ASSERT_EQ(results.size(), items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      ASSERT_FALSE(results[i].has_value());
      ASSERT_EQ(results[i].error(), results[0].error().code());
      ASSERT_EQ(results[i].error().details().item, i);
    }
    EXPECT_EQ(two.meter.read().at(strategy::transport).failed(), items.size());
  }
}

TEST(submitter, large_local_copies_are_made_by_whoever_waits_or_asks) {
  worker_pool pool(1);
  for (const bool waits : {true, false}) {
    loopback_sides<select_by_process> two({.max_slice = 100'000, .inline_limit = 1000, .copy_workers = 2, .pool = &pool});
    const exchange_item items[]{two.item(1, 0, (1 << 20) - 1)};
    auto future = two.ours->submit(items, op::put);
    EXPECT_EQ(two.there.data()[0], std::byte{0}) << "not by submit";
    if (waits) {
      EXPECT_TRUE(future.wait_for(10s));
    } else {
      for (int asked = 0; !future.is_ready(); ++asked) ASSERT_LT(asked, 100);
    }
    EXPECT_TRUE(two.arrived(1, 0, (1 << 20) - 1));
    EXPECT_THAT(future.get(), ElementsAre(is_ok()));
  }
}

TEST(submitter, copies_inside_the_process_are_in_pieces_that_threads_can_share) {
  std::vector<std::byte> from(4 << 20), to(4 << 20);
  detail::address_book book;
  const auto memory = [&](auto id, std::vector<std::byte>& bytes) {
    book.add(detail::address_book::key(id), std::make_shared<detail::reachable_memory>(bytes));
    return id;
  };
  const auto here = memory(region_id{1}, from);
  const auto there = memory(remote_region_id{1}, to);
  for (const std::uint64_t size : {std::uint64_t{4} << 20, std::uint64_t{64} << 10}) {  // one item, and many that follow each other
    std::vector<exchange_item> items;
    std::vector<std::size_t> mine;
    for (std::uint64_t at = 0; at < from.size(); at += size, mine.push_back(mine.size())) items.push_back({peer_id{1}, {here, there, at, at, size}});
    detail::local_plan plan(items, mine);
    ASSERT_TRUE(plan.find(book));
    detail::submitted_group group;
    plan.carry_out(group, op::put, detail::local_copying::largest_piece, [](std::size_t item, const error&) { ADD_FAILURE() << item; });
    EXPECT_EQ(group.copies.size(), 4u) << size;
    EXPECT_EQ(group.places.size(), items.size());
    EXPECT_EQ(group.bytes, from.size());
  }
}

TEST(submitter, a_bad_item_fails_alone_by_either_way) {
  const auto check = [](auto& two, strategy expected) {
    std::vector<exchange_item> items;
    for (std::uint64_t i = 0; i < 8; ++i) items.push_back(two.item(i * 1000, i * 2000, 100));
    items[2] = two.item(0, (1 << 20) - 10, 100);                // reaches outside at the peer
    items.push_back(two.item((1 << 20) - 100, 40'000, 100));    // up to the region's end ...
    items.push_back(two.item(1 << 20, 40'100, 100));            // ... and on from there: joined with its neighbour, were it good
    items.push_back(two.item(100, ~std::uint64_t{0} - 5, 10));  // wraps
    items.push_back(two.item(0, 0, ~std::uint64_t{0}));         // more pieces than there is memory for
    items.push_back(two.item(5, 5, ~std::uint64_t{0} - 7));
    const std::vector<std::size_t> bad{2, 9, 10, 11, 12};
    auto future = two.ours->submit(items, op::put);
    const auto& results = future.get();
    ASSERT_EQ(results.size(), items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (std::find(bad.begin(), bad.end(), i) == bad.end()) {
        ASSERT_TRUE(results[i].has_value()) << i << ' ' << results[i].error().message();
        EXPECT_TRUE(two.arrived(items[i].where.local_offset, items[i].where.remote_offset, 100)) << i;
      } else {
        EXPECT_EQ(results[i].error(), errc::out_of_range) << i;
        EXPECT_EQ(results[i].error().details().item, i);
      }
    }
    EXPECT_EQ(future.strategy(), expected);
    const auto seen = two.meter.read();
    EXPECT_EQ(seen.at(expected).succeeded, items.size() - bad.size());
    EXPECT_EQ(seen.at(expected).failed(errc::out_of_range), bad.size());
    EXPECT_EQ(seen.at(expected).failed(), bad.size());
    EXPECT_EQ(seen.stages[static_cast<std::size_t>(expected)][static_cast<std::size_t>(stage::transfer)].bytes, 800u);
  };
  loopback_sides<select_always> remote({.max_slice = 1 << 20});
  check(remote, strategy::transport);
  loopback_sides<select_by_process> local;
  check(local, strategy::local);
}

TEST(submitter, a_batch_of_which_an_item_failed_is_not_announced_nor_copied_without_a_notice) {
  loopback_sides<select_by_process> two;
  const exchange_item good[]{two.item(0, 0, 10), two.item(100, 100, 10)}, mixed[]{two.item(0, 200, 10), two.item(0, (1 << 20) - 5, 10)};
  const auto told = [&] {
    notification taken;
    two.near.progress();
    two.far.progress();
    return two.far.next_notification(taken) ? taken.tag : 0;
  };
  auto future = two.ours->submit(good, op::put, {.notify_tag = 7, .notify = true});
  EXPECT_THAT(future.get(), Each(is_ok()));
  EXPECT_EQ(future.strategy(), strategy::transport) << "although it could be copied";
  EXPECT_EQ(told(), 7u);
  const auto results = two.ours->submit(mixed, op::put, {.notify_tag = 8, .notify = true}).get();
  EXPECT_TRUE(results[0].has_value());
  EXPECT_EQ(results[1].error(), errc::out_of_range);
  EXPECT_EQ(told(), 0u);
  EXPECT_TRUE(two.arrived(0, 200, 10));
}

TEST(submitter, what_is_about_no_single_item_ends_all_of_its_peer) {
  loopback_sides<select_always> two;
  const exchange_item items[]{two.item(0, 0, 10), two.item(50, 50, 10)};
  EXPECT_THAT(two.ours->submit(items, op::put).get(), Each(is_ok()));
  two.near.disconnect(two.peer);
  const auto results = two.ours->submit(items, op::put).get();
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(results[i].error(), errc::closed);
    EXPECT_EQ(results[i].error().details().item, i);
  }
  EXPECT_EQ(two.meter.read().at(strategy::transport).failed(errc::closed), 2u);
  EXPECT_EQ(two.meter.read().at(strategy::transport).succeeded, 2u);
  const exchange_item endless[]{two.item(0, 0, ~std::uint64_t{0}), two.item(0, 0, std::uint64_t{1} << 60)};
  for (const auto& each : two.ours->submit(endless, op::put).get()) EXPECT_EQ(each.error(), errc::closed) << "and is not cut in pieces without bound";
}

TEST(submitter, a_deadline_that_is_over_moves_nothing_by_either_way) {
  loopback_sides<select_by_process> local;
  loopback_sides<select_always> remote;
  const exchange_item here[]{local.item(1, 0, 10)}, there[]{remote.item(1, 0, 10)};
  EXPECT_EQ(local.ours->submit(here, op::put, {.deadline = -1ns}).get()[0].error(), errc::timed_out);
  EXPECT_EQ(remote.ours->submit(there, op::put, {.deadline = -1ns}).get()[0].error(), errc::timed_out);
  EXPECT_EQ(local.there.data()[0], std::byte{0});
  EXPECT_THAT(local.ours->submit(here, op::put).get(), Each(is_ok()));
}

TEST(submitter, strategy_is_that_of_all_items_or_none) {
  loopback_sides<select_by_process> two;
  const region hidden = two.near.allocate_region(4096).value();  // not shared, so only the transport reaches it
  auto third = loopback::create().value();
  const region elsewhere = third.allocate_region(4096).value();
  const peer_id other = two.near.connect(third.address().value()).value();
  const remote_region_id at_other = two.ours->import_region(other, third.export_region(elsewhere).value()).value();
  const exchange_item copied[]{two.item(0, 100, 50)}, sent[]{{other, {hidden.id(), at_other, 0, 0, 10}}}, both[]{copied[0], sent[0]};
  EXPECT_EQ(two.ours->submit(copied, op::put).strategy(), strategy::local);
  EXPECT_EQ(two.ours->submit(sent, op::put).strategy(), strategy::transport);
  auto future = two.ours->submit(both, op::put);
  EXPECT_EQ(future.strategy(), std::nullopt);
  EXPECT_THAT(future.strategies(), ElementsAre(strategy::local, strategy::transport));
  EXPECT_THAT(future.get(), Each(is_ok()));
  EXPECT_EQ(two.ours->submit({}, op::put).strategy(), std::nullopt);
}

TEST(submitter, is_counted_when_it_ends) {
  worker_pool pool(1);
  loopback_sides<select_always> two({}, queueing(pool));
  const exchange_item items[]{two.item(0, 100, 50)};
  auto future = two.ours->submit(items, op::put);
  EXPECT_EQ(two.meter.read().at(strategy::transport).succeeded, 0u);
  EXPECT_EQ(two.meter.read().at(stage::transfer, strategy::transport).count, 0u);
  while (two.near.progress() != 0) {}
  EXPECT_TRUE(future.is_ready());
  EXPECT_TRUE(future.is_ready()) << "and once";
  EXPECT_EQ(two.meter.read().at(strategy::transport).succeeded, 1u);
  EXPECT_EQ(two.meter.read().at(stage::transfer, strategy::transport).count, 1u);
  EXPECT_EQ(two.meter.read().at(stage::post, strategy::transport).count, 1u);
}

/// Chooses by the batch's size: what a user's selector may do.
struct small_by_transport {
  std::uint64_t limit = 100;
  strategy operator()(const route& way) const noexcept { return way.addressable && way.bytes > limit ? strategy::local : strategy::transport; }
};

TEST(submitter, a_users_selector_decides) {
  sides<loopback, small_by_transport> two(loopback::create().value(), loopback::create().value());
  const exchange_item small[]{two.item(0, 0, 100)}, large[]{two.item(0, 0, 101)};
  EXPECT_EQ(two.ours->submit(small, op::put).strategy(), strategy::transport);
  EXPECT_EQ(two.ours->submit(large, op::put).strategy(), strategy::local);
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

}  // namespace
}  // namespace lading
