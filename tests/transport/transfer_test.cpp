// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The machinery that all adapters share, under a driver that does exactly what a test tells it, and a clock that stands still.

#include <lading/transport/transfer.hpp>

#include <optional>

#include <gtest/gtest.h>

#include <lading/transport/concept.hpp>
#include <lading/transport/endpoint.hpp>
#include <lading/transport/liveness.hpp>
#include <lading/transport/progress_thread.hpp>

namespace lading {
namespace {

using namespace std::chrono_literals;

/// Takes up to `window` slices and holds them until the test reports them.
class puppet final : public driver {
 public:
  std::string_view name() const noexcept override { return "puppet"; }
  lading::capabilities capabilities() const noexcept override { return {.notifies = true, .max_slice_size = 1 << 20}; }
  result<void> start(driver_host& host) override {
    host_ = &host;
    return {};
  }
  void stop() noexcept override { stopped = true; }
  result<std::unique_ptr<driver_memory>> map(bytes_span, memory_kind) override {
    if (refuse_map) return fail(errc::backend_failure, {.native = 12});
    return std::make_unique<counted_memory>(*this);
  }
  result<std::unique_ptr<driver_connection>> connect(const endpoint_address&) override { return std::make_unique<driver_connection>(); }
  result<bool> connected(driver_connection& peer) noexcept override {
    connection = &peer;
    return answers;
  }
  result<std::unique_ptr<driver_remote>> import_key(driver_connection&, const region_descriptor&) override {
    return std::make_unique<driver_remote>();
  }
  std::size_t post(batch& slices, std::size_t first) noexcept override {
    ++posts;
    token = &slices.token();
    const std::size_t taken = std::min(window, slices.size() - first);
    window -= taken;
    held += taken;
    return taken;
  }
  bool notify(driver_connection&, std::uint64_t, operation&) noexcept override {
    ++notifies;
    return takes_notifications;
  }
  void abort(driver_connection&, operation&) noexcept override { ++aborts; }
  std::size_t progress() noexcept override { return 0; }

  struct counted_memory final : driver_memory {
    explicit counted_memory(puppet& by) : owner(by) { ++owner.mapped; }
    ~counted_memory() override { --owner.mapped; }
    puppet& owner;
  };

  driver_host* host_ = nullptr;
  driver_connection* connection = nullptr;
  operation* token = nullptr;
  std::size_t window = 1000, held = 0, posts = 0, notifies = 0, aborts = 0, mapped = 0;
  bool refuse_map = false, stopped = false, answers = true, takes_notifications = false;
};

class shared_machinery : public ::testing::Test {
 protected:
  shared_machinery() {
    auto made = std::make_unique<puppet>();
    strings = made.get();
    near.emplace(
        endpoint::create(std::move(made), {.default_deadline = 1s, .drain_limit = 20ms, .close_limit = 1ms, .clock = clock.source()}).value());
    auto other = endpoint::create(std::make_unique<puppet>()).value();
    memory = near->allocate_region(4096).value();
    peer = near->connect(other.address().value()).value();
    const region theirs = other.allocate_region(4096).value();
    imported = near->import_region(peer, other.export_region(theirs).value()).value();
    for (std::size_t i = 0; i < 10; ++i) slices.push_back({memory.id(), imported, i * 100, i * 200, 100});
  }
  [[nodiscard]] transfer put(const submit_options& options = {}) { return near->submit(peer, op::put, slices, options).value(); }

  manual_clock clock;
  puppet* strings = nullptr;
  std::optional<endpoint> near;
  region memory;
  peer_id peer{};
  remote_region_id imported{};
  std::vector<slice> slices;
};

TEST_F(shared_machinery, a_window_is_refilled_by_progress) {
  strings->window = 4;
  transfer running = put();
  EXPECT_EQ(strings->held, 4u);
  near->progress();
  EXPECT_EQ(strings->held, 4u) << "the window is still full";
  strings->token->succeeded(4, 400);
  strings->window = 4;
  near->progress();
  EXPECT_EQ(strings->held, 8u);
  strings->window = 4;
  near->progress();
  EXPECT_EQ(strings->held, 10u);
  EXPECT_FALSE(running.ready());
  strings->token->succeeded(6, 600);
  ASSERT_TRUE(running.ready());
  EXPECT_TRUE(running.how().ok());
  EXPECT_EQ(running.how().bytes, 1000u);
}

TEST_F(shared_machinery, the_first_failure_in_submission_order_is_told) {
  transfer running = put();
  strings->token->failed(7, 1, error(errc::backend_failure, {.native = 5}));
  strings->token->failed(3, 2, error(errc::out_of_range));
  strings->token->succeeded(7, 700);
  ASSERT_TRUE(running.ready());
  const completion how = running.how();
  EXPECT_EQ(how.status.error(), errc::out_of_range);
  EXPECT_EQ(how.status.error().details().item, 3u);
  EXPECT_EQ(how.first_failed, 3u);
  EXPECT_EQ(how.failed, 3u);
  EXPECT_EQ(how.done, 7u);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(running.succeeded(i), i != 3 && i != 4 && i != 7) << i;
  transfer other = put();  // reported the other way round
  strings->token->failed(2, 1, error(errc::out_of_range));
  strings->token->failed(9, 1, error(errc::backend_failure));
  strings->token->succeeded(8, 800);
  ASSERT_TRUE(other.ready());
  EXPECT_EQ(other.how().status.error(), errc::out_of_range);
  EXPECT_EQ(other.how().first_failed, 2u);
}

TEST_F(shared_machinery, cancelling_drops_what_was_not_posted) {
  strings->window = 4;
  transfer running = put();
  running.cancel();
  near->progress();
  EXPECT_EQ(strings->aborts, 1u);
  EXPECT_FALSE(running.ready()) << "four slices are under way";
  strings->token->succeeded(4, 400);
  ASSERT_TRUE(running.ready());
  EXPECT_EQ(running.how().status.error(), errc::cancelled);
  EXPECT_EQ(running.how().done, 4u);
  EXPECT_EQ(running.how().failed, 6u);
  EXPECT_EQ(running.how().first_failed, 4u);
}

TEST_F(shared_machinery, who_was_cancelled_while_it_waited_holds_nobody_up) {
  strings->window = 0;
  transfer waiting = put();
  EXPECT_EQ(strings->held, 0u);
  waiting.cancel();
  near->progress();
  ASSERT_TRUE(waiting.ready());
  strings->window = 1000;
  transfer next = put();
  EXPECT_EQ(strings->held, 10u) << "submit posts at once where nobody waits";
  strings->token->succeeded(10, 1000);
  EXPECT_TRUE(next.ready());
}

TEST_F(shared_machinery, cancelling_waits_for_the_deadline_but_not_for_a_lost_peer) {
  transfer patient = put({.deadline = 500ms}), bereft = put({.deadline = 500ms});
  for (transfer* const each : {&patient, &bereft}) each->cancel();
  near->progress();
  clock.advance(100ms);
  near->progress();
  EXPECT_FALSE(patient.ready() || bereft.ready()) << "what is under way may still end";
  strings->host_->lost(*strings->connection, errc::peer_lost);
  near->progress();
  clock.advance(20ms);
  near->progress();
  ASSERT_TRUE(patient.ready() && bereft.ready());
  EXPECT_EQ(bereft.how().status.error(), errc::cancelled);
}

TEST_F(shared_machinery, cancelling_too_late_ends_ok) {
  transfer running = put();
  running.cancel();
  near->progress();
  strings->token->succeeded(10, 1000);
  ASSERT_TRUE(running.ready());
  EXPECT_TRUE(running.how().ok());
}

TEST_F(shared_machinery, a_deadline_quarantines_what_does_not_come_back) {
  transfer running = put({.deadline = 50ms});
  strings->token->succeeded(2, 200);
  clock.advance(49ms);
  near->progress();
  EXPECT_EQ(strings->aborts, 0u);
  clock.advance(1ms);
  near->progress();
  EXPECT_EQ(strings->aborts, 1u);
  EXPECT_FALSE(running.ready()) << "the driver has 20 ms to drain";
  clock.advance(20ms);
  near->progress();
  ASSERT_TRUE(running.ready());
  EXPECT_EQ(running.how().status.error(), errc::timed_out);
  EXPECT_TRUE(running.how().quarantined);
  EXPECT_EQ(running.how().finished, 70ms);
  EXPECT_EQ(running.how().done, 2u);
  EXPECT_EQ(running.how().failed, 8u);
  EXPECT_FALSE(running.succeeded(0)) << "which two is not known";
  EXPECT_EQ(running.how().first_failed, 0u);
  EXPECT_EQ(memory.deregister().error(), errc::busy);
  EXPECT_EQ(near->submit(peer, op::put, slices).error(), errc::busy);
  EXPECT_EQ(near->metrics().quarantined, 1u);
  strings->token->succeeded(8, 800);  // late
  EXPECT_EQ(running.how().done, 2u) << "an end does not change";
  EXPECT_EQ(near->metrics().released, 1u);
  near->progress();
  EXPECT_TRUE(memory.deregister().has_value());
  EXPECT_EQ(strings->mapped, 0u);
}

TEST_F(shared_machinery, only_the_bytes_of_a_quarantined_transfer_are_refused) {
  const std::vector<slice> some{{memory.id(), imported, 1000, 0, 100}, {memory.id(), imported, 500, 200, 300}, {memory.id(), imported, 600, 500, 10}};
  const auto prepared = near->prepare(peer, op::put, some).value();
  const auto ends_quarantined = [&](result<transfer> running) {
    EXPECT_TRUE(running.has_value());
    near->progress();
    clock.advance(50ms);
    near->progress();
    clock.advance(20ms);
    near->progress();
    EXPECT_TRUE(running->how().quarantined);
  };
  const auto at = [&](std::uint64_t offset, std::uint64_t size) {
    const slice two[]{{memory.id(), imported, 0, 0, 10}, {memory.id(), imported, offset, 0, size}};
    auto begun = near->submit(peer, op::get, two);
    EXPECT_TRUE(begun || begun.error().details().item == 1);
    near->progress();  // posts it, where one that was not posted whole came before
    if (begun) strings->token->succeeded(2, 0);
    return begun ? errc{} : begun.error().code();
  };
  for (const std::size_t window : {1000u, 2u}) {
    SCOPED_TRACE(window);
    for (const bool anew : {true, false}) {
      strings->window = window;
      auto passing = std::make_unique<std::vector<slice>>(some);  // gone when the deadline comes
      auto running = anew ? near->submit(peer, op::put, *passing, {.deadline = 50ms}) : near->submit(prepared, {.deadline = 50ms});
      passing.reset();
      ends_quarantined(std::move(running));
      operation* const stuck = strings->token;
      strings->window = 1000;
      for (const std::uint64_t free : {100u, 490u, 800u, 990u, 1100u}) EXPECT_EQ(at(free, 10), errc{}) << free;
      EXPECT_EQ(at(0, 500), errc{});
      EXPECT_EQ(at(700, 0), errc{}) << "no bytes";
      for (const std::uint64_t held : {491u, 500u, 605u, 650u, 799u, 991u, 1099u}) EXPECT_EQ(at(held, 10), errc::busy) << held;
      EXPECT_EQ(at(0, 4096), errc::busy);
      EXPECT_EQ(near->submit(prepared).error(), errc::busy);
      EXPECT_EQ(near->prepare(peer, op::put, some).error(), errc::busy);
      EXPECT_EQ(memory.deregister().error(), errc::busy);
      stuck->succeeded(std::min<std::size_t>(window, 3), 0);
      near->progress();
      EXPECT_EQ(at(0, 4096), errc{}) << "all has come back";
    }
  }
}

TEST_F(shared_machinery, a_lost_peer_ends_what_waits_and_refuses_what_comes) {
  strings->window = 3;
  transfer running = put();
  strings->host_->lost(*strings->connection, errc::peer_stalled);
  near->progress();
  strings->token->failed(0, 3, error(errc::peer_stalled));
  ASSERT_TRUE(running.ready());
  EXPECT_EQ(running.how().status.error(), errc::peer_stalled);
  EXPECT_EQ(running.how().failed, 10u);
  EXPECT_EQ(near->submit(peer, op::put, slices).error(), errc::peer_stalled);
  near->disconnect(peer);
  EXPECT_EQ(near->submit(peer, op::put, slices).error(), errc::closed);
}

TEST_F(shared_machinery, a_notification_goes_after_the_last_slice_and_only_if_all_arrived) {
  transfer running = put({.notify_tag = 9, .notify = true});
  strings->token->succeeded(9, 900);
  near->progress();
  EXPECT_EQ(strings->notifies, 0u);
  strings->token->succeeded(1, 100);
  near->progress();
  near->progress();
  EXPECT_EQ(strings->notifies, 2u) << "offered again until it is taken";
  strings->takes_notifications = true;
  near->progress();
  EXPECT_FALSE(running.ready());
  strings->token->notified();
  ASSERT_TRUE(running.ready());
  EXPECT_TRUE(running.how().ok());
  transfer spoilt = put({.notify = true});
  strings->token->failed(0, 1, error(errc::backend_failure));
  strings->token->succeeded(9, 900);
  near->progress();
  EXPECT_TRUE(spoilt.ready());
  EXPECT_EQ(strings->notifies, 3u) << "not announced";
}

TEST_F(shared_machinery, a_notification_that_does_not_get_through_frees_the_region) {
  strings->takes_notifications = true;
  transfer running = put({.deadline = 10ms, .notify = true});
  strings->token->succeeded(10, 1000);
  near->progress();
  clock.advance(10ms);
  near->progress();
  clock.advance(20ms);
  near->progress();
  ASSERT_TRUE(running.ready());
  EXPECT_EQ(running.how().status.error(), errc::timed_out);
  EXPECT_FALSE(running.how().quarantined);
  EXPECT_EQ(running.how().done, 10u);
  EXPECT_TRUE(memory.deregister().has_value());
  strings->token->notified();
}

TEST_F(shared_machinery, closing_stops_the_driver_and_ends_everything) {
  transfer running = put();
  near.reset();
  ASSERT_TRUE(running.ready());
  EXPECT_EQ(running.how().status.error(), errc::closed);
  EXPECT_TRUE(strings->stopped);
  EXPECT_EQ(memory.size(), 4096u) << "a region outlives its endpoint";
  EXPECT_TRUE(memory.deregister().has_value());
}

TEST_F(shared_machinery, registering_fails_aloud) {
  strings->refuse_map = true;
  std::vector<std::byte> bytes(64);
  EXPECT_EQ(near->register_region(bytes).error().native(), 12);
  EXPECT_EQ(near->allocate_region(64).error(), errc::backend_failure);
  EXPECT_EQ(near->register_region(bytes, memory_kind::cuda).error(), errc::unsupported);
  EXPECT_EQ(near->register_region(bytes, memory_kind{255}).error(), errc::unsupported);
  EXPECT_EQ(endpoint::create(nullptr).error(), errc::invalid_argument);
}

TEST_F(shared_machinery, slices_beyond_the_transport_s_size_are_refused) {
  const region large = near->allocate_region(2 << 20).value();
  const slice wrong{large.id(), imported, 0, 0, (1 << 20) + 1};
  EXPECT_EQ(near->submit(peer, op::put, std::span(&wrong, 1)).error(), errc::out_of_range) << "bounds come first";
}

TEST_F(shared_machinery, connecting_gives_up_in_time) {
  auto adapter = std::make_unique<puppet>();
  adapter->answers = false;
  auto lonely = endpoint::create(std::move(adapter)).value();
  auto other = endpoint::create(std::make_unique<puppet>()).value();
  EXPECT_EQ(lonely.connect(other.address().value(), 2ms).error(), errc::timed_out);
}

TEST_F(shared_machinery, a_progress_thread_ends_transfers) {
  auto made = std::make_unique<puppet>();
  auto driven = endpoint::create(std::move(made), {.close_limit = 1ms}).value();
  auto other = endpoint::create(std::make_unique<puppet>()).value();
  const region theirs = other.allocate_region(64).value(), ours = driven.allocate_region(64).value();
  const peer_id to = driven.connect(other.address().value()).value();
  const slice each{ours.id(), driven.import_region(to, other.export_region(theirs).value()).value(), 0, 0, 64};
  const progress_thread thread(driven);  // nobody else makes progress
  const transfer running = driven.submit(to, op::put, std::span(&each, 1), {.deadline = 1ms}).value();
  while (!running.ready()) std::this_thread::yield();
  EXPECT_EQ(running.how().status.error(), errc::timed_out);
}

TEST_F(shared_machinery, a_region_hands_out_ranges) {
  const region_range part = memory.range(96, 4000).value();
  EXPECT_EQ(part.bytes.data(), memory.data() + 96);
  EXPECT_EQ(part.offset, 96u);
  EXPECT_EQ(memory.range(97, 4000).error(), errc::out_of_range);
  EXPECT_EQ(memory.range(~std::size_t{0}, 2).error(), errc::out_of_range);
}

TEST(liveness, silence_is_a_stall) {
  liveness watched(10ms, 50ms, 0ms);
  EXPECT_FALSE(watched.due(9ms));
  EXPECT_TRUE(watched.due(10ms));
  EXPECT_FALSE(watched.due(19ms));
  EXPECT_TRUE(watched.due(20ms));
  watched.heard();
  for (const auto now : {30ms, 40ms, 50ms, 60ms}) EXPECT_TRUE(watched.due(now));
  EXPECT_FALSE(watched.stalled(69ms));
  EXPECT_TRUE(watched.stalled(70ms));
  watched.heard();
  EXPECT_FALSE(watched.stalled(70ms));
}

/// This side looks every millisecond, and hears the answer to a heartbeat at the next look; until `away`, then it pauses, twice.
bool survives(std::chrono::nanoseconds heartbeat, std::chrono::nanoseconds limit, std::chrono::nanoseconds away, std::chrono::nanoseconds pause) {
  liveness watched(heartbeat, limit, 0ms);
  std::chrono::nanoseconds now{0};
  bool ping_out = false;
  for (int look = 0; look < 3000; ++look) {
    now += 1ms;
    if (now >= away && now < away + 2ms + pause) now += pause;
    if (watched.stalled(now)) return false;
    if (std::exchange(ping_out, false)) watched.heard();
    if (watched.due(now)) ping_out = true;
    if (watched.stalled(now)) return false;
  }
  return true;
}

TEST(liveness, a_pause_of_this_side_is_no_silence_of_the_peer) {
  for (const auto away : {3ms, 499ms, 500ms, 501ms, 1200ms}) {
    for (const auto pause : {0ms, 100ms, 500ms, 9000ms, 10'000ms, 10'050ms, 10'300ms, 10'600ms, 12'000ms, 1'000'000ms})
      EXPECT_TRUE(survives(500ms, 10s, away, pause)) << away.count() << " " << pause.count();
  }
}

TEST(liveness, heartbeats_are_more_frequent_than_the_limit) {
  for (const auto heartbeat : {50ms, 99ms, 100ms, 101ms, 1000ms}) EXPECT_TRUE(survives(heartbeat, 100ms, 50ms, 0ms)) << heartbeat.count();
  liveness silent(1s, 100ms, 0ms);
  std::chrono::nanoseconds now{0};
  int sent = 0;
  for (; !silent.stalled(now); now += 1ms) sent += silent.due(now) ? 1 : 0;
  EXPECT_EQ(now, 100ms);
  EXPECT_EQ(sent, 3);
}

TEST(liveness, bytes_under_way_take_their_time) {
  constexpr std::uint64_t bytes = 1'000'000;  // 20 ms
  const auto ends = [](auto&& under_way) {
    liveness watched(10ms, 50ms, 0ms);
    std::chrono::nanoseconds now{0};
    for (; !watched.stalled(now); now += 1ms) static_cast<void>(watched.due(now, under_way(now)));
    return now;
  };
  EXPECT_EQ(ends([](auto) { return std::uint64_t{0}; }), 50ms);
  EXPECT_EQ(ends([&](auto) { return bytes; }), 70ms);
  EXPECT_EQ(ends([&](auto now) { return now < 30ms ? bytes : 0; }), 70ms) << "they were in the way until then";
  liveness watched(10ms, 50ms, 0ms);
  static_cast<void>(watched.due(0ms, ~std::uint64_t{0}));
  EXPECT_FALSE(watched.stalled(10ms));
  watched.heard();
  for (auto now = 1ms; now <= 50ms; now += 1ms) static_cast<void>(watched.due(now));
  EXPECT_TRUE(watched.stalled(50ms)) << "none since";
}

}  // namespace
}  // namespace lading
