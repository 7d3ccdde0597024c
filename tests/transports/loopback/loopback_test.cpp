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
  manual_clock clock;  // a round is as many bytes
  constexpr std::size_t size = 80 << 20, slice_size = 1 << 20;
  linked pair(size, pooled(pool, clock.source()));
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

/// Time goes on by as much whenever somebody looks at it.
struct restless_clock {
  [[nodiscard]] time_source source() noexcept {
    return {[](void* self) noexcept {
              auto& clock = *static_cast<restless_clock*>(self);
              return std::chrono::nanoseconds(clock.at.fetch_add(clock.step) + clock.step);
            },
            this};
  }
  std::atomic<std::int64_t> at{0}, step{0};
};

TEST(loopback, a_round_ends_in_time) {
  constexpr std::size_t size = 16 << 20;
  for (const bool slow : {false, true}) {
    restless_clock clock;
    worker_pool pool(1);
    linked pair(size, pooled(pool, clock.source()));
    const slice all = pair.one(0, size);
    transfer running = pair.near->submit(pair.peer, op::put, std::span(&all, 1)).value();
    if (slow) clock.step = std::chrono::nanoseconds(1ms).count();
    pair.near->progress();
    EXPECT_EQ(running.ready(), !slow) << "16 MiB are less than a round";
    EXPECT_EQ(pair.target.data()[4096], pair.source.data()[4096]);
    int rounds = 1;
    for (; !running.ready() && rounds < 1000; ++rounds) pair.near->progress();
    EXPECT_TRUE(running.ready() && running.how().ok());
    EXPECT_EQ(running.how().bytes, size);
    EXPECT_TRUE(pair.all_arrived());
    EXPECT_GE(rounds, slow ? 8 : 1) << "pieces of 256 KiB, 4 ms a round, each look a millisecond";
  }
}

TEST(loopback, a_small_batch_passes_a_large_one) {
  manual_clock clock;  // a round is as many bytes
  worker_pool pool(1);
  linked pair(68 << 20, pooled(pool, clock.source()));
  const slice large = pair.one(0, 68 << 20), small = pair.one(0, 2000);
  transfer first = pair.near->submit(pair.peer, op::put, std::span(&large, 1)).value();
  transfer second = pair.near->submit(pair.peer, op::put, std::span(&small, 1)).value();
  for (int rounds = 0; rounds < 3; ++rounds) pair.near->progress();
  EXPECT_TRUE(second.ready() && second.how().ok());
  EXPECT_FALSE(first.ready());
  EXPECT_TRUE(first.wait().ok());
}

TEST(loopback, slices_onto_themselves_are_refused) {
  for (const std::uint64_t inline_limit : {std::uint64_t{1} << 20, std::uint64_t{0}}) {
    worker_pool pool(1);
    loopback_options options = pooled(pool);
    options.inline_limit = inline_limit;
    auto alone = loopback::create(options).value();
    const region memory = alone.allocate_region(4096).value();
    std::vector<std::byte> before(4096);
    for (std::size_t i = 0; i < 4096; ++i) before[i] = memory.data()[i] = static_cast<std::byte>(i * 7);
    const peer_id self = alone.connect(alone.address().value()).value();
    const remote_region_id there = alone.import_region(self, alone.export_region(memory).value()).value();
    const auto over = [&](std::uint64_t from, std::uint64_t to, std::uint64_t size) { return slice{memory.id(), there, from, to, size}; };
    for (const op direction : {op::put, op::get}) {
      for (const slice& wrong : {over(0, 0, 100), over(0, 99, 100), over(99, 0, 100), over(10, 5, 4000)}) {
        const std::vector<slice> some{over(0, 2048, 100), wrong, over(300, 300, 0), over(100, 2148, 28)}, none{wrong, wrong};
        const std::vector<slice> last{over(0, 2048, 128), wrong};
        std::copy(before.begin(), before.end(), memory.data());
        transfer mixed = alone.submit(self, direction, some).value();
        const completion how = mixed.wait();
        ASSERT_FALSE(how.ok());
        EXPECT_EQ(name_of(how.status.error().code()), "invalid_argument");
        EXPECT_EQ(how.first_failed, 1u);
        EXPECT_EQ(how.done, 3u);
        EXPECT_EQ(how.bytes, 128u);
        const auto copied = std::span(before).subspan(direction == op::put ? 0 : 2048, 128);
        EXPECT_TRUE(std::equal(copied.begin(), copied.end(), memory.data() + (direction == op::put ? 2048 : 0))) << "the others are copied";
        EXPECT_EQ(alone.submit(self, direction, last).value().wait().done, 1u);
        std::copy(before.begin(), before.end(), memory.data());
        EXPECT_EQ(alone.submit(self, direction, none).value().wait().failed, 2u);
        EXPECT_TRUE(std::equal(before.begin(), before.end(), memory.data()));
      }
      const slice control = over(0, 2048, 2048);
      EXPECT_TRUE(alone.submit(self, direction, std::span(&control, 1)).value().wait().ok());
    }
  }
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
