// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transport/fault_injecting.hpp>

#include <bit>
#include <cstdlib>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include <lading/transports/loopback.hpp>

#if defined(__linux__)
#include <poll.h>
#endif

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
    std::memset(target.data(), 0, size);
    connect();
  }
  void connect() {
    peer = near->connect(far->address().value()).value();
    imported = near->import_region(peer, far->export_region(target).value()).value();
  }
  void reconnect() {
    near->disconnect(peer);
    connect();
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

/// Two puts to the same bytes; whether the first one was held back, and whether it was the last to arrive.
struct two_puts {
  explicit two_puts(const fault_plan& plan) : pair(plan) {
    std::memset(pair.source.data() + 64, 0x22, 64);
    first = pair.put(pair.one(0, 64));
    pair.rounds();
    held = !first.ready();
    const slice again{pair.source.id(), pair.imported, 64, 0, 64};
    second = pair.put(again);
    pair.rounds();
  }
  [[nodiscard]] bool swapped() const { return pair.arrived(std::byte{0x11}) == 64; }

  fault_pair pair;
  transfer first, second;
  bool held = false;
};

TEST(fault_injecting, reorder) {
  two_puts both(only(fault::reorder));
  EXPECT_TRUE(both.held) << "it waits for the one that follows";
  EXPECT_TRUE(both.first.ready() && both.second.ready()) << "no time has to pass";
  EXPECT_TRUE(both.swapped());
  EXPECT_EQ(both.pair.arrived(std::byte{0x22}), 0u);
}

TEST(fault_injecting, reorder_changes_the_order_of_some) {
  int swapped = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    fault_plan plan{.seed = seed};
    two_puts both(plan.with(fault::reorder, fault_plan::always / 2));
    both.pair.clock.advance(1ms);  // the second one may be held back
    both.pair.rounds();
    EXPECT_EQ(both.swapped(), both.held) << "seed " << seed;
    swapped += both.swapped();
    ASSERT_TRUE(both.first.ready() && both.second.ready());
    EXPECT_TRUE(both.first.how().ok() && both.second.how().ok());
  }
  EXPECT_GT(swapped, 20);
  EXPECT_LT(swapped, 80);
  EXPECT_FALSE(two_puts({}).swapped());
}

TEST(fault_injecting, reorder_does_not_wait_for_ever) {
  fault_pair pair(only(fault::reorder));
  transfer alone = pair.put(pair.one(0, 100));
  const peer_id other = pair.near->connect(pair.far->address().value()).value();
  const remote_region_id there = pair.near->import_region(other, pair.far->export_region(pair.target).value()).value();
  const slice beside{pair.source.id(), there, 100, 100, 100};
  transfer held = pair.near->submit(other, op::put, std::span(&beside, 1)).value();
  pair.rounds();
  EXPECT_FALSE(alone.ready() || held.ready()) << "nothing follows on the same connection";
  pair.clock.advance(1ms);
  pair.rounds();
  EXPECT_TRUE(alone.ready() && held.ready());
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

/// Bytes that differ from each other, so that none is taken for another.
std::byte pattern(std::size_t at) { return static_cast<std::byte>((at * 167 + (at >> 8) * 13 + 1) & 0xff); }
constexpr std::byte untouched{0xEE};

/// A pair whose source (of puts) or target (of gets) has the pattern, and whose other side has nothing of it.
struct spoiled_pair : fault_pair {
  spoiled_pair(const fault_plan& plan, op direction) : fault_pair(plan), way(direction) {
    const bytes_span from = way == op::put ? source.bytes() : target.bytes();
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = pattern(i);
    std::fill(into().begin(), into().end(), untouched);
  }
  [[nodiscard]] bytes_span into() const { return way == op::put ? target.bytes() : source.bytes(); }
  [[nodiscard]] transfer move(std::span<const slice> slices) { return near->submit(peer, way, slices).value(); }
  [[nodiscard]] bool arrived_in(std::size_t first, std::size_t end) const {
    for (std::size_t i = first; i < end; ++i) {
      if (into()[i] != pattern(i)) return false;
    }
    return true;
  }
  [[nodiscard]] bool untouched_in(std::size_t first, std::size_t end) const {
    return std::all_of(into().begin() + static_cast<std::ptrdiff_t>(first), into().begin() + static_cast<std::ptrdiff_t>(end),
                       [](std::byte each) { return each == untouched; });
  }
  /// Whether all that lies outside [first, end), the range of the slices, is as it was; and the side that is read from, too.
  [[nodiscard]] bool kept_around(std::size_t first, std::size_t end) const {
    const bytes_span from = way == op::put ? source.bytes() : target.bytes();
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (from[i] != pattern(i)) return false;
    }
    return untouched_in(0, first) && untouched_in(end, into().size());
  }

  op way;
};

fault_plan only(fault kind, std::uint64_t seed) {
  fault_plan plan = only(kind);
  plan.seed = seed;
  return plan;
}

TEST(fault_injecting, duplicate_leaves_what_one_copy_leaves) {
  for (const op direction : {op::put, op::get}) {
    spoiled_pair pair(only(fault::duplicate), direction);
    const slice part = pair.one(100, 3000);
    transfer twice = pair.move(std::span(&part, 1));
    pair.rounds();
    ASSERT_TRUE(twice.ready());
    EXPECT_TRUE(twice.how().ok());
    EXPECT_EQ(twice.how().bytes, 3000u) << "counted once";
    EXPECT_EQ(twice.how().done, 1u);
    EXPECT_TRUE(pair.arrived_in(100, 3100));
    EXPECT_TRUE(pair.kept_around(100, 3100));
    EXPECT_EQ(pair.near->counts()[fault::duplicate], 1u);
  }
}

// The second copy takes what the source holds by then, as on a real wire.
TEST(fault_injecting, duplicate_moves_twice) {
  fault_pair pair(only(fault::duplicate));
  transfer twice = pair.put(pair.one(0, 64));
  for (int i = 0; i < 10 && pair.arrived() == 0; ++i) pair.near->progress();
  ASSERT_EQ(pair.arrived(), 64u);
  ASSERT_FALSE(twice.ready());
  std::memset(pair.source.data(), 0x12, 64);
  pair.rounds();
  EXPECT_TRUE(twice.ready());
  EXPECT_EQ(pair.arrived(std::byte{0x12}), 64u);
}

TEST(fault_injecting, short_write_leaves_the_front_of_one_slice) {
  std::set<std::size_t> lengths;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const op direction : {op::put, op::get}) {
      spoiled_pair pair(only(fault::short_write, seed), direction);
      const std::vector<slice> slices{pair.one(100, 1000), pair.one(1100, 1000), pair.one(2100, 0)};
      transfer cut = pair.move(slices);
      pair.rounds();
      ASSERT_TRUE(cut.ready());
      EXPECT_EQ(cut.how().status.error(), errc::backend_failure);
      EXPECT_EQ(cut.how().done, 2u);
      EXPECT_EQ(cut.how().failed, 1u);
      EXPECT_EQ(cut.how().first_failed, 1u);
      EXPECT_EQ(cut.how().bytes, 1000u) << "of the slice that arrived whole";
      EXPECT_TRUE(cut.succeeded(0) && !cut.succeeded(1) && cut.succeeded(2));
      EXPECT_TRUE(pair.arrived_in(100, 1100));
      std::size_t end = 2100;
      while (end > 1100 && pair.into()[end - 1] == untouched) --end;
      EXPECT_LT(end, 2100u) << "all arrived";
      EXPECT_TRUE(pair.arrived_in(1100, end)) << "the front, whole and in place";
      EXPECT_TRUE(pair.untouched_in(end, 2100));
      EXPECT_TRUE(pair.kept_around(100, 2100));
      lengths.insert(end - 1100);
    }
  }
  EXPECT_GT(lengths.size(), 10u) << "cut anywhere";
}

TEST(fault_injecting, corruption_is_one_bit_and_ends_ok) {
  std::set<std::size_t> places;
  unsigned bits = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    for (const op direction : {op::put, op::get}) {
      spoiled_pair pair(only(fault::corruption, seed), direction);
      const std::vector<slice> slices{pair.one(100, 1000), pair.one(1100, 500)};
      transfer spoilt = pair.move(slices);
      pair.rounds();
      ASSERT_TRUE(spoilt.ready());
      EXPECT_TRUE(spoilt.how().ok());
      EXPECT_EQ(spoilt.how().bytes, 1500u);
      std::vector<std::size_t> wrong;
      for (std::size_t i = 100; i < 1600; ++i) {
        if (pair.into()[i] != pattern(i)) wrong.push_back(i);
      }
      ASSERT_EQ(wrong.size(), 1u) << "one byte, put or get";
      EXPECT_GE(wrong[0], 1100u) << "of the last slice";
      const auto flipped = std::to_integer<unsigned>(pair.into()[wrong[0]] ^ pattern(wrong[0]));
      EXPECT_EQ(std::popcount(flipped), 1) << "one bit of it";
      EXPECT_TRUE(pair.kept_around(100, 1600));
      places.insert(wrong[0]);
      bits |= flipped;
    }
  }
  EXPECT_GT(places.size(), 20u) << "anywhere in the slice";
  EXPECT_EQ(bits, 0xffu) << "any bit";
}

using twice_faulty = fault_injecting<faulty>;

/// Spoiled puts over a transport that delays each batch until its own clock moves: the put, and then the byte that is flipped.
struct held_flips {
  held_flips() {
    const auto make = [&](const fault_plan& above, const fault_plan& under) {
      loopback_options inner;
      inner.workers = 1;
      auto carrier = faulty::create(loopback::create(inner).value(), under, {.clock = below_clock.source()}).value();
      return twice_faulty::create(std::move(carrier), above, {.clock = clock.source()}).value();
    };
    near.emplace(make(only(fault::corruption), only(fault::delay)));
    far.emplace(make({}, {}));
    source = near->allocate_region(4096).value();
    target = far->allocate_region(4096).value();
    std::memset(source.data(), 0x11, 4096);
    peer = near->connect(far->address().value()).value();
    imported = near->import_region(peer, far->export_region(target).value()).value();
  }
  [[nodiscard]] transfer put(std::uint64_t offset, std::uint64_t size, const submit_options& options = {}) {
    const slice moved{source.id(), imported, offset, offset, size};
    return near->submit(peer, op::put, std::span(&moved, 1), options).value();
  }
  void rounds() {
    for (int i = 0; i < 20; ++i) near->progress();
  }
  /// The puts have arrived, and their flipped bytes are under way.
  void arrive() {
    rounds();
    below_clock.advance(1ms);
    rounds();
  }
  [[nodiscard]] std::ptrdiff_t wrong(std::size_t size) const {
    return static_cast<std::ptrdiff_t>(size) - std::count(target.bytes().begin(), target.bytes().end(), std::byte{0x11});
  }

  manual_clock clock, below_clock;
  std::optional<twice_faulty> near, far;
  region source, target;
  peer_id peer{};
  remote_region_id imported{};
};

TEST(fault_injecting, corruption_of_a_put_waits_without_blocking) {
  held_flips pair;
  std::vector<transfer> all;
  for (std::uint64_t i = 0; i < 40; ++i) all.push_back(pair.put(i * 100, 100));
  pair.arrive();
  EXPECT_EQ(pair.wrong(4000), 0) << "all bytes are there, none is flipped yet";
  for (const transfer& each : all) EXPECT_FALSE(each.ready());
  pair.below_clock.advance(1ms);
  pair.rounds();
  for (const transfer& each : all) {
    ASSERT_TRUE(each.ready());
    EXPECT_TRUE(each.how().ok());
  }
  EXPECT_EQ(pair.wrong(4000), 40) << "one of each, with a byte of its own";
  for (std::size_t i = 0; i < 4000; ++i) EXPECT_LE(std::popcount(std::to_integer<unsigned>(pair.target.bytes()[i] ^ std::byte{0x11})), 1);
}

TEST(fault_injecting, corruption_of_a_put_ends_when_it_is_given_up) {
  for (const bool cancelled : {true, false}) {
    held_flips pair;
    transfer given_up = pair.put(0, 100, {.deadline = 10ms});
    pair.arrive();
    ASSERT_FALSE(given_up.ready());
    cancelled ? given_up.cancel() : pair.clock.advance(10ms);
    pair.rounds();
    ASSERT_TRUE(given_up.ready()) << "the flipped byte has not begun, and need not";
    EXPECT_EQ(given_up.how().status.error(), cancelled ? errc::cancelled : errc::timed_out);
    EXPECT_FALSE(given_up.how().quarantined);
    EXPECT_EQ(given_up.how().bytes, 0u);
    pair.below_clock.advance(1ms);
    pair.rounds();
    EXPECT_EQ(pair.wrong(100), 0);
    EXPECT_TRUE(pair.source.deregister().has_value());
  }
}

// Each flipped byte lies in scratch memory until it has arrived, and then gives its place to another.
TEST(fault_injecting, corruption_of_more_puts_than_there_are_scratch_bytes) {
  held_flips pair;
  std::vector<transfer> all;
  for (std::uint64_t i = 0; i < 600; ++i) all.push_back(pair.put(i * 4, 4));
  pair.arrive();
  const auto ended = [&] { return std::count_if(all.begin(), all.end(), [](const transfer& each) { return each.ready(); }); };
  EXPECT_EQ(ended(), 0);
  pair.below_clock.advance(1ms);
  pair.rounds();
  EXPECT_GT(ended(), 0);
  EXPECT_LT(ended(), 600);
  for (int i = 0; i < 3; ++i) {
    pair.below_clock.advance(1ms);
    pair.rounds();
  }
  EXPECT_EQ(ended(), 600);
  for (const transfer& each : all) EXPECT_TRUE(each.ready() && each.how().ok());
  EXPECT_EQ(pair.wrong(2400), 600);
}

TEST(fault_injecting, false_completion_ends_ok_without_its_end) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const op direction : {op::put, op::get}) {
      spoiled_pair pair(only(fault::false_completion, seed), direction);
      const std::vector<slice> slices{pair.one(100, 1000), pair.one(1100, 1000)};
      transfer pretended = pair.move(slices);
      pair.rounds();
      ASSERT_TRUE(pretended.ready());
      EXPECT_TRUE(pretended.how().ok());
      EXPECT_EQ(pretended.how().done, 2u);
      EXPECT_EQ(pretended.how().bytes, 2000u) << "so it says";
      EXPECT_TRUE(pair.arrived_in(100, 1100));
      std::size_t end = 2100;
      while (end > 1100 && pair.into()[end - 1] == untouched) --end;
      EXPECT_LT(end, 2100u) << "all arrived";
      EXPECT_TRUE(pair.arrived_in(1100, end));
      EXPECT_TRUE(pair.kept_around(100, 2100));
    }
  }
}

TEST(fault_injecting, without_faults_all_bytes_are_right) {
  for (const op direction : {op::put, op::get}) {
    spoiled_pair pair({}, direction);
    const std::vector<slice> slices{pair.one(100, 1000), pair.one(1100, 1000)};
    transfer whole = pair.move(slices);
    pair.rounds();
    ASSERT_TRUE(whole.ready());
    EXPECT_TRUE(pair.arrived_in(100, 2100));
    EXPECT_TRUE(pair.kept_around(100, 2100));
  }
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

// A fault that was due for a batch that ended before counts as little as one that was not due.
TEST(fault_injecting, what_did_not_happen_is_not_counted) {
  for (const fault kind : {fault::duplicate, fault::short_write, fault::corruption, fault::false_completion}) {
    for (const op direction : {op::put, op::get}) {
      for (const bool cancelled : {true, false}) {
        spoiled_pair pair(only(kind).with(fault::delay, fault_plan::always), direction);
        const slice part = pair.one(100, 1000);
        transfer late = pair.move(std::span(&part, 1));
        pair.rounds();
        if (cancelled) late.cancel();
        pair.rounds();
        pair.clock.advance(1ms);
        pair.rounds();
        ASSERT_TRUE(late.ready());
        EXPECT_EQ(pair.near->counts()[kind], cancelled ? 0u : 1u);
        EXPECT_EQ(pair.near->counts()[fault::delay], 1u) << "that one happened";
        EXPECT_EQ(pair.untouched_in(100, 1100), cancelled);
      }
    }
  }
}

TEST(fault_injecting, an_order_that_stays_is_not_counted) {
  two_puts both(only(fault::reorder));
  EXPECT_EQ(both.pair.near->counts()[fault::reorder], 1u) << "two batches, and one change of their order";
  fault_pair pair(only(fault::reorder));
  transfer alone = pair.put(pair.one(0, 100));
  pair.rounds();
  pair.clock.advance(1ms);
  pair.rounds();
  EXPECT_TRUE(alone.ready());
  EXPECT_EQ(pair.near->counts()[fault::reorder], 0u);
}

TEST(fault_injecting, a_flip_that_was_given_up_is_not_counted) {
  for (const bool cancelled : {true, false}) {
    held_flips pair;
    transfer spoilt = pair.put(0, 100);
    pair.arrive();
    EXPECT_EQ(pair.near->counts()[fault::corruption], 0u);
    if (cancelled) spoilt.cancel();
    pair.rounds();
    pair.below_clock.advance(1ms);
    pair.rounds();
    ASSERT_TRUE(spoilt.ready());
    EXPECT_EQ(pair.near->counts()[fault::corruption], cancelled ? 0u : 1u);
    EXPECT_EQ(pair.wrong(100), cancelled ? 0 : 1);
  }
}

/// Keeps what it is given until the test reports it.
class keeping_driver final : public driver {
 public:
  std::string_view name() const noexcept override { return "keeping"; }
  lading::capabilities capabilities() const noexcept override { return {}; }
  result<void> start(driver_host& host) override {
    host_ = &host;
    return {};
  }
  void stop() noexcept override {}
  result<std::unique_ptr<driver_connection>> connect(const endpoint_address&) override {
    auto made = std::make_unique<driver_connection>();
    connection_ = made.get();
    return made;
  }
  result<std::unique_ptr<driver_remote>> import_key(driver_connection&, const region_descriptor&) override {
    return std::make_unique<driver_remote>();
  }
  std::size_t post(batch& slices, std::size_t first) noexcept override {
    kept = &slices.token();
    return slices.size() - first;
  }
  std::size_t progress() noexcept override { return 0; }
  void lose() noexcept { host_->lost(*connection_, errc::peer_lost); }

  operation* kept = nullptr;

 private:
  driver_host* host_ = nullptr;
  driver_connection* connection_ = nullptr;
};

TEST(fault_injecting, what_the_inner_transport_keeps_stays_quarantined) {
  for (const bool comes_back_in_time : {true, false}) {
    manual_clock clock;
    auto adapter = std::make_unique<keeping_driver>();
    keeping_driver& inner = *adapter;
    const endpoint_options options{.close_limit = 1ms, .clock = clock.source()};
    auto near = fault_injecting<endpoint>::create(endpoint::create(std::move(adapter), options).value(), {}, options).value();
    auto far = fault_injecting<endpoint>::create(endpoint::create(std::make_unique<keeping_driver>()).value()).value();
    region source = near.allocate_region(64).value();
    const region target = far.allocate_region(64).value();
    const peer_id peer = near.connect(far.address().value()).value();
    const slice all{source.id(), near.import_region(peer, far.export_region(target).value()).value(), 0, 0, 64};
    transfer running = near.submit(peer, op::put, std::span(&all, 1)).value();
    const auto rounds = [&] {
      for (int i = 0; i < 5; ++i) near.progress();
    };
    rounds();
    ASSERT_NE(inner.kept, nullptr);
    inner.lose();
    rounds();
    EXPECT_FALSE(running.ready()) << "there is time left for the slice to come back";
    if (!comes_back_in_time) {
      for (int i = 0; i < 3; ++i) clock.advance(options.drain_limit), rounds();
      ASSERT_TRUE(running.ready());
      EXPECT_TRUE(running.how().quarantined);
      EXPECT_FALSE(running.released());
      EXPECT_EQ(source.deregister().error(), errc::busy) << "the inner transport may still read it";
    }
    inner.kept->failed(0, 1, error(errc::peer_lost));
    rounds();
    ASSERT_TRUE(running.ready());
    EXPECT_EQ(name_of(running.how().status.error().code()), "peer_lost");
    EXPECT_EQ(running.how().quarantined, !comes_back_in_time);
    EXPECT_TRUE(running.released());
    EXPECT_TRUE(source.deregister().has_value());
    if (!comes_back_in_time) {
      EXPECT_EQ(near.submit(peer, op::put, {}).error(), errc::peer_lost);
    }
  }
}

#if defined(__linux__)

TEST(fault_injecting, the_descriptor_wakes_for_both_transports) {
  fault_pair pair({});
  const auto readable = [](int fd) {
    ::pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, 0) == 1;
  };
  const int near = pair.near->event_fd(), far = pair.far->event_fd();
  ASSERT_GE(near, 0);
  ASSERT_GE(far, 0);
  EXPECT_EQ(pair.near->event_fd(), near) << "one descriptor, however often it is asked for";
  const auto settle = [&] {
    while (pair.near->progress() + pair.far->progress() != 0) {}
    ASSERT_FALSE(readable(near));
    ASSERT_FALSE(readable(far));
  };
  settle();
  transfer running = pair.put(pair.one(0, 64), {.notify_tag = 5, .notify = true});
  ASSERT_FALSE(running.ready());
  EXPECT_TRUE(readable(near)) << "the batch waits in the decorator, and the inner transport knows nothing of it";
  EXPECT_FALSE(readable(far));
  while (pair.near->progress() != 0 || readable(near)) {}
  EXPECT_TRUE(running.ready());
  EXPECT_TRUE(readable(far)) << "the notification is with the inner transport";
  while (pair.far->progress() != 0) {}
  notification taken;
  EXPECT_TRUE(pair.far->next_notification(taken));
  settle();
}

TEST(fault_injecting, room_for_notifications_wakes_whom_they_wait_for) {
  fault_pair pair({});
  auto far = faulty::create(loopback::create().value(), {}, {.max_notifications = 1}).value();
  const peer_id peer = pair.near->connect(far.address().value()).value();
  for (std::uint64_t tag = 1; tag <= 2; ++tag)
    EXPECT_TRUE(pair.near->submit(peer, op::put, {}, {.notify_tag = tag, .notify = true}).value().wait().ok());
  const int fd = far.event_fd();
  const auto readable = [&] {
    ::pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, 0) == 1;
  };
  while (far.progress() != 0) {}
  ASSERT_FALSE(readable());
  notification taken;
  ASSERT_TRUE(far.next_notification(taken));
  EXPECT_EQ(taken.tag, 1u);
  EXPECT_TRUE(readable()) << "the second one is still with the inner transport";
  far.progress();
  ASSERT_TRUE(far.next_notification(taken));
  EXPECT_EQ(taken.tag, 2u);
}

#endif

/// Random batches under a bit of everything: each ends once; a slice that is said to have arrived has, unless a fault was counted that says otherwise;
/// and nothing is written but the slices.
std::vector<std::uint64_t> ends_of(std::uint64_t seed) {
  constexpr std::size_t batches = 40, most = 4, cell = 400;  // each slice in a cell of its own
  fault_plan plan;
  plan.seed = seed;
  for (std::size_t kind = 0; kind < fault_kinds; ++kind) plan.per_million[kind] = 60'000;
  plan.with(fault::peer_death, 5'000);
  fault_pair pair(plan, batches * most * cell);
  std::mt19937_64 random(seed);
  struct one_batch {
    transfer running;
    std::vector<slice> slices;
  };
  std::vector<one_batch> all;
  std::vector<std::uint64_t> ends;
  for (std::size_t i = 0; i < batches; ++i) {
    std::vector<slice> slices(random() % (most + 1));
    for (std::size_t k = 0; k < slices.size(); ++k) {
      const std::uint64_t size = random() % cell;
      slices[k] = pair.one((i * most + k) * cell + random() % (cell - size), size);
    }
    auto submitted = pair.near->submit(pair.peer, op::put, slices, {.deadline = std::chrono::milliseconds(5 + random() % 50)});
    if (!submitted) {
      ends.push_back(static_cast<std::uint64_t>(submitted.error().code()) << 32);
      if (submitted.error() == errc::peer_lost) pair.reconnect();
      continue;
    }
    all.push_back({std::move(*submitted), std::move(slices)});
    if (random() % 4 == 0) pair.rounds(1);
    if (random() % 8 == 0) all[random() % all.size()].running.cancel();
    pair.clock.advance(std::chrono::microseconds(random() % 2000));
  }
  for (int i = 0; i < 100; ++i) {
    pair.clock.advance(1ms);
    pair.rounds(1);
  }
  std::uint64_t wrong = 0;
  std::vector<bool> written(pair.target.size(), false);
  for (const one_batch& each : all) {
    EXPECT_TRUE(each.running.ready()) << "seed " << seed << ": stuck";
    if (!each.running.ready()) continue;
    const completion& how = each.running.how();
    ends.push_back((how.ok() ? 0 : static_cast<std::uint64_t>(how.status.error().code()) << 32) | how.done << 8 | how.failed);
    EXPECT_EQ(how.done + how.failed, each.slices.size()) << "seed " << seed;
    for (std::size_t k = 0; k < each.slices.size(); ++k) {
      const auto first = static_cast<std::size_t>(each.slices[k].remote_offset), size = static_cast<std::size_t>(each.slices[k].size);
      const bytes_span part = pair.target.bytes().subspan(first, size);
      if (each.running.succeeded(k) && std::memcmp(part.data(), pair.source.data() + first, size) != 0) ++wrong;
      std::fill(part.begin(), part.end(), std::byte{0});
    }
  }
  EXPECT_LE(wrong, pair.near->counts()[fault::corruption] + pair.near->counts()[fault::false_completion]) << "seed " << seed << ": spoiled bytes";
  EXPECT_TRUE(pair.target.bytes()[0] == std::byte{0} && std::memcmp(pair.target.data(), pair.target.data() + 1, pair.target.size() - 1) == 0)
      << "seed " << seed << ": bytes beside the slices were written";
  const transport_metrics counted = pair.near->metrics();
  EXPECT_EQ(counted.completed + counted.failed, all.size()) << "seed " << seed;
  EXPECT_EQ(counted.released, counted.quarantined) << "seed " << seed << ": slices never came back";
  EXPECT_TRUE(pair.source.deregister().has_value()) << "seed " << seed << ": a region is still in use";
  for (std::size_t kind = 0; kind < fault_kinds; ++kind) ends.push_back(pair.near->counts()[static_cast<fault>(kind)]);
  ends.push_back(wrong);
  return ends;
}

/// LADING_FAULT_SEEDS says how many; a long campaign has a million.
std::uint64_t seeds_to_try() {
  const char* told = std::getenv("LADING_FAULT_SEEDS");
  return told != nullptr ? std::strtoull(told, nullptr, 10) : 500;
}

TEST(fault_injecting, every_transfer_ends_once_whatever_the_seed) {
  std::vector<std::uint64_t> fired(fault_kinds, 0);
  std::uint64_t wrong = 0;
  const std::uint64_t seeds = seeds_to_try();
  for (std::uint64_t seed = 1; seed <= seeds && !HasFailure(); ++seed) {
    const auto ends = ends_of(seed);
    for (std::size_t kind = 0; kind < fault_kinds; ++kind) fired[kind] += ends[ends.size() - 1 - fault_kinds + kind];
    wrong += ends.back();
  }
  if (seeds < 500) return;
  for (std::size_t kind = 0; kind < fault_kinds; ++kind) EXPECT_GT(fired[kind], 0u) << "fault " << kind << " never happened";
  EXPECT_GT(wrong, 0u) << "spoiled bytes are looked for, and some are found";
}

TEST(fault_injecting, a_seed_repeats_itself) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) EXPECT_EQ(ends_of(seed), ends_of(seed));
  EXPECT_NE(ends_of(1), ends_of(2));
}

}  // namespace
}  // namespace lading
