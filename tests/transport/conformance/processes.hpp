// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Peers in other processes are killed and stopped. A rig without spawn_peer skips these.

#include <transport/conformance/peers.hpp>

namespace lading::conformance {

/// A near endpoint, and a far one in a process of its own.
struct process_pair {
  explicit process_pair(const any_rig& rig)
      : size(std::min(rig.largest_slice, std::size_t{8} << 20)),
        memory(size),
        far(rig.spawn_peer(size)),
        near(rig.make({}).value()),
        near_region(near.register_region(memory.bytes()).value()) {
    to_far = near.connect(far->address()).value();
    far_import = near.import_region(to_far, far->descriptor()).value();
  }
  ~process_pair() { EXPECT_TRUE(memory.intact()); }

  [[nodiscard]] slice one(std::uint64_t offset, std::uint64_t length) const { return {near_region.id(), far_import, offset, offset, length}; }
  [[nodiscard]] completion run(const slice& moved, op direction = op::put, std::chrono::nanoseconds deadline = std::chrono::seconds(20)) {
    auto running = near.submit(to_far, direction, std::span(&moved, 1), {.deadline = deadline});
    if (!running) return completion{.status = fail(running.error())};
    return running->wait();
  }

  std::size_t size;
  guarded_memory memory;
  std::unique_ptr<foreign_peer> far;
  any_transport near;
  region near_region;
  peer_id to_far{};
  remote_region_id far_import{};
};

#define LADING_CONFORMANCE_NEEDS_PROCESSES(rig) \
  if (!(rig).spawn_peer) GTEST_SKIP() << "the rig has no peer in another process"

inline void bytes_go_there_and_come_back(const any_rig& rig) {
  LADING_CONFORMANCE_NEEDS_PROCESSES(rig);
  process_pair pair(rig);
  EXPECT_NE(pair.near.peer_identity(pair.to_far).value().process, pair.near.identity().process);
  fill(pair.memory.bytes(), 101);
  ASSERT_TRUE(pair.run(pair.one(0, pair.size)).ok());
  LADING_CONFORMANCE_NEEDS_GET(pair.near);
  std::memset(pair.memory.bytes().data(), 0, pair.size);
  ASSERT_TRUE(pair.run(pair.one(0, pair.size), op::get).ok());
  guarded_memory expected(pair.size);
  fill(expected.bytes(), 101);
  EXPECT_TRUE(same(pair.memory.bytes(), expected.bytes()));
  EXPECT_TRUE(pair.far->intact());
}

inline void killed_before(const any_rig& rig) {
  LADING_CONFORMANCE_NEEDS_PROCESSES(rig);
  process_pair pair(rig);
  pair.far->kill();
  expect_gone(pair.near, pair.run(pair.one(0, 4096), op::put, std::chrono::seconds(2)));
}

inline void killed_during(const any_rig& rig) {
  LADING_CONFORMANCE_NEEDS_PROCESSES(rig);
  process_pair pair(rig);
  std::vector<transfer> running;
  const slice all = pair.one(0, pair.size);
  for (int i = 0; i < 20; ++i) {
    if (auto one = pair.near.submit(pair.to_far, op::put, std::span(&all, 1), {.deadline = std::chrono::seconds(3)}))
      running.push_back(std::move(*one));
  }
  for (int i = 0; i < 3; ++i) pair.near.progress();
  pair.far->kill();
  for (transfer& one : running) {
    ASSERT_TRUE(one.wait_for(std::chrono::seconds(10))) << "a transfer never ended";
    if (!one.how().ok()) expect_gone(pair.near, one.how());
  }
}

inline void killed_after(const any_rig& rig) {
  LADING_CONFORMANCE_NEEDS_PROCESSES(rig);
  process_pair pair(rig);
  ASSERT_TRUE(pair.run(pair.one(0, pair.size)).ok());
  pair.far->kill();
  for (int i = 0; i < 1000; ++i) pair.near.progress();
  expect_gone(pair.near, pair.run(pair.one(0, 4096), op::put, std::chrono::seconds(2)));
  EXPECT_TRUE(pair.near_region.deregister().has_value());
}

inline void stopped_until_the_deadline(const any_rig& rig) {
  LADING_CONFORMANCE_NEEDS_PROCESSES(rig);
  process_pair pair(rig);
  if (pair.near.capabilities().one_sided || rig.shares_regions) GTEST_SKIP() << "one-sided: a stopped target does not hold a transfer up";
  pair.far->stop();
  constexpr auto deadline = std::chrono::milliseconds(300);
  const slice all = pair.one(0, pair.size);
  transfer running = pair.near.submit(pair.to_far, op::put, std::span(&all, 1), {.deadline = deadline}).value();
  ASSERT_TRUE(running.wait_for(std::chrono::seconds(10)));
  ASSERT_FALSE(running.how().ok());
  const errc code = running.how().status.error().code();
  EXPECT_TRUE(code == errc::timed_out || code == errc::peer_stalled) << running.how().status.error().message();
  pair.far->resume();
}

/// Puts after the peer was stopped and goes on again, over a new connection where the old one was given up, and looks at what arrived.
inline void expect_to_arrive_again(process_pair& pair) {
  const std::size_t half = pair.size / 2;  // what was late may still arrive in the first half
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  completion how;
  fill(pair.memory.bytes().subspan(half), 103);
  do {
    pair.near.progress();
    how = pair.run(pair.one(half, half), op::put, std::chrono::seconds(5));
    if (how.ok()) break;
    const errc code = how.status.error().code();
    if (code == errc::busy || code == errc::timed_out) continue;  // busy: until the transport lets go of the region
    ASSERT_TRUE(code == errc::peer_stalled || code == errc::peer_lost) << how.status.error().message();
    pair.near.disconnect(pair.to_far);
    pair.to_far = pair.near.connect(pair.far->address()).value();
    pair.far_import = pair.near.import_region(pair.to_far, pair.far->descriptor()).value();
  } while (std::chrono::steady_clock::now() < until);
  ASSERT_TRUE(how.ok()) << how.status.error().message();
  EXPECT_TRUE(pair.far->intact());
  if (!pair.near.capabilities().serves_get) return;
  std::memset(pair.memory.bytes().data(), 0, pair.size);
  ASSERT_TRUE(pair.run(pair.one(half, half), op::get).ok());
  guarded_memory expected(half);
  fill(expected.bytes(), 103);
  EXPECT_TRUE(same(pair.memory.bytes().subspan(half), expected.bytes()));
}

/// How a transfer with a deadline of its own may end while its peer is stopped: in time.
inline void expect_stopped(const any_rig& rig, const process_pair& pair, transfer& running) {
  ASSERT_TRUE(running.wait_for(std::chrono::seconds(10))) << "a transfer never ended";
  if (running.how().ok()) return;
  const errc code = running.how().status.error().code();
  EXPECT_FALSE(pair.near.capabilities().one_sided || rig.shares_regions) << running.how().status.error().message();
  EXPECT_TRUE(code == errc::timed_out || code == errc::peer_stalled) << running.how().status.error().message();
}

inline void stopped_during(const any_rig& rig) {
  LADING_CONFORMANCE_NEEDS_PROCESSES(rig);
  process_pair pair(rig);
  const bool gets = pair.near.capabilities().serves_get;
  const bool alone = pair.near.capabilities().one_sided || rig.shares_regions;
  const slice first_half = pair.one(0, pair.size / 2);
  const std::chrono::nanoseconds deadline = alone ? std::chrono::seconds(20) : std::chrono::milliseconds(300);
  std::vector<transfer> running;
  for (int i = 0; i < 20; ++i) {
    if (auto one = pair.near.submit(pair.to_far, gets && i % 2 != 0 ? op::get : op::put, std::span(&first_half, 1), {.deadline = deadline}))
      running.push_back(std::move(*one));
  }
  EXPECT_EQ(running.size(), 20u);
  for (int i = 0; i < 3; ++i) pair.near.progress();
  pair.far->stop();
  for (transfer& one : running) expect_stopped(rig, pair, one);
  pair.far->resume();
  expect_to_arrive_again(pair);
}

inline void stopped_after(const any_rig& rig) {
  LADING_CONFORMANCE_NEEDS_PROCESSES(rig);
  process_pair pair(rig);
  ASSERT_TRUE(pair.run(pair.one(0, pair.size)).ok());
  pair.far->stop();
  const bool alone = pair.near.capabilities().one_sided || rig.shares_regions;
  const slice first_half = pair.one(0, pair.size / 2);
  for (const op direction : {op::put, op::get}) {
    if (direction == op::get && !pair.near.capabilities().serves_get) continue;
    const std::chrono::nanoseconds deadline = alone ? std::chrono::seconds(20) : std::chrono::milliseconds(100);
    auto later = pair.near.submit(pair.to_far, direction, std::span(&first_half, 1), {.deadline = deadline});
    if (!later) {  // what the one before has left
      EXPECT_TRUE(direction == op::get && (later.error() == errc::busy || later.error() == errc::peer_stalled)) << later.error().message();
      continue;
    }
    expect_stopped(rig, pair, *later);
    EXPECT_EQ(later->ready() && later->how().ok(), alone) << "a stopped peer serves nothing; hardware and shared memory do";
  }
  pair.far->resume();
  expect_to_arrive_again(pair);
}

inline constexpr conformance_case processes_cases[] = {{"bytes_go_there_and_come_back", bytes_go_there_and_come_back},
                                                       {"killed_before", killed_before},
                                                       {"killed_during", killed_during},
                                                       {"killed_after", killed_after},
                                                       {"stopped_until_the_deadline", stopped_until_the_deadline},
                                                       {"stopped_during", stopped_during},
                                                       {"stopped_after", stopped_after}};

}  // namespace lading::conformance
