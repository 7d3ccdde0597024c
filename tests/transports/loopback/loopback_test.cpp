// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transports/loopback.hpp>

#include <optional>

#include <gtest/gtest.h>

#include "support/counting_new.hpp"

namespace lading {
namespace {

using namespace std::chrono_literals;

struct linked {
  explicit linked(std::size_t size, const loopback_options& options)
      : near(loopback::create(options).value()),
        far(loopback::create(options).value()),
        source(near->allocate_region(size).value()),
        target(far->allocate_region(size).value()),
        peer(near->connect(far->address().value()).value()),
        imported(near->import_region(peer, far->export_region(target).value()).value()) {
    for (std::size_t i = 0; i < size; ++i) source.data()[i] = static_cast<std::byte>(i * 131 >> 3);
  }
  [[nodiscard]] slice one(std::uint64_t offset, std::uint64_t size) const { return {source.id(), imported, offset, offset, size}; }
  [[nodiscard]] bool all_arrived() const { return std::equal(source.bytes().begin(), source.bytes().end(), target.bytes().begin()); }

  std::optional<loopback> near, far;
  region source, target;
  peer_id peer;
  remote_region_id imported;
};

loopback_options pooled(worker_pool& pool, time_source clock = {}) {
  loopback_options options;
  options.endpoint.clock = clock;
  options.endpoint.close_limit = 10ms;
  options.workers = 3;
  options.inline_limit = 1000;
  options.pool = &pool;
  return options;
}

TEST(loopback, small_batches_are_copied_by_submit) {
  worker_pool pool(1);
  linked pair(4096, pooled(pool));
  const slice small = pair.one(0, 1000), large = pair.one(0, 1001);
  EXPECT_TRUE(pair.near->submit(pair.peer, op::put, std::span(&small, 1)).value().ready());
  transfer queued = pair.near->submit(pair.peer, op::put, std::span(&large, 1)).value();
  EXPECT_FALSE(queued.ready());
  EXPECT_TRUE(queued.wait().ok());
}

// Every endpoint counts its regions from the same number, so a stranger's would be taken for one's own.
TEST(loopback, what_belongs_to_another_endpoint_is_refused) {
  linked one(65536, {}), two(64, {});
  const slice all = one.one(0, 32768);
  const prepared_batch prepared = one.near->prepare(one.peer, op::put, std::span(&all, 1)).value();
  const auto elsewhere = two.near->submit(prepared);
  ASSERT_FALSE(elsewhere.has_value());
  EXPECT_EQ(elsewhere.error().code(), errc::invalid_argument);
  EXPECT_TRUE(one.near->submit(prepared).value().wait().ok());
  const auto exported = two.far->export_region(one.target);
  ASSERT_FALSE(exported.has_value());
  EXPECT_EQ(exported.error().code(), errc::not_registered);
  EXPECT_TRUE(one.far->export_region(one.target).has_value());
}

TEST(loopback, the_pool_copies_large_batches_in_order_of_submission) {
  worker_pool pool(2);
  constexpr std::size_t size = 40 << 20;
  linked pair(size, pooled(pool));
  std::vector<slice> slices;
  for (std::size_t at = 0, length = 1; at < size; at += length, length = length * 2 + 1) slices.push_back(pair.one(at, std::min(length, size - at)));
  transfer running = pair.near->submit(pair.peer, op::put, slices).value();
  const completion how = running.wait();
  EXPECT_TRUE(how.ok());
  EXPECT_EQ(how.bytes, size);
  EXPECT_EQ(how.done, slices.size());
  EXPECT_TRUE(pair.all_arrived());
}

TEST(loopback, cancelling_stops_a_copy_between_two_rounds) {
  worker_pool pool(1);
  constexpr std::size_t size = 80 << 20, slice_size = 1 << 20;
  linked pair(size, pooled(pool));
  std::vector<slice> slices;
  for (std::size_t at = 0; at < size; at += slice_size) slices.push_back(pair.one(at, slice_size));
  transfer running = pair.near->submit(pair.peer, op::put, slices).value();
  pair.near->progress();
  running.cancel();
  const completion how = running.wait();
  EXPECT_EQ(how.status.error(), errc::cancelled);
  EXPECT_GT(how.done, 0u);
  EXPECT_GT(how.failed, 0u);
  EXPECT_EQ(how.first_failed, how.done);
  EXPECT_EQ(how.bytes, how.done * slice_size);
  EXPECT_EQ(pair.target.data()[size - 1], std::byte{0});
  EXPECT_TRUE(pair.source.deregister().has_value());
}

TEST(loopback, a_deadline_drops_what_is_queued) {
  manual_clock clock;
  worker_pool pool(1);
  linked pair(1 << 20, pooled(pool, clock.source()));
  const slice all = pair.one(0, 1 << 20);
  // More than one round does, so that the second batch is still queued when time is up.
  std::vector<transfer> running;
  for (int i = 0; i < 5; ++i) running.push_back(pair.near->submit(pair.peer, op::put, std::span(&all, 1), {.deadline = 5ms}).value());
  clock.advance(5ms);
  for (transfer& each : running) each.wait();
  EXPECT_TRUE(running.front().how().ok()) << "the round that was begun is finished";
  EXPECT_EQ(running.back().how().status.error(), errc::timed_out);
  EXPECT_FALSE(running.back().how().quarantined);
  EXPECT_EQ(running.back().how().finished, 5ms);
}

TEST(loopback, the_owner_of_a_target_finds_it_busy) {
  worker_pool pool(1);
  linked pair(1 << 20, pooled(pool));
  const slice all = pair.one(0, 1 << 20);
  transfer running = pair.near->submit(pair.peer, op::put, std::span(&all, 1)).value();
  EXPECT_EQ(pair.target.deregister().error(), errc::busy);
  EXPECT_TRUE(running.wait().ok());
  EXPECT_TRUE(pair.target.deregister().has_value());
}

TEST(loopback, prepared_batches_post_without_allocating) {
  if (!counts_new) GTEST_SKIP() << "the sanitizer has operators of its own";
  for (const std::uint64_t inline_limit : {std::uint64_t{1} << 30, std::uint64_t{0}}) {
    worker_pool pool(1);
    loopback_options options = pooled(pool);
    options.inline_limit = inline_limit;
    linked pair(1 << 20, options);
    std::vector<slice> slices;
    for (std::size_t i = 0; i < 16'384; ++i) slices.push_back(pair.one(i * 64, 64));
    const prepared_batch prepared = pair.near->prepare(pair.peer, op::put, slices).value();
    for (int warm = 0; warm < 3; ++warm) EXPECT_TRUE(pair.near->submit(prepared).value().wait().ok());
    const std::size_t before = allocations.load();
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(pair.near->submit(prepared, {.notify_tag = 1, .notify = true}).value().wait().ok());
    EXPECT_EQ(allocations.load() - before, 0u) << "inline up to " << inline_limit;
    EXPECT_TRUE(pair.all_arrived());
    const std::size_t counting = allocations.load();
    EXPECT_TRUE(pair.near->prepare(pair.peer, op::put, slices).has_value());
    EXPECT_GT(allocations.load(), counting) << "the count counts";
  }
}

TEST(loopback, endpoints_find_each_other_by_address) {
  auto first = loopback::create().value();
  std::vector<loopback> others;
  for (int i = 0; i < 20; ++i) others.push_back(loopback::create().value());
  const region source = first.allocate_region(64).value();
  for (std::size_t i = 0; i < others.size(); ++i) {
    const region target = others[i].allocate_region(64).value();
    std::memset(source.data(), static_cast<int>(i + 1), 64);
    const peer_id peer = first.connect(others[i].address().value()).value();
    EXPECT_EQ(first.peer_identity(peer).value(), others[i].identity());
    const slice each{source.id(), first.import_region(peer, others[i].export_region(target).value()).value(), 0, 0, 64};
    EXPECT_TRUE(first.submit(peer, op::put, std::span(&each, 1)).value().wait().ok());
    EXPECT_EQ(target.data()[63], static_cast<std::byte>(i + 1));
  }
  const peer_id self = first.connect(first.address().value()).value();
  EXPECT_EQ(first.peer_identity(self).value(), first.identity()) << "an endpoint is its own peer, too";
}

TEST(loopback, transfers_outlive_everything) {
  transfer kept;
  region memory;
  {
    worker_pool pool(1);
    linked pair(1 << 20, pooled(pool));
    const slice all = pair.one(0, 1 << 20);
    kept = pair.near->submit(pair.peer, op::put, std::span(&all, 1)).value();
    memory = std::move(pair.source);
  }
  ASSERT_TRUE(kept.ready());
  EXPECT_EQ(memory.bytes().size(), std::size_t{1} << 20);
  EXPECT_NE(memory.data()[1000], std::byte{0});
  EXPECT_TRUE(memory.deregister().has_value());
}

}  // namespace
}  // namespace lading
