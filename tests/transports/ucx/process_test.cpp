// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A real peer's process is killed and stopped, at every moment.

#if defined(__linux__)

#include <fstream>

#include <ucs/config/global_opts.h>

#include "rig.hpp"

namespace {
using namespace lading;
using conformance::fill;

/// Started as a peer, this program is one, and runs no test.
[[maybe_unused]] const bool is_no_peer = [] {
  ucs_global_opts_set_value("LOG_LEVEL", "fatal");  // UCX would tell of every peer that the tests kill
  std::ifstream file("/proc/self/cmdline");
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  if (words.size() != 4 || words[1] != "--ucx-peer") return true;
  std::_Exit(ucx_test::peer_main(words[2].c_str(), std::stoul(words[3])));
}();

template <class Lanes>
class ucx_processes : public testing::Test {};
using all_lanes = testing::Types<ucx_test::tcp, ucx_test::shared_memory>;
TYPED_TEST_SUITE(ucx_processes, all_lanes);

/// This side of a connection to a peer in another process.
template <class Lanes>
struct near_side {
  static constexpr std::size_t size = std::size_t{1} << 20;

  explicit near_side(ucx_options wanted = {}) : memory(size), far(Lanes::lanes, size) {
    near.emplace(
        ucx_test::make<Lanes>({}, [&](ucx_options& all) { all.stall_limit = wanted.stall_limit, all.heartbeat = wanted.heartbeat; }).value());
    here = near->register_region(memory.bytes()).value();
    peer = near->connect(far.address()).value();
    there = near->import_region(peer, far.descriptor()).value();
  }
  ~near_side() { EXPECT_TRUE(memory.intact()); }
  [[nodiscard]] slice part(std::size_t index, std::size_t bytes) const {
    return {here.id(), there, index * bytes % size, index * bytes % size, bytes};
  }
  [[nodiscard]] std::vector<transfer> start(std::size_t count, std::size_t bytes, std::chrono::nanoseconds deadline) {
    std::vector<transfer> running;
    for (std::size_t i = 0; i < count; ++i) {
      const slice each = part(i, bytes);
      if (auto one = near->submit(peer, i % 2 == 0 ? op::put : op::get, std::span(&each, 1), {.deadline = deadline}))
        running.push_back(std::move(*one));
    }
    return running;
  }

  conformance::guarded_memory memory;
  ucx_test::process far;
  std::optional<ucx> near;
  region here;
  peer_id peer{};
  remote_region_id there{};
};

void expect_ended(std::vector<transfer>& running) {
  for (transfer& each : running) {
    ASSERT_TRUE(each.wait_for(std::chrono::seconds(20))) << "a transfer never ended";
    if (each.how().ok()) continue;
    const errc code = each.how().status.error().code();
    EXPECT_TRUE(code == errc::peer_lost || code == errc::peer_stalled || code == errc::timed_out) << each.how().status.error().message();
  }
}

TYPED_TEST(ucx_processes, killed_at_any_moment_every_transfer_ends) {
  std::optional<std::size_t> descriptors;
  for (int round = 0; round < 12; ++round) {
    {
      near_side<TypeParam> side;
      std::vector<transfer> running = side.start(64, std::size_t{1} << (10 + round % 8), std::chrono::seconds(30));
      for (int i = 0; i < round * 5; ++i) side.near->progress();
      side.far.kill();
      expect_ended(running);
      const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      auto late = side.near->submit(side.peer, op::put, {});
      while (late && std::chrono::steady_clock::now() < until) {
        side.near->progress();
        late = side.near->submit(side.peer, op::put, {});
      }
      ASSERT_FALSE(late.has_value()) << "nobody noticed the loss";
      EXPECT_EQ(late.error(), errc::peer_lost);
      side.near->disconnect(side.peer);
      EXPECT_TRUE(side.here.deregister().has_value() || !running.empty());
    }
    if (round == 1) descriptors = conformance::open_descriptors();
  }
  if (descriptors) {
    EXPECT_LE(*conformance::open_descriptors(), *descriptors + 1);
  }
}

TYPED_TEST(ucx_processes, stopped_at_any_moment_every_transfer_ends_and_later_ones_arrive) {
  for (int round = 0; round < 6; ++round) {
    near_side<TypeParam> side;
    fill(side.memory.bytes(), static_cast<std::uint64_t>(round) + 1);
    for (int i = 0; i < round * 3; ++i) side.near->progress();
    side.far.stop();
    std::vector<transfer> running = side.start(40, std::size_t{1} << (10 + 2 * (round % 5)), std::chrono::milliseconds(100));
    expect_ended(running);
    side.far.resume();
    const slice all = side.part(0, side.size);
    completion how{.status = fail(errc::busy)};
    for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20); std::chrono::steady_clock::now() < until;) {
      side.near->progress();  // until the transport lets go of the region
      auto one = side.near->submit(side.peer, op::put, std::span(&all, 1));
      if (!one && one.error() == errc::busy) continue;
      ASSERT_TRUE(one.has_value()) << one.error().message();
      how = one->wait();
      break;
    }
    EXPECT_TRUE(how.ok()) << how.status.error().message();
    EXPECT_TRUE(side.far.intact());
  }
}

TYPED_TEST(ucx_processes, a_peer_that_stays_stopped_is_stalled) {
  ucx_options quick;
  quick.heartbeat = std::chrono::milliseconds(50);
  quick.stall_limit = std::chrono::milliseconds(500);
  near_side<TypeParam> side(quick);
  side.far.stop();
  std::vector<transfer> running = side.start(10, 1 << 16, std::chrono::seconds(30));
  for (transfer& each : running) {
    ASSERT_TRUE(each.wait_for(std::chrono::seconds(20)));
    ASSERT_FALSE(each.how().ok());
    EXPECT_EQ(name_of(each.how().status.error().code()), "peer_stalled");
  }
  EXPECT_EQ(side.near->submit(side.peer, op::put, {}).error(), errc::peer_stalled);
  side.far.resume();
  // A new connection to the same peer works.
  side.near->disconnect(side.peer);
  side.peer = side.near->connect(side.far.address()).value();
  side.there = side.near->import_region(side.peer, side.far.descriptor()).value();
  const slice all = side.part(0, side.size);
  auto again = side.near->submit(side.peer, op::put, std::span(&all, 1));
  ASSERT_TRUE(again.has_value()) << again.error().message();
  EXPECT_TRUE(again->wait().ok());
  EXPECT_TRUE(side.far.intact());
}

TYPED_TEST(ucx_processes, a_range_deregistered_over_there_is_refused_on_both_sides) {
  near_side<TypeParam> side;
  const slice all = side.part(0, side.size), small = side.part(3, 100);
  ASSERT_TRUE(side.near->submit(side.peer, op::put, std::span(&all, 1)).value().wait().ok());
  EXPECT_EQ(side.far.ask('r'), 'n');
  ASSERT_EQ(side.far.ask('d'), 'y');
  for (const slice& each : {all, small}) {
    for (const op direction : {op::put, op::get}) {
      const completion how = side.near->submit(side.peer, direction, std::span(&each, 1)).value().wait();
      ASSERT_FALSE(how.ok());
      EXPECT_EQ(how.status.error(), errc::not_registered);
    }
  }
  EXPECT_EQ(side.far.ask('r'), 'y');
  EXPECT_TRUE(side.far.intact());
}

}  // namespace

#endif
