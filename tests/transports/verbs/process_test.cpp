// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A real peer's process is killed and stopped.

#include "rig.hpp"

namespace {
using namespace lading;
using conformance::fill;

/// Started as a peer, this program is one, and runs no test. Asked 'i', it answers whether the guards are intact; 'd' deregisters the region; 'r'
/// tells whether the hardware has refused anything.
[[maybe_unused]] const bool is_no_peer = [] {
  const auto words = peer_process::words();
  if (words.size() != 3 || words[1] != "--verbs-peer") return true;
  auto made = verbs::create();
  conformance::guarded_memory memory(std::stoul(words[2]));
  auto registered = made ? made->register_region(memory.bytes()) : fail(made.error());
  if (!registered) std::_Exit(2);
  std::_Exit(peer_process::serve(made, *registered, [&](char letter) {
    return (letter == 'i' && memory.intact()) || (letter == 'd' && registered->deregister().has_value()) ||
           (letter == 'r' && made->refusals().count != 0);
  }));
}();

class verbs_processes : public verbs_test::on_device {};

/// This side of a connection to a peer in another process.
struct near_side {
  static constexpr std::size_t size = std::size_t{1} << 20;

  explicit near_side(const verbs_options& options = {})
      : memory(size), far({"--verbs-peer", std::to_string(size)}), near(verbs::create(options).value()) {
    here = near.register_region(memory.bytes()).value();
    peer = near.connect(far.address()).value();
    there = near.import_region(peer, far.descriptor()).value();
  }
  ~near_side() { EXPECT_TRUE(memory.intact()); }
  [[nodiscard]] slice part(std::size_t index, std::size_t bytes) const {
    return {here.id(), there, index * bytes % size, index * bytes % size, bytes};
  }
  [[nodiscard]] std::vector<transfer> start(std::size_t count, std::size_t bytes) {
    std::vector<transfer> running;
    for (std::size_t i = 0; i < count; ++i) {
      const slice each = part(i, bytes);
      if (auto one = near.submit(peer, i % 2 == 0 ? op::put : op::get, std::span(&each, 1))) running.push_back(std::move(*one));
    }
    return running;
  }

  conformance::guarded_memory memory;
  peer_process::process far;
  verbs near;
  region here;
  peer_id peer{};
  remote_region_id there{};
};

TEST_F(verbs_processes, killed_at_any_moment_every_transfer_ends) {
  const int rounds = conformance::quick ? 2 : 4;
  std::optional<std::size_t> descriptors;
  std::chrono::nanoseconds longest{0};
  for (int round = 0; round < rounds; ++round) {
    {
      near_side side({.ack_timeout = 12, .retry_count = 3});
      std::vector<transfer> running = side.start(64, std::size_t{1} << (10 + 3 * round));
      for (int i = 0; i < round * 10; ++i) side.near.progress();
      side.far.kill();
      const auto killed = std::chrono::steady_clock::now();
      for (transfer& each : running) {
        ASSERT_TRUE(each.wait_for(std::chrono::seconds(20))) << "a transfer never ended";
        if (each.how().ok()) continue;
        EXPECT_EQ(name_of(each.how().status.error().code()), "peer_lost") << each.how().status.error().message();
        longest = std::max<std::chrono::nanoseconds>(longest, std::chrono::steady_clock::now() - killed);
      }
      auto late = side.near.submit(side.peer, op::put, {});
      for (const auto until = killed + std::chrono::seconds(20); late && std::chrono::steady_clock::now() < until;) {
        side.near.progress();
        late = side.near.submit(side.peer, op::put, {});
      }
      ASSERT_FALSE(late.has_value()) << "nobody noticed the loss";
      EXPECT_EQ(late.error(), errc::peer_lost);
      longest = std::max<std::chrono::nanoseconds>(longest, std::chrono::steady_clock::now() - killed);
      side.near.disconnect(side.peer);
      EXPECT_TRUE(side.here.deregister().has_value());
    }
    if (round == rounds / 2 - 1) descriptors = conformance::open_descriptors();
  }
  if (descriptors) {
    EXPECT_LE(*conformance::open_descriptors(), *descriptors + 1);
  }
  std::printf("figure: peer killed -> every transfer ended, and the loss known: %.0f ms at the longest of %d\n",
              static_cast<double>(longest.count()) * 1e-6, rounds);
}

TEST_F(verbs_processes, a_stopped_peer_is_written_and_read_all_the_same) {
  near_side side;
  fill(side.memory.bytes(), 5);
  side.far.stop();
  for (std::size_t i = 0; i < 16; ++i) {
    const slice each = side.part(i, side.size / 16);
    const completion how = side.near.submit(side.peer, op::put, std::span(&each, 1)).value().wait();
    ASSERT_TRUE(how.ok()) << how.status.error().message();
  }
  std::memset(side.memory.bytes().data(), 0, side.size);
  const slice all = side.part(0, side.size);
  const completion how = side.near.submit(side.peer, op::get, std::span(&all, 1)).value().wait();
  ASSERT_TRUE(how.ok()) << how.status.error().message();
  conformance::guarded_memory expected(side.size);
  fill(expected.bytes(), 5);
  EXPECT_TRUE(conformance::same(side.memory.bytes(), expected.bytes()));
  side.far.resume();
  EXPECT_TRUE(side.far.intact());
}

TEST_F(verbs_processes, a_peer_that_stays_stopped_takes_no_notification_and_is_stalled) {
  near_side side({.heartbeat = std::chrono::milliseconds(50), .stall_limit = std::chrono::milliseconds(500)});
  EXPECT_TRUE(side.near.submit(side.peer, op::put, {}, {.notify = true}).value().wait().ok());
  side.far.stop();
  std::vector<transfer> running;
  for (std::uint64_t i = 0; i < 30; ++i) running.push_back(side.near.submit(side.peer, op::put, {}, {.notify_tag = i, .notify = true}).value());
  for (transfer& each : running) {
    ASSERT_TRUE(each.wait_for(std::chrono::seconds(20)));
    ASSERT_FALSE(each.how().ok());
    EXPECT_EQ(name_of(each.how().status.error().code()), "peer_stalled");
  }
  side.far.resume();
  side.near.disconnect(side.peer);
  side.peer = side.near.connect(side.far.address()).value();
  EXPECT_TRUE(side.near.submit(side.peer, op::put, {}, {.notify = true}).value().wait().ok());
}

TEST_F(verbs_processes, a_notification_to_a_stopped_peer_ends_at_its_deadline) {
  near_side side;
  side.far.stop();
  const slice each = side.part(0, 4096);
  transfer running = side.near.submit(side.peer, op::put, std::span(&each, 1), {.deadline = std::chrono::milliseconds(100), .notify = true}).value();
  ASSERT_TRUE(running.wait_for(std::chrono::seconds(20)));
  ASSERT_FALSE(running.how().ok());
  EXPECT_EQ(running.how().status.error(), errc::timed_out);
  EXPECT_EQ(running.how().done, 1u) << "the bytes did arrive";
  side.far.resume();
  EXPECT_TRUE(side.near.submit(side.peer, op::put, {}, {.notify = true}).value().wait().ok());
}

TEST_F(verbs_processes, a_range_deregistered_over_there_is_refused_on_both_sides) {
  near_side side;
  const slice all = side.part(0, side.size), small = side.part(3, 100);
  ASSERT_TRUE(side.near.submit(side.peer, op::put, std::span(&all, 1)).value().wait().ok());
  EXPECT_EQ(side.far.ask('r'), 'n');
  ASSERT_EQ(side.far.ask('d'), 'y');
  for (const slice& each : {all, small}) {
    for (const op direction : {op::put, op::get}) {
      const completion how = side.near.submit(side.peer, direction, std::span(&each, 1)).value().wait();
      ASSERT_FALSE(how.ok());
      EXPECT_EQ(how.status.error(), errc::not_registered) << how.status.error().message();
    }
  }
  EXPECT_EQ(side.far.ask('r'), 'y');
  EXPECT_TRUE(side.far.intact());
}

}  // namespace
