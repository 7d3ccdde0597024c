// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Every transfer ends, once, and lets go of its memory.

#include <transport/conformance/rig.hpp>

namespace lading::conformance {

/// Counts how often each transfer ended.
class counting_observer final : public transfer_observer {
 public:
  void ended(peer_id, op, const completion& how) noexcept override {
    (how.ok() ? ok : how.status.error() == errc::cancelled ? cancelled : other).fetch_add(1);
  }
  [[nodiscard]] std::size_t total() const { return ok.load() + cancelled.load() + other.load(); }
  std::atomic<std::size_t> ok{0}, cancelled{0}, other{0};
};

/// A pair whose far side takes one notification and does nothing else, so that a transfer from the near side can be made to hang.
class hanging_pair : public connected_pair {
 public:
  explicit hanging_pair(const any_rig& with, const endpoint_options& near_options = {})
      : connected_pair(with, 1 << 16, quick(near_options), quick({.max_notifications = 1})) {
    if (!near->capabilities().notifies) return;
    // Fills all that lies between the two sides, until one notification does not get through.
    for (int i = 0; i < 100; ++i) {
      transfer one = near->submit(to_far, op::put, {}, {.deadline = std::chrono::milliseconds(100), .notify_tag = 1, .notify = true}).value();
      for (int round = 0; round < 300 && !one.ready(); ++round) progress();
      if (one.ready()) continue;
      one.cancel();
      EXPECT_TRUE(finish(one).failed == 0);
      return;
    }
    ADD_FAILURE() << "the far side takes notifications without end";
  }
  [[nodiscard]] bool can_hang() const { return near->capabilities().notifies || !near->capabilities().one_sided; }
  [[nodiscard]] result<transfer> hang(const slice& moved, submit_options options = {}) {
    options.notify = near->capabilities().notifies;
    options.notify_tag = 2;
    return near->submit(to_far, op::put, std::span(&moved, 1), options);
  }
  /// Lets go what hangs, when the pair next makes progress.
  void relieve() { take_notifications = true; }
  /// Drives the near side alone until the transfer ends, or ten seconds have passed.
  completion end_alone(transfer& running) {
    EXPECT_TRUE(running.wait_for(std::chrono::seconds(10))) << "the transfer never ended";
    return running.ready() ? running.how() : completion{.status = fail(errc::backend_failure)};
  }

 private:
  static endpoint_options quick(endpoint_options options) {
    options.close_limit = std::chrono::milliseconds(100);
    return options;
  }
};

#define LADING_CONFORMANCE_NEEDS_HANGING(pair) \
  if (!(pair).can_hang()) GTEST_SKIP() << "one-sided, and without notifications: nothing of the far side can hold a transfer up"

inline void a_deadline_ends_a_transfer(const any_rig& rig) {
  hanging_pair pair(rig);
  LADING_CONFORMANCE_NEEDS_HANGING(pair);
  constexpr auto deadline = std::chrono::milliseconds(30);
  transfer running = pair.hang(pair.one(0, 0, 64), {.deadline = deadline}).value();
  EXPECT_FALSE(running.wait_for(std::chrono::milliseconds(1)));
  const completion how = pair.end_alone(running);
  ASSERT_FALSE(how.ok());
  EXPECT_EQ(name_of(how.status.error().code()), "timed_out");
  EXPECT_GE(how.finished, deadline);
  EXPECT_EQ(how.done + how.failed, 1u);
  // The connection still works, once the far side does.
  pair.relieve();
  const slice control = pair.one(64, 64, 64);
  completion after = pair.run(op::put, std::span(&control, 1));
  for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
       !after.ok() && after.status.error() == errc::busy && std::chrono::steady_clock::now() < until;) {
    pair.progress();  // until the transport lets go of the region
    after = pair.run(op::put, std::span(&control, 1));
  }
  EXPECT_TRUE(after.ok()) << after.status.error().message();
}

inline void the_default_deadline_holds(const any_rig& rig) {
  hanging_pair pair(rig, {.default_deadline = std::chrono::milliseconds(20)});
  LADING_CONFORMANCE_NEEDS_HANGING(pair);
  transfer running = pair.hang(pair.one(0, 0, 64)).value();
  EXPECT_EQ(pair.end_alone(running).status.error(), errc::timed_out);
}

inline void cancelling_ends_a_transfer(const any_rig& rig) {
  hanging_pair pair(rig);
  LADING_CONFORMANCE_NEEDS_HANGING(pair);
  transfer running = pair.hang(pair.one(0, 0, 64), {.deadline = std::chrono::milliseconds(500)}).value();
  running.cancel();
  const completion how = pair.end_alone(running);
  ASSERT_FALSE(how.ok());
  EXPECT_EQ(name_of(how.status.error().code()), "cancelled");
  running.cancel();  // changes nothing any more
  EXPECT_TRUE(running.ready());
  EXPECT_EQ(running.how().status.error(), errc::cancelled);
}

inline void cancel_races_completion(const any_rig& rig) {
  constexpr std::size_t count = 64, size = 4096;
  const std::size_t rounds = std::max<std::size_t>(rig.many_slices / 500, 20);
  counting_observer observer;
  connected_pair pair(rig, count * size, {.observer = &observer});
  fill(pair.near_memory.bytes(), 61);
  std::vector<slice> slices;
  for (std::size_t i = 0; i < count; ++i) slices.push_back(pair.one(i * size, i * size, size));
  for (std::size_t round = 0; round < rounds; ++round) {
    std::memset(pair.far_memory.bytes().data(), 0, count * size);
    transfer running = pair.near->submit(pair.to_far, op::put, slices).value();
    std::thread cancelling([&] {
      for (std::size_t spin = 0; spin < round * 20; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
      running.cancel();
    });
    const completion how = pair.finish(running);
    cancelling.join();
    ASSERT_EQ(how.done + how.failed, count);
    ASSERT_EQ(how.ok(), how.failed == 0);
    ASSERT_TRUE(how.ok() || how.status.error() == errc::cancelled);
    ASSERT_EQ(how.bytes, how.done * size);
    for (std::size_t i = 0; i < count; ++i) {
      if (!running.succeeded(i)) continue;
      ASSERT_TRUE(same(pair.far_memory.bytes().subspan(i * size, size), pair.near_memory.bytes().subspan(i * size, size)));
    }
  }
  EXPECT_EQ(observer.total(), rounds);
  EXPECT_EQ(observer.other.load(), 0u);
}

inline void a_region_is_busy_while_in_flight(const any_rig& rig) {
  hanging_pair pair(rig);
  LADING_CONFORMANCE_NEEDS_HANGING(pair);
  region extra = pair.near->allocate_region(4096).value();
  slice each = pair.one(0, 0, 64);
  each.local = extra.id();
  transfer running = pair.hang(each, {.deadline = std::chrono::seconds(20)}).value();
  pair.near->progress();
  EXPECT_EQ(extra.deregister().error(), errc::busy);
  EXPECT_EQ(pair.near->release_region(pair.far_import).error(), errc::busy);
  EXPECT_EQ(extra.size(), 4096u) << "a refused deregistration leaves the region as it was";
  pair.relieve();
  EXPECT_TRUE(pair.finish(running).ok());
  EXPECT_TRUE(extra.deregister().has_value());
  EXPECT_TRUE(pair.near->release_region(pair.far_import).has_value());
}

inline void a_region_destroyed_in_flight_outlives_its_transfer(const any_rig& rig) {
  hanging_pair pair(rig);
  LADING_CONFORMANCE_NEEDS_HANGING(pair);
  std::optional<transfer> running;
  {
    const region extra = pair.near->allocate_region(4096).value();
    fill(extra.bytes(), 71);
    slice each = pair.one(0, 0, 4096);
    each.local = extra.id();
    running = pair.hang(each, {.deadline = std::chrono::seconds(20)}).value();
  }
  pair.relieve();
  EXPECT_TRUE(pair.finish(*running).ok());
  guarded_memory expected(4096);
  fill(expected.bytes(), 71);
  EXPECT_TRUE(same(pair.far_memory.bytes().first(4096), expected.bytes()));
}

inline void a_dropped_transfer_runs_on(const any_rig& rig) {
  counting_observer observer;
  hanging_pair pair(rig, {.observer = &observer});
  LADING_CONFORMANCE_NEEDS_HANGING(pair);
  const std::size_t before = observer.total();
  fill(pair.near_memory.bytes(), 73);
  { const transfer dropped = pair.hang(pair.one(0, 0, 1 << 16), {.deadline = std::chrono::seconds(20)}).value(); }
  EXPECT_EQ(observer.total(), before);
  pair.relieve();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (observer.total() == before && std::chrono::steady_clock::now() < until) pair.progress();
  EXPECT_EQ(observer.total(), before + 1);
  EXPECT_TRUE(same(pair.near_memory.bytes(), pair.far_memory.bytes()));
}

inline void too_many_at_once_would_block(const any_rig& rig) {
  hanging_pair pair(rig, {.max_running = 2});
  LADING_CONFORMANCE_NEEDS_HANGING(pair);
  const slice each = pair.one(0, 0, 64);
  std::vector<transfer> running;
  result<transfer> next = pair.hang(each, {.deadline = std::chrono::milliseconds(500)});
  for (; next && running.size() < 3; next = pair.hang(each, {.deadline = std::chrono::milliseconds(500)})) running.push_back(std::move(*next));
  ASSERT_FALSE(next.has_value());
  EXPECT_EQ(next.error(), errc::would_block);
  for (transfer& one : running) one.cancel();
  for (transfer& one : running) pair.end_alone(one);
  pair.relieve();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  auto again = pair.near->submit(pair.to_far, op::put, std::span(&each, 1));
  while (!again && (again.error() == errc::would_block || again.error() == errc::busy) && std::chrono::steady_clock::now() < until) {
    pair.progress();
    again = pair.near->submit(pair.to_far, op::put, std::span(&each, 1));
  }
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(pair.finish(*again).ok());
}

inline void a_slow_receiver_loses_no_notification(const any_rig& rig) {
  constexpr std::size_t count = 40;
  connected_pair pair(rig, 4096, {}, {.max_notifications = 4});
  LADING_CONFORMANCE_NEEDS_NOTIFY(*pair.near);
  std::vector<transfer> running;
  for (std::size_t i = 0; i < count; ++i) running.push_back(pair.near->submit(pair.to_far, op::put, {}, {.notify_tag = i, .notify = true}).value());
  for (int i = 0; i < 100; ++i) pair.progress();
  const auto ended = std::count_if(running.begin(), running.end(), [](const transfer& one) { return one.ready(); });
  EXPECT_LT(ended, static_cast<std::ptrdiff_t>(count)) << "nothing held the sender up";
  std::vector<std::size_t> seen(count, 0);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (std::size_t taken = 0; taken < count && std::chrono::steady_clock::now() < until;) {
    pair.progress();
    for (notification arrived; pair.far->next_notification(arrived); ++taken) {
      ASSERT_LT(arrived.tag, count);
      ++seen[static_cast<std::size_t>(arrived.tag)];
    }
  }
  for (transfer& one : running) EXPECT_TRUE(pair.finish(one).ok());
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1u), static_cast<std::ptrdiff_t>(count)) << "each once";
}

inline void closing_the_endpoint_ends_its_transfers(const any_rig& rig) {
  counting_observer observer;
  hanging_pair pair(rig, {.observer = &observer});
  LADING_CONFORMANCE_NEEDS_HANGING(pair);
  const std::size_t before = observer.total();
  std::vector<transfer> running;
  for (int i = 0; i < 5; ++i) running.push_back(pair.hang(pair.one(0, 0, 64)).value());
  pair.near.reset();
  for (transfer& one : running) {
    ASSERT_TRUE(one.ready());
    EXPECT_EQ(one.wait().status.error(), errc::closed);
  }
  EXPECT_EQ(observer.total(), before + 5);
  EXPECT_TRUE(pair.near_region.deregister().has_value()) << "a region outlives its endpoint";
}

/// What was in flight when the endpoint closed reads and writes this side's memory no more: it is its owner's.
inline void memory_is_left_alone_after_closing(const any_rig& rig) {
  constexpr std::size_t size = 1 << 18;
  for (const op direction : {op::put, op::get}) {
    connected_pair pair(rig, size, {.close_limit = std::chrono::milliseconds(100)});
    if (direction == op::get && !pair.near->capabilities().serves_get) continue;
    fill(pair.near_memory.bytes(), 77);
    std::vector<transfer> running;
    const slice all = pair.one(0, 0, size);
    for (int i = 0; i < 8; ++i) running.push_back(pair.near->submit(pair.to_far, direction, std::span(&all, 1)).value());
    pair.near->progress();
    pair.near.reset();
    for (const transfer& each : running) EXPECT_TRUE(each.ready());
    fill(pair.near_memory.bytes(), 79);
    guarded_memory later(size);
    fill(later.bytes(), 79);
    for (int i = 0; i < 1000; ++i) pair.progress();
    EXPECT_TRUE(same(pair.near_memory.bytes(), later.bytes())) << "the near memory was written";
    for (std::size_t at = 0; at < size; at += 8) {
      ASSERT_FALSE(same(pair.far_memory.bytes().subspan(at, 8), later.bytes().subspan(at, 8))) << "the near memory was read at " << at;
    }
  }
}

/// A get that nobody answers in time: once its memory is let go of, it is the owner's, whenever the answer comes.
inline void a_late_answer_leaves_memory_alone(const any_rig& rig) {
  for (const std::size_t size : {std::size_t{64}, std::size_t{3000}, std::size_t{1} << 18}) {
    connected_pair pair(rig, size);
    LADING_CONFORMANCE_NEEDS_GET(*pair.near);
    fill(pair.far_memory.bytes(), 83);
    const slice all = pair.one(0, 0, size);
    transfer running = pair.near->submit(pair.to_far, op::get, std::span(&all, 1), {.deadline = std::chrono::milliseconds(20)}).value();
    ASSERT_TRUE(running.wait_for(std::chrono::seconds(10))) << "the transfer never ended";
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!running.released() && std::chrono::steady_clock::now() < until) pair.progress();
    ASSERT_TRUE(running.released()) << "the transport never lets go";
    fill(pair.near_memory.bytes(), 85);
    guarded_memory mine(size);
    fill(mine.bytes(), 85);
    for (int i = 0; i < 1000; ++i) pair.progress();
    EXPECT_TRUE(same(pair.near_memory.bytes(), mine.bytes())) << size << " bytes";
  }
}

inline constexpr conformance_case endings_cases[] = {
    {"a_deadline_ends_a_transfer", a_deadline_ends_a_transfer},
    {"the_default_deadline_holds", the_default_deadline_holds},
    {"cancelling_ends_a_transfer", cancelling_ends_a_transfer},
    {"cancel_races_completion", cancel_races_completion},
    {"a_region_is_busy_while_in_flight", a_region_is_busy_while_in_flight},
    {"a_region_destroyed_in_flight_outlives_its_transfer", a_region_destroyed_in_flight_outlives_its_transfer},
    {"a_dropped_transfer_runs_on", a_dropped_transfer_runs_on},
    {"too_many_at_once_would_block", too_many_at_once_would_block},
    {"a_slow_receiver_loses_no_notification", a_slow_receiver_loses_no_notification},
    {"closing_the_endpoint_ends_its_transfers", closing_the_endpoint_ends_its_transfers},
    {"memory_is_left_alone_after_closing", memory_is_left_alone_after_closing},
    {"a_late_answer_leaves_memory_alone", a_late_answer_leaves_memory_alone}};

}  // namespace lading::conformance
