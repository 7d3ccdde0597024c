// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transport/fault_injecting.hpp>

#include <random>

#include <gtest/gtest.h>

#include <lading/transports/loopback.hpp>

namespace lading {
namespace {

using namespace std::chrono_literals;
using faulty = fault_injecting<loopback>;

/// Two endpoints with one fault plan, and time that stands still unless told.
struct fault_pair {
  explicit fault_pair(const fault_plan& plan, std::size_t size = 4096) {
    loopback_options inner;
    inner.workers = 1;
    near.emplace(faulty::create(loopback::create(inner).value(), plan, {.clock = clock.source()}).value());
    far.emplace(faulty::create(loopback::create(inner).value()).value());
    source = near->allocate_region(size).value();
    target = far->allocate_region(size).value();
    std::memset(source.data(), 0x11, size);
    peer = near->connect(far->address().value()).value();
    imported = near->import_region(peer, far->export_region(target).value()).value();
  }
  [[nodiscard]] slice one(std::uint64_t offset, std::uint64_t size) const { return {source.id(), imported, offset, offset, size}; }
  [[nodiscard]] transfer put(const slice& moved, submit_options options = {}) {
    return near->submit(peer, op::put, std::span(&moved, 1), options).value();
  }
  void rounds(int count = 20) {
    for (int i = 0; i < count; ++i) near->progress();
  }
  [[nodiscard]] std::size_t arrived(std::byte wanted = std::byte{0x11}) const {
    return static_cast<std::size_t>(std::count(target.bytes().begin(), target.bytes().end(), wanted));
  }

  manual_clock clock;
  std::optional<faulty> near, far;
  region source, target;
  peer_id peer{};
  remote_region_id imported{};
};

fault_plan only(fault kind) { return fault_plan{}.with(kind, fault_plan::always); }

TEST(fault_injecting, nothing_happens_without_a_plan) {
  fault_pair pair({});
  transfer all = pair.put(pair.one(0, 4096));
  EXPECT_TRUE(all.wait().ok());
  EXPECT_EQ(pair.arrived(), 4096u);
  EXPECT_EQ(pair.near->counts().total(), 0u);
}

TEST(fault_injecting, submit_failure) {
  fault_pair pair(only(fault::submit_failure));
  const slice all = pair.one(0, 4096);
  EXPECT_EQ(pair.near->submit(pair.peer, op::put, std::span(&all, 1)).error(), errc::would_block);
  EXPECT_EQ(pair.near->counts()[fault::submit_failure], 1u);
  EXPECT_EQ(pair.arrived(), 0u);
}

TEST(fault_injecting, delay) {
  fault_pair pair(only(fault::delay));
  transfer all = pair.put(pair.one(0, 4096));
  pair.rounds();
  EXPECT_FALSE(all.ready());
  EXPECT_EQ(pair.arrived(), 0u);
  pair.clock.advance(1ms);
  pair.rounds();
  ASSERT_TRUE(all.ready());
  EXPECT_TRUE(all.how().ok());
  EXPECT_EQ(pair.arrived(), 4096u);
  EXPECT_EQ(pair.near->counts()[fault::delay], 1u);
}

TEST(fault_injecting, reorder) {
  fault_pair pair(only(fault::reorder));
  transfer first = pair.put(pair.one(0, 100));
  pair.rounds();
  EXPECT_FALSE(first.ready()) << "it waits for the one that follows";
  transfer second = pair.put(pair.one(100, 100));
  pair.rounds();
  EXPECT_TRUE(first.ready());
  EXPECT_FALSE(second.ready());
  pair.clock.advance(1ms);
  pair.rounds();
  EXPECT_TRUE(second.ready());
  EXPECT_EQ(pair.arrived(), 200u);
}

TEST(fault_injecting, loss_ends_at_the_deadline) {
  fault_pair pair(only(fault::loss));
  transfer lost = pair.put(pair.one(0, 4096), {.deadline = 10ms});
  pair.rounds();
  pair.clock.advance(9ms);
  pair.rounds();
  EXPECT_FALSE(lost.ready());
  pair.clock.advance(1ms);
  pair.rounds();
  ASSERT_TRUE(lost.ready());
  EXPECT_EQ(lost.how().status.error(), errc::timed_out);
  EXPECT_FALSE(lost.how().quarantined) << "nothing was under way";
  EXPECT_EQ(lost.how().finished, 10ms);
  EXPECT_EQ(pair.arrived(), 0u);
  EXPECT_TRUE(pair.source.deregister().has_value());
}

TEST(fault_injecting, duplicate) {
  fault_pair pair(only(fault::duplicate));
  transfer twice = pair.put(pair.one(0, 4096));
  pair.rounds();
  ASSERT_TRUE(twice.ready());
  EXPECT_TRUE(twice.how().ok());
  EXPECT_EQ(twice.how().bytes, 4096u) << "counted once";
  EXPECT_EQ(pair.arrived(), 4096u);
}

TEST(fault_injecting, short_write) {
  fault_pair pair(only(fault::short_write));
  const std::vector<slice> slices{pair.one(0, 1000), pair.one(1000, 1000), pair.one(2000, 0)};
  transfer cut = pair.near->submit(pair.peer, op::put, slices).value();
  pair.rounds();
  ASSERT_TRUE(cut.ready());
  EXPECT_EQ(cut.how().status.error(), errc::backend_failure);
  EXPECT_EQ(cut.how().done, 2u);
  EXPECT_EQ(cut.how().failed, 1u);
  EXPECT_EQ(cut.how().first_failed, 1u);
  EXPECT_TRUE(cut.succeeded(0) && !cut.succeeded(1) && cut.succeeded(2));
  EXPECT_GE(pair.arrived(), 1000u);
  EXPECT_LT(pair.arrived(), 2000u);
}

TEST(fault_injecting, corruption_is_one_bit_and_ends_ok) {
  for (const op direction : {op::put, op::get}) {
    fault_pair pair(only(fault::corruption));
    std::memset(pair.target.data(), direction == op::put ? 0 : 0x11, 4096);
    const slice all = pair.one(0, 4096);
    transfer spoilt = pair.near->submit(pair.peer, direction, std::span(&all, 1)).value();
    pair.rounds();
    ASSERT_TRUE(spoilt.ready());
    EXPECT_TRUE(spoilt.how().ok());
    const bytes_span written = direction == op::put ? pair.target.bytes() : pair.source.bytes();
    int bits = 0;
    for (const std::byte each : written) bits += __builtin_popcount(std::to_integer<unsigned>(each ^ std::byte{0x11}));
    EXPECT_EQ(bits, 1);
  }
}

TEST(fault_injecting, false_completion_ends_ok_without_its_end) {
  fault_pair pair(only(fault::false_completion));
  transfer pretended = pair.put(pair.one(0, 4096));
  pair.rounds();
  ASSERT_TRUE(pretended.ready());
  EXPECT_TRUE(pretended.how().ok());
  EXPECT_LT(pair.arrived(), 4096u);
}

TEST(fault_injecting, peer_death_ends_all_until_reconnected) {
  fault_pair pair(only(fault::peer_death));
  transfer dead = pair.put(pair.one(0, 4096));
  pair.rounds();
  ASSERT_TRUE(dead.ready());
  EXPECT_EQ(dead.how().status.error(), errc::peer_lost);
  const slice all = pair.one(0, 4096);
  EXPECT_EQ(pair.near->submit(pair.peer, op::put, std::span(&all, 1)).error(), errc::peer_lost);
  pair.near->disconnect(pair.peer);
  pair.peer = pair.near->connect(pair.far->address().value()).value();
  EXPECT_TRUE(pair.near->import_region(pair.peer, pair.far->export_region(pair.target).value()).has_value());
}

TEST(fault_injecting, stall) {
  fault_pair pair(only(fault::stall));
  transfer slow = pair.put(pair.one(0, 4096));
  transfer late = pair.put(pair.one(0, 64), {.deadline = 5ms});
  pair.clock.advance(6ms);
  pair.rounds();
  ASSERT_TRUE(late.ready());
  EXPECT_EQ(late.how().status.error(), errc::timed_out);
  EXPECT_FALSE(slow.ready());
  pair.clock.advance(20ms);
  pair.rounds();
  ASSERT_TRUE(slow.ready());
  EXPECT_TRUE(slow.how().ok());
}

/// Random batches under a bit of everything: each ends once, and nothing but what was lost is missing.
std::vector<std::uint64_t> ends_of(std::uint64_t seed) {
  fault_plan plan;
  plan.seed = seed;
  for (std::size_t kind = 0; kind < fault_kinds; ++kind) plan.per_million[kind] = 60'000;
  plan.with(fault::peer_death, 0);
  fault_pair pair(plan, 64 << 10);
  std::mt19937_64 random(seed);
  std::vector<transfer> running;
  std::vector<std::uint64_t> ends;
  for (int i = 0; i < 40; ++i) {
    std::vector<slice> slices(random() % 5);
    for (slice& each : slices) {
      const std::uint64_t size = random() % 5000;
      each = pair.one(random() % (pair.source.size() - size), size);
    }
    auto submitted = pair.near->submit(pair.peer, op::put, slices, {.deadline = std::chrono::milliseconds(5 + random() % 50)});
    if (!submitted) {
      ends.push_back(static_cast<std::uint64_t>(submitted.error().code()) << 32);
      continue;
    }
    running.push_back(std::move(*submitted));
    if (random() % 4 == 0) pair.rounds(1);
    if (random() % 8 == 0) running[random() % running.size()].cancel();
    pair.clock.advance(std::chrono::microseconds(random() % 2000));
  }
  for (int i = 0; i < 100; ++i) {
    pair.clock.advance(1ms);
    pair.rounds(1);
  }
  for (const transfer& each : running) {
    EXPECT_TRUE(each.ready()) << "seed " << seed << ": stuck";
    if (!each.ready()) continue;
    ends.push_back((each.how().ok() ? 0 : static_cast<std::uint64_t>(each.how().status.error().code()) << 32) | each.how().done << 8 |
                   each.how().failed);
  }
  const transport_metrics counted = pair.near->metrics();
  EXPECT_EQ(counted.completed + counted.failed, running.size()) << "seed " << seed;
  EXPECT_EQ(counted.released, counted.quarantined) << "seed " << seed << ": slices never came back";
  EXPECT_TRUE(pair.source.deregister().has_value()) << "seed " << seed << ": a region is still in use";
  for (std::size_t kind = 0; kind < fault_kinds; ++kind) ends.push_back(pair.near->counts()[static_cast<fault>(kind)]);
  return ends;
}

TEST(fault_injecting, every_transfer_ends_once_whatever_the_seed) {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) ends_of(seed);
}

TEST(fault_injecting, a_seed_repeats_itself) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) EXPECT_EQ(ends_of(seed), ends_of(seed));
  EXPECT_NE(ends_of(1), ends_of(2));
}

}  // namespace
}  // namespace lading
