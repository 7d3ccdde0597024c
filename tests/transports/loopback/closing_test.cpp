// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// What a peer that has closed, or whose queue is full, means for who is still sending.

#include <lading/transports/loopback.hpp>

#include <optional>
#include <thread>

#include <gtest/gtest.h>

#if defined(__linux__)
#include <poll.h>
#endif

namespace lading {
namespace {

using namespace std::chrono_literals;

/// Two endpoints; the target's memory is the test's own, so that it is there after its endpoint and region are gone.
struct pair_of {
  explicit pair_of(const loopback_options& options, std::size_t size = 1 << 20) : theirs(size) {
    near.emplace(loopback::create(options).value());
    far.emplace(loopback::create(options).value());
    source = near->allocate_region(size).value();
    std::memset(source.data(), 0x11, size);
    target.emplace(far->register_region(theirs).value());
    peer = near->connect(far->address().value()).value();
    imported = near->import_region(peer, far->export_region(*target).value()).value();
    all = {source.id(), imported, 0, 0, size};
  }
  [[nodiscard]] transfer move(op direction, const submit_options& options = {}) {
    return near->submit(peer, direction, std::span(&all, 1), options).value();
  }

  std::vector<std::byte> theirs;
  std::optional<loopback> near, far;
  region source;
  std::optional<region> target;
  peer_id peer{};
  remote_region_id imported{};
  slice all{};
};

loopback_options queueing(worker_pool& pool) {
  loopback_options options;
  options.workers = 2;
  options.inline_limit = 0;
  options.pool = &pool;
  options.endpoint.close_limit = 1ms;  // of real time, for which a closing endpoint waits in vain here
  return options;
}

TEST(loopback_closing, nothing_is_copied_after_the_peer_has_closed) {
  for (const op direction : {op::put, op::get}) {
    worker_pool pool(1);
    pair_of both(queueing(pool));
    transfer control = both.move(direction);
    EXPECT_TRUE(control.wait().ok());
    std::fill(both.theirs.begin(), both.theirs.end(), std::byte{0x22});
    std::memset(both.source.data(), 0x11, both.source.size());
    transfer running = both.move(direction);
    both.far.reset();  // gives up waiting for the batch, which nobody copies
    const completion how = running.wait();
    EXPECT_EQ(how.status.error(), errc::peer_lost);
    EXPECT_EQ(how.failed, 1u);
    EXPECT_FALSE(how.quarantined);
    EXPECT_EQ(std::count(both.theirs.begin(), both.theirs.end(), std::byte{0x22}), std::ptrdiff_t{1} << 20) << "put into memory that is its owner's";
    EXPECT_EQ(both.source.data()[0], std::byte{0x11}) << "got from memory that is its owner's";
    EXPECT_TRUE(both.target->deregister().has_value());
  }
}

TEST(loopback_closing, a_batch_that_was_begun_ends_where_it_is) {
  worker_pool pool(1);
  manual_clock clock;  // a round is as many bytes
  constexpr std::size_t size = 80 << 20, slice_size = 1 << 20;
  loopback_options options = queueing(pool);
  options.endpoint.clock = clock.source();
  pair_of both(options, size);
  std::vector<slice> slices;
  for (std::size_t at = 0; at < size; at += slice_size) slices.push_back({both.source.id(), both.imported, at, at, slice_size});
  transfer running = both.near->submit(both.peer, op::put, slices).value();
  both.near->progress();
  both.far.reset();
  const completion how = running.wait();
  EXPECT_EQ(how.status.error(), errc::peer_lost);
  EXPECT_GT(how.done, 0u);
  EXPECT_EQ(how.done + how.failed, slices.size());
  EXPECT_EQ(how.bytes, how.done * slice_size);
  EXPECT_EQ(both.theirs[size - 1], std::byte{0});
}

TEST(loopback_closing, a_peer_that_is_this_endpoint_is_closed_and_not_lost) {
  worker_pool pool(1);
  std::optional<loopback> self(loopback::create(queueing(pool)).value());
  const region memory = self->allocate_region(1 << 20).value();
  const peer_id peer = self->connect(self->address().value()).value();
  const slice half{memory.id(), self->import_region(peer, self->export_region(memory).value()).value(), 0, 1 << 19, 1 << 19};
  EXPECT_TRUE(self->submit(peer, op::put, std::span(&half, 1)).value().wait().ok());
  const transfer running = self->submit(peer, op::put, std::span(&half, 1)).value();
  self.reset();
  ASSERT_TRUE(running.ready());
  EXPECT_EQ(running.how().status.error(), errc::closed);
}

// The owner writes its memory as soon as its endpoint has closed, while a peer is still copying what it can: the thread sanitizer sees any overlap.
TEST(loopback_closing, the_memory_is_its_owner_s_once_close_returns) {
  worker_pool pool(1);
  for (const bool queued : {false, true}) {
    loopback_options options = queueing(pool);
    if (!queued) options.inline_limit = ~std::uint64_t{0};
    for (int round = 0; round < 50; ++round) {
      pair_of both(options, 64 << 10);
      std::atomic<bool> sending{false}, stop{false};
      std::thread sender([&] {
        for (bool first = true; !stop; first = false) {
          auto running = both.near->submit(both.peer, op::put, std::span(&both.all, 1));
          if (running) running->wait();
          if (first) sending = true;
        }
      });
      while (!sending) std::this_thread::yield();
      both.far.reset();
      std::fill(both.theirs.begin(), both.theirs.end(), std::byte{0x22});
      EXPECT_EQ(std::count(both.theirs.begin(), both.theirs.end(), std::byte{0x22}), 64 << 10);
      stop = true;
      sender.join();
      EXPECT_EQ(both.near->submit(both.peer, op::put, std::span(&both.all, 1)).error(), errc::peer_lost);
    }
  }
}

#if defined(__linux__)

bool readable(int fd) {
  ::pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, 0) == 1;
}

TEST(loopback_notifying, room_in_a_full_queue_wakes_the_sender) {
  loopback_options options;
  options.endpoint.max_notifications = 1;
  pair_of both(options, 64);
  const int fd = both.near->event_fd();
  const auto settle = [&] {
    while (both.near->progress() != 0) {}
    ASSERT_FALSE(readable(fd));
  };
  EXPECT_TRUE(both.move(op::put, {.notify_tag = 1, .notify = true}).ready());
  transfer second = both.move(op::put, {.notify_tag = 2, .notify = true}), third = both.move(op::put, {.notify_tag = 3, .notify = true});
  settle();
  EXPECT_FALSE(second.ready());
  notification taken;
  ASSERT_TRUE(both.far->next_notification(taken));
  EXPECT_EQ(taken.tag, 1u);
  EXPECT_TRUE(readable(fd)) << "the sender sleeps, and its peer has room";
  both.near->progress();
  EXPECT_TRUE(second.ready());
  EXPECT_FALSE(third.ready());
  settle();
  ASSERT_TRUE(both.far->next_notification(taken));
  EXPECT_EQ(taken.tag, 2u);
  EXPECT_TRUE(readable(fd));
  both.near->progress();
  EXPECT_TRUE(third.ready());
  settle();
  ASSERT_TRUE(both.far->next_notification(taken));
  EXPECT_EQ(taken.tag, 3u);
  EXPECT_FALSE(readable(fd)) << "nobody waits";
  EXPECT_FALSE(both.far->next_notification(taken));
}

TEST(loopback_notifying, senders_that_are_gone_are_not_woken) {
  loopback_options options;
  options.endpoint.max_notifications = 1;
  auto far = loopback::create(options).value();
  const region target = far.allocate_region(64).value();
  for (int i = 0; i < 5; ++i) {
    auto near = loopback::create(options).value();
    const peer_id peer = near.connect(far.address().value()).value();
    auto first = near.submit(peer, op::put, {}, {.deadline = 1ns, .notify_tag = 1, .notify = true}).value();
    auto second = near.submit(peer, op::put, {}, {.deadline = 1ns, .notify_tag = 2, .notify = true}).value();
    static_cast<void>(near.event_fd());
    second.wait();
    EXPECT_EQ(second.how().status.error(), errc::timed_out);
  }
  notification taken;
  EXPECT_TRUE(far.next_notification(taken));
  EXPECT_FALSE(far.next_notification(taken));
}

// Senders and a taker that sleep until they are woken, over a queue of one: a wake that is lost leaves them asleep until the test fails.
TEST(loopback_notifying, sleepers_pass_notifications_through_a_queue_of_one) {
  constexpr std::uint64_t count = 500;
  loopback_options options;
  options.endpoint.max_notifications = 1;
  options.endpoint.default_deadline = std::chrono::nanoseconds::max();
  auto far = loopback::create(options).value();
  const auto address = far.address().value();
  const auto sleep = [](auto& one) {
    ::pollfd watched{.fd = one.event_fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&watched, 1, 60'000), 1) << "asleep for ever";
  };
  std::vector<std::thread> senders;
  for (int i = 0; i < 2; ++i) {
    senders.emplace_back([&] {
      auto near = loopback::create(options).value();
      const peer_id peer = near.connect(address).value();
      for (std::uint64_t tag = 0; tag < count; ++tag) {
        const transfer running = near.submit(peer, op::put, {}, {.notify_tag = tag, .notify = true}).value();
        while (!running.ready()) {
          if (near.progress() == 0 && !running.ready()) sleep(near);
        }
      }
    });
  }
  for (std::uint64_t got = 0; got < 2 * count;) {
    bool quiet = far.progress() == 0;
    for (notification taken; far.next_notification(taken); ++got) quiet = false;
    if (quiet) sleep(far);
  }
  for (std::thread& each : senders) each.join();
}

#endif

TEST(loopback_closing, assigning_ends_the_old_endpoint_at_once) {
  loopback far = loopback::create().value(), kept = loopback::create().value(), next = loopback::create().value();
  const auto address_of_old = kept.address().value();
  const endpoint_identity identity_of_next = next.identity();
  const region memory = kept.allocate_region(64).value();
  EXPECT_TRUE(far.connect(address_of_old).has_value()) << "the control";
  kept = std::move(next);
  EXPECT_EQ(kept.identity(), identity_of_next);
  EXPECT_EQ(far.connect(address_of_old).error(), errc::peer_lost);
  EXPECT_TRUE(far.connect(kept.address().value()).has_value());
  loopback& self = kept;
  kept = std::move(self);
  EXPECT_TRUE(far.connect(kept.address().value()).has_value()) << "to itself, it changes nothing";
  next = loopback::create().value();  // what was moved from can be used again
  EXPECT_TRUE(far.connect(next.address().value()).has_value());
}

TEST(loopback_closing, assigning_lets_go_of_the_old_transfer_at_once) {
  worker_pool pool(1);
  pair_of both(queueing(pool));
  transfer old = both.move(op::put), next = both.move(op::put);
  EXPECT_TRUE(old.wait().ok());
  EXPECT_TRUE(next.wait().ok());
  old = std::move(next);
  EXPECT_TRUE(static_cast<bool>(old));
  EXPECT_FALSE(static_cast<bool>(next));
  EXPECT_TRUE(old.how().ok());
}

}  // namespace
}  // namespace lading
