// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Peers come and go.

#include <transport/conformance/endings.hpp>

#if __has_include(<poll.h>)
#include <poll.h>
#endif

namespace lading::conformance {

/// What a transfer may end with when its peer has gone.
inline void expect_gone(const any_transport& transport, const completion& how) {
  ASSERT_FALSE(how.ok());
  const errc code = how.status.error().code();
  const bool late = code == errc::timed_out && !transport.capabilities().detects_peer_death;
  EXPECT_TRUE(code == errc::peer_lost || code == errc::peer_stalled || late) << how.status.error().message();
}

inline void who_a_peer_is(const any_rig& rig) {
  connected_pair pair(rig, 64);
  EXPECT_EQ(pair.near->peer_identity(pair.to_far).value(), pair.far->identity());
  EXPECT_EQ(pair.near->identity().process, pair.far->identity().process);
  EXPECT_NE(pair.near->identity().endpoint, pair.far->identity().endpoint);
  EXPECT_FALSE(pair.near->peer_identity(peer_id{}).has_value());
}

inline void closed_before(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  pair.far.reset();
  const slice each = pair.one(0, 0, 64);
  expect_gone(*pair.near, pair.run(op::put, std::span(&each, 1), {.deadline = std::chrono::seconds(2)}));
  EXPECT_TRUE(pair.near_region.deregister().has_value());
}

inline void closed_during(const any_rig& rig) {
  hanging_pair pair(rig);
  LADING_CONFORMANCE_NEEDS_HANGING(pair);
  std::vector<transfer> running;
  for (int i = 0; i < 10; ++i) running.push_back(pair.hang(pair.one(0, 0, 1 << 16), {.deadline = std::chrono::seconds(2)}).value());
  pair.far.reset();
  for (transfer& one : running) expect_gone(*pair.near, pair.end_alone(one));
}

inline void closed_after(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  fill(pair.near_memory.bytes(), 81);
  const slice all = pair.one(0, 0, 4096);
  ASSERT_TRUE(pair.run(op::put, std::span(&all, 1)).ok());
  pair.far.reset();
  for (int i = 0; i < 100; ++i) pair.near->progress();
  EXPECT_TRUE(same(pair.near_memory.bytes(), pair.far_memory.bytes()));
  // Another peer is not concerned.
  auto third = pair.rig.make({}).value();
  const region third_region = third.allocate_region(4096).value();
  const peer_id to_third = connect(*pair.near, third);
  const slice each{pair.near_region.id(), pair.near->import_region(to_third, third.export_region(third_region).value()).value(), 0, 0, 4096};
  transfer running = pair.near->submit(to_third, op::put, std::span(&each, 1)).value();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!running.ready() && std::chrono::steady_clock::now() < until) {
    pair.near->progress();
    third.progress();
  }
  ASSERT_TRUE(running.ready() && running.how().ok());
  EXPECT_TRUE(same(pair.near_memory.bytes(), third_region.bytes()));
}

inline void nobody_at_the_address(const any_rig& rig) {
  auto near = rig.make({}).value();
  std::vector<std::byte> address;
  {
    auto gone = rig.make({}).value();
    address = gone.address().value();
  }
  const auto peer = near.connect(address, std::chrono::milliseconds(200));
  if (peer) {
    EXPECT_FALSE(near.capabilities().detects_peer_death);
  } else {
    const errc code = peer.error().code();
    EXPECT_TRUE(code == errc::peer_lost || code == errc::timed_out) << peer.error().message();
  }
}

inline void disconnecting_ends_transfers(const any_rig& rig) {
  hanging_pair pair(rig);
  LADING_CONFORMANCE_NEEDS_HANGING(pair);
  const slice each = pair.one(0, 0, 64);
  transfer running = pair.hang(each, {.deadline = std::chrono::seconds(20)}).value();
  pair.near->disconnect(pair.to_far);
  const completion how = pair.end_alone(running);
  ASSERT_FALSE(how.ok());
  EXPECT_EQ(name_of(how.status.error().code()), "closed");
  EXPECT_EQ(pair.near->submit(pair.to_far, op::put, std::span(&each, 1)).error(), errc::closed);
  EXPECT_EQ(pair.near->import_region(pair.to_far, pair.far->export_region(pair.far_region).value()).error(), errc::closed);
  pair.near->disconnect(pair.to_far);  // twice is once
  pair.near->disconnect(peer_id{});
}

inline void reconnecting(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  for (std::uint64_t round = 0; round < 10; ++round) {
    const slice before = pair.one(0, 0, 4096);
    const peer_id old_peer = pair.to_far;
    pair.near->disconnect(pair.to_far);
    pair.to_far = connect(*pair.near, *pair.far);
    EXPECT_NE(pair.to_far, old_peer);
    EXPECT_FALSE(pair.near->submit(pair.to_far, op::put, std::span(&before, 1)).has_value()) << "an import does not outlive its connection";
    pair.far_import = pair.near->import_region(pair.to_far, pair.far->export_region(pair.far_region).value()).value();
    fill(pair.near_memory.bytes(), 90 + round);
    const slice after = pair.one(0, 0, 4096);
    ASSERT_TRUE(pair.run(op::put, std::span(&after, 1)).ok());
    ASSERT_TRUE(same(pair.near_memory.bytes(), pair.far_memory.bytes()));
  }
}

inline void connecting_again_and_again_stays_flat(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  const std::vector<std::byte> address = pair.far->address().value(), descriptor = pair.far->export_region(pair.far_region).value();
  const auto once = [&](std::size_t i) {
    const auto peer = pair.near->connect(address);
    ASSERT_TRUE(peer.has_value()) << i << ": " << peer.error().message();
    const slice each{pair.near_region.id(), pair.near->import_region(*peer, descriptor).value(), 0, 0, 64};
    transfer running = pair.near->submit(*peer, op::put, std::span(&each, 1)).value();
    ASSERT_TRUE(pair.finish(running).ok());
    pair.near->disconnect(*peer);
    pair.progress();
  };
  const auto cycle = [&](std::size_t times) {
    std::atomic<bool> done{false};
    std::thread other([&] {
      while (!done.load()) {
        if (pair.far->progress() == 0) std::this_thread::yield();
      }
    });
    for (std::size_t i = 0; i < times && !testing::Test::HasFatalFailure(); ++i) once(i);
    done.store(true);
    other.join();
  };
  const std::size_t times = rig.connection_cycles;
  cycle(times / 10 + 1);
  const auto descriptors = open_descriptors(), memory = resident_bytes();
  cycle(times);
  if (!descriptors || !memory) GTEST_SKIP() << "this system does not tell what a process has open";
  EXPECT_LE(*open_descriptors(), *descriptors + 2);
  // Sanitizers keep freed memory for a while.
  EXPECT_LE(*resident_bytes(), *memory + (sanitized ? std::size_t{64} << 20 : std::size_t{2} << 20));
}

inline void the_event_descriptor_wakes(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  LADING_CONFORMANCE_NEEDS_NOTIFY(*pair.near);
#if __has_include(<poll.h>)
  const int fd = pair.far->event_fd();
  if (fd < 0) GTEST_SKIP() << "the transport has no event descriptor";
  const auto readable = [&](int milliseconds) {
    ::pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, milliseconds) == 1;
  };
  for (int i = 0; i < 10; ++i) {
    for (int quiet = 0; quiet < 100 && (pair.far->progress() != 0 || readable(0)); ++quiet) {}
    ASSERT_FALSE(readable(0)) << "nothing happens, but the descriptor is readable";
    transfer running = pair.near->submit(pair.to_far, op::put, {}, {.notify_tag = 3, .notify = true}).value();
    std::thread driving([&] { running.wait(); });
    notification arrived;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    bool got = false;
    while (!got && std::chrono::steady_clock::now() < until) {
      EXPECT_TRUE(readable(10'000)) << "something arrives, but the descriptor is not readable";
      while (pair.far->progress() != 0) {}
      got = pair.far->next_notification(arrived);
    }
    while (!running.ready()) pair.far->progress();
    driving.join();
    ASSERT_TRUE(got);
  }
#else
  GTEST_SKIP() << "this system has no poll";
#endif
}

inline constexpr conformance_case peers_cases[] = {{"who_a_peer_is", who_a_peer_is},
                                                   {"closed_before", closed_before},
                                                   {"closed_during", closed_during},
                                                   {"closed_after", closed_after},
                                                   {"nobody_at_the_address", nobody_at_the_address},
                                                   {"disconnecting_ends_transfers", disconnecting_ends_transfers},
                                                   {"reconnecting", reconnecting},
                                                   {"connecting_again_and_again_stays_flat", connecting_again_and_again_stays_flat},
                                                   {"the_event_descriptor_wakes", the_event_descriptor_wakes}};

}  // namespace lading::conformance
