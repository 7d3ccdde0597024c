// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Who may be in the driver, who is woken afterwards, and what a driver that takes its time, or throws, does to others. No test waits for time to pass.

#include <lading/transport/endpoint.hpp>

#include <functional>
#include <future>
#include <limits>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include <lading/transport/liveness.hpp>
#include <lading/transport/progress_thread.hpp>

#if defined(__linux__)
#include <poll.h>
#endif

namespace lading {
namespace {

using namespace std::chrono_literals;
constexpr auto never = std::chrono::nanoseconds::max();

/// Does what the test's functions say, and takes slices without ever ending them.
class hooked final : public driver {
 public:
  struct hooks {
    std::function<void()> map, unmap, connected, export_key, import_key, prepare, address;
    std::function<std::size_t()> progress;
    driver_host* host = nullptr;
    std::size_t posted = 0, aborted = 0;
    bool answers = true;
  };
  explicit hooked(hooks& told) : hooks_(told) {}

  std::string_view name() const noexcept override { return "hooked"; }
  lading::capabilities capabilities() const noexcept override { return {.notifies = true}; }
  result<void> start(driver_host& host) override {
    hooks_.host = &host;
    return {};
  }
  void stop() noexcept override {}
  result<std::unique_ptr<driver_memory>> map(bytes_span, memory_kind) override {
    call(hooks_.map);
    auto made = std::make_unique<memory>();
    made->end = hooks_.unmap;
    return made;
  }
  result<std::vector<std::byte>> export_key(const local_region&) override {
    call(hooks_.export_key);
    return std::vector<std::byte>{};
  }
  result<std::unique_ptr<driver_remote>> import_key(driver_connection&, const region_descriptor&) override {
    call(hooks_.import_key);
    return std::make_unique<driver_remote>();
  }
  result<std::vector<std::byte>> native_address() const override {
    call(hooks_.address);
    return std::vector<std::byte>{};
  }
  result<std::unique_ptr<driver_connection>> connect(const endpoint_address&) override { return std::make_unique<driver_connection>(); }
  result<bool> connected(driver_connection&) noexcept override { return hooks_.answers; }
  result<std::unique_ptr<driver_plan>> prepare(batch&) override {
    call(hooks_.prepare);
    return nullptr;
  }
  std::size_t post(batch& slices, std::size_t first) noexcept override {
    hooks_.posted += slices.size() - first;
    return slices.size() - first;
  }
  void abort(driver_connection&, operation& given_up) noexcept override {
    ++hooks_.aborted;
    given_up.failed(0, given_up.slice_count(), error(given_up.given_up()));
  }
  std::size_t progress() noexcept override { return hooks_.progress ? hooks_.progress() : 0; }
  int event_fd() const noexcept override { return endpoint_event_fd; }

 private:
  struct memory final : driver_memory {
    ~memory() override { call(end); }
    std::function<void()> end;
  };
  static void call(const std::function<void()>& hook) {
    if (hook) hook();
  }
  hooks& hooks_;
};

/// Whoever comes by stays here until it is told to go on.
struct parked {
  [[nodiscard]] auto hook() {
    return [this] {
      begun.set_value();
      go_on.get_future().wait();
    };
  }
  std::promise<void> begun, go_on;
};

class driving : public ::testing::Test {
 protected:
  driving() {
    near.emplace(endpoint::create(std::make_unique<hooked>(hooks), {.close_limit = 60s, .clock = clock.source()}).value());
    far.emplace(endpoint::create(std::make_unique<hooked>(far_hooks)).value());
    source = near->allocate_region(4096).value();
    target = far->allocate_region(4096).value();
    peer = near->connect(far->address().value()).value();
    descriptor = far->export_region(target).value();
    imported = near->import_region(peer, descriptor).value();
    all = {source.id(), imported, 0, 0, 4096};
  }
  ~driving() override {
    const auto none = std::exchange(hooks, {});  // of the threads that are still to end
  }
  [[nodiscard]] transfer put(const submit_options& options) { return near->submit(peer, op::put, std::span(&all, 1), options).value(); }
  /// Runs it in another thread, and waits for its end.
  static void elsewhere(const std::function<void()>& work) { std::thread(work).join(); }
  /// A transfer whose deadline passes while the work is parked.
  void ends_in_time(parked& at, const std::function<void()>& work) {
    transfer running = put({.deadline = 10ms});
    std::thread working(work);
    at.begun.get_future().wait();
    clock.advance(10ms);
    near->progress();
    near->progress();
    EXPECT_TRUE(running.ready());
    at.go_on.set_value();
    working.join();
  }

  hooked::hooks hooks, far_hooks;
  manual_clock clock;
  std::optional<endpoint> near, far;
  region source, target;
  peer_id peer{};
  std::vector<std::byte> descriptor;
  remote_region_id imported{};
  slice all{};
};

TEST_F(driving, deadlines_hold_while_memory_is_registered) {
  parked at;
  hooks.map = at.hook();
  transfer running = put({.deadline = 10ms});
  std::vector<std::byte> bytes(64);
  std::optional<result<region>> made;
  std::thread registering([&] { made = near->register_region(bytes); });
  at.begun.get_future().wait();
  clock.advance(10ms);
  near->progress();
  EXPECT_EQ(hooks.aborted, 1u) << "somebody else is in the driver";
  near->progress();
  EXPECT_TRUE(running.ready());
  EXPECT_TRUE(near->address().has_value());
  at.go_on.set_value();
  registering.join();
  EXPECT_EQ(running.how().status.error(), errc::timed_out);
  EXPECT_TRUE(made->has_value());
}

TEST_F(driving, deadlines_hold_while_memory_is_allocated) {
  parked at;
  hooks.map = at.hook();
  ends_in_time(at, [&] { EXPECT_TRUE(near->allocate_region(64).has_value()); });
}

TEST_F(driving, deadlines_hold_while_memory_is_unregistered) {
  parked at;
  hooks.unmap = at.hook();
  region mine = near->allocate_region(64).value();
  hooks.unmap = nullptr;
  ends_in_time(at, [&] { EXPECT_TRUE(mine.deregister().has_value()); });
}

TEST_F(driving, deregistering_does_not_wait_for_who_drives) {
  region mine = near->allocate_region(64).value();
  bool gone = false;
  hooks.progress = [&]() -> std::size_t {
    elsewhere([&] { gone = mine.deregister().has_value(); });
    return 0;
  };
  near->progress();
  EXPECT_TRUE(gone);
}

// Its memory is the owner's again when the destructor returns, whoever ends the last transfer.
TEST_F(driving, a_region_is_unregistered_when_its_destructor_returns) {
  std::atomic<int> mapped{0};
  hooks.map = [&] { ++mapped; };
  hooks.unmap = [&] { --mapped; };
  for (int round = 0; round < 200; ++round) {
    std::vector<std::byte> bytes(64);
    region mine = near->register_region(bytes).value();
    const slice each{mine.id(), imported, 0, 0, 64};
    transfer running = near->submit(peer, op::put, std::span(&each, 1), {.deadline = never}).value();
    running.cancel();
    std::thread ending([&] {
      while (!running.ready()) near->progress();
    });
    mine = region{};
    ASSERT_EQ(mapped, 0) << round;
    ending.join();
  }
}

TEST_F(driving, threads_register_while_others_drive) {
  std::atomic<bool> stop{false};
  std::thread drives([&] {
    while (!stop) near->progress();
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 100; ++round) {
        const region mine = near->allocate_region(4096).value();
        mine.data()[0] = std::byte{1};
        EXPECT_TRUE(near->export_region(mine).has_value());
      }
    });
  }
  for (std::thread& each : threads) each.join();
  stop = true;
  drives.join();
}

TEST_F(driving, the_address_is_asked_for_by_one_thread_at_a_time) {
  std::atomic<bool> inside{false};
  bool asked_inside = false;
  std::optional<std::thread> asking;
  hooks.address = [&] { asked_inside = inside; };
  std::atomic<bool> begun{false};
  hooks.progress = [&]() -> std::size_t {
    inside = true;
    asking.emplace([&] {
      begun = true;
      EXPECT_TRUE(near->address().has_value());
    });
    while (!begun) std::this_thread::yield();
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();  // a chance to come in, were it not kept out
    inside = false;
    return 0;
  };
  near->progress();
  asking->join();
  EXPECT_FALSE(asked_inside);
}

#if defined(__linux__)

class waking : public driving {
 protected:
  [[nodiscard]] bool awake() {
    ::pollfd watched{.fd = near->event_fd(), .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, 0) == 1;
  }
  void settle() {
    static_cast<void>(near->event_fd());
    while (near->progress() != 0) {}
    ASSERT_FALSE(awake());
  }
  std::size_t lost = 7;  // what progress returned to the thread that lost
};

TEST_F(waking, who_lost_to_a_round_with_events_is_woken_after_it) {
  settle();
  hooks.progress = [&]() -> std::size_t {
    elsewhere([&] {
      lost = near->progress();
      EXPECT_FALSE(awake()) << "not before there is something to do";
    });
    hooks.progress = nullptr;
    return 1;
  };
  EXPECT_EQ(near->progress(), 1u);
  EXPECT_EQ(lost, 0u);
  EXPECT_TRUE(awake());
  settle();
}

// Something was signalled that the round no longer looked at, and that the one who lost did not find out about.
TEST_F(waking, who_lost_to_a_round_without_events_is_woken_too) {
  settle();
  hooks.progress = [&]() -> std::size_t {
    hooks.host->incoming()->awake.signal();
    elsewhere([&] { lost = near->progress(); });
    EXPECT_FALSE(awake());
    return 0;
  };
  EXPECT_EQ(near->progress(), 0u);
  EXPECT_EQ(lost, 0u);
  EXPECT_TRUE(awake());
  hooks.progress = nullptr;
  settle();
}

TEST_F(waking, a_quiet_round_that_nobody_lost_to_wakes_nobody) {
  settle();
  EXPECT_EQ(near->progress(), 0u);
  EXPECT_FALSE(awake());
}

TEST_F(waking, who_waits_leaves_the_wakes_to_who_sleeps) {
  settle();
  transfer running = put({});
  settle();
  int round = 0;
  hooks.progress = [&]() -> std::size_t {
    if (++round == 1) hooks.host->incoming()->awake.signal();
    EXPECT_TRUE(awake()) << "a notification has arrived, and its taker sleeps on";
    if (round == 3) running.cancel();
    return 0;
  };
  running.wait();
  EXPECT_GE(round, 3);
  EXPECT_TRUE(awake()) << "and goes on driving where the waiting is over";
  hooks.progress = nullptr;
  settle();
  running.wait();
  EXPECT_FALSE(awake());
}

// Its driver's descriptor is armed by progress that returns 0: a thread that slept on it would otherwise miss what follows.
TEST_F(waking, who_sleeps_is_woken_after_another_s_round_with_events) {
  settle();
  hooks.progress = [&]() -> std::size_t { return 1; };
  near->progress();
  hooks.progress = nullptr;
  EXPECT_TRUE(awake());
  settle();
}

TEST_F(waking, who_lost_to_an_import_is_woken_after_it) {
  settle();
  hooks.import_key = [&] {
    elsewhere([&] { lost = near->progress(); });
    EXPECT_FALSE(awake());
  };
  const remote_region_id other = near->import_region(peer, descriptor).value();
  EXPECT_EQ(lost, 0u);
  EXPECT_TRUE(awake());
  settle();
  hooks.import_key = nullptr;
  EXPECT_TRUE(near->release_region(other).has_value());
  EXPECT_FALSE(awake()) << "nobody lost";
}

TEST_F(waking, taking_from_a_full_queue_wakes_who_waits_for_room) {
  constexpr std::size_t room = 4096;
  settle();
  notification_queue& queue = hooks.host->incoming()->notifications;
  for (std::size_t i = 0; i < room; ++i) ASSERT_TRUE(queue.push({i, 1}));
  notification taken;
  ASSERT_TRUE(near->next_notification(taken));
  EXPECT_FALSE(awake()) << "nothing was refused";
  ASSERT_TRUE(queue.push({room, 1}));
  EXPECT_FALSE(queue.push({room + 1, 1}));
  EXPECT_FALSE(awake());
  ASSERT_TRUE(near->next_notification(taken));
  EXPECT_EQ(taken.tag, 1u);
  EXPECT_TRUE(awake());
  settle();
  ASSERT_TRUE(near->next_notification(taken));
  EXPECT_FALSE(awake()) << "told once";
  EXPECT_TRUE(queue.has_room());
  while (queue.push({0, 1})) {}
  ASSERT_TRUE(near->next_notification(taken));
  settle();
  ASSERT_TRUE(queue.push({0, 1}));
  EXPECT_FALSE(queue.has_room());
  ASSERT_TRUE(near->next_notification(taken));
  EXPECT_TRUE(awake()) << "who asked for room waits for it, too";
}

TEST(wakeup, is_readable_until_it_is_cleared) {
  wakeup awake;
  const auto readable = [&] {
    ::pollfd watched{.fd = awake.fd(), .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, 0) == 1;
  };
  EXPECT_TRUE(readable()) << "at first";
  awake.clear();
  EXPECT_FALSE(readable());
  awake.signal();
  awake.signal();
  EXPECT_TRUE(readable());
  awake.clear();
  EXPECT_FALSE(readable());
  awake.clear();
  awake.signal();
  EXPECT_TRUE(readable());
}

// A sleeper must see each number before the next is made: a signal that is lost leaves both waiting.
TEST(wakeup, no_signal_is_lost_between_threads) {
  constexpr int rounds = 20'000;
  wakeup awake;
  std::atomic<int> made{0}, seen{0};
  const int fd = awake.fd();
  std::thread sleeper([&] {
    while (seen < rounds) {
      awake.clear();
      if (const int now = made; now != seen) {
        seen = now;
        continue;
      }
      ::pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&watched, 1, 30'000), 1) << "asleep for ever";
    }
  });
  for (int i = 1; i <= rounds; ++i) {
    made = i;
    awake.signal();
    if (i % 16 == 0) {
      while (seen != i && made == i && i != rounds) std::this_thread::yield();
    }
  }
  sleeper.join();
}

#endif

// --- time

TEST_F(driving, never_is_never) {
  transfer running = put({.deadline = never});
  clock.advance(std::chrono::hours(24 * 365 * 100));
  near->progress();
  EXPECT_FALSE(running.ready());
  running.cancel();
  near->progress();
  near->progress();
  ASSERT_TRUE(running.ready());
  EXPECT_EQ(running.how().status.error(), errc::cancelled);
  transfer late = put({.deadline = 1ns});
  clock.advance(1ns);
  near->progress();
  near->progress();
  EXPECT_TRUE(late.ready());
}

TEST_F(driving, a_negative_deadline_is_over_and_moves_nothing) {
  const std::size_t before = hooks.posted;
  for (const auto deadline : {-1ns, std::chrono::nanoseconds::min()}) {
    for (const std::size_t count : {0u, 1u}) {
      transfer running = near->submit(peer, op::put, std::span(&all, count), {.deadline = deadline, .notify = true}).value();
      ASSERT_TRUE(running.ready());
      EXPECT_EQ(running.how().status.error(), errc::timed_out);
      EXPECT_EQ(running.how().failed, count);
      EXPECT_FALSE(running.how().quarantined);
    }
  }
  EXPECT_EQ(hooks.posted, before);
  EXPECT_EQ(near->metrics().timed_out, 4u);
  const prepared_batch prepared = near->prepare(peer, op::put, std::span(&all, 1)).value();
  EXPECT_EQ(near->submit(prepared, {.deadline = -1s}).value().wait().status.error(), errc::timed_out);
  EXPECT_EQ(hooks.posted, before);
  transfer control = put({.deadline = 1ns});
  EXPECT_FALSE(control.ready());
  EXPECT_EQ(hooks.posted, before + 1);
  control.cancel();
  control.wait();
}

TEST_F(driving, connecting_may_take_for_ever) {
  hooks.answers = false;
  int rounds = 0;
  hooks.progress = [&]() -> std::size_t {
    clock.advance(std::chrono::hours(24 * 365));
    hooks.answers = ++rounds == 100;
    return 0;
  };
  EXPECT_TRUE(near->connect(far->address().value(), never).has_value());
  hooks.answers = false;
  rounds = 1000;
  EXPECT_EQ(near->connect(far->address().value(), std::chrono::hours(24 * 365 * 20)).error(), errc::timed_out);
  EXPECT_EQ(near->connect(far->address().value(), std::chrono::nanoseconds::min()).error(), errc::timed_out);
}

TEST(time, ends_before_it_overflows) {
  constexpr auto least = std::chrono::nanoseconds::min();
  EXPECT_EQ(later(5ns, 7ns), 12ns);
  EXPECT_EQ(later(5ns, -7ns), -2ns);
  EXPECT_EQ(later(1ns, never), never);
  EXPECT_EQ(later(never, 1ns), never);
  EXPECT_EQ(later(never - 1ns, 1ns), never);
  EXPECT_EQ(later(never, -1ns), never - 1ns);
  EXPECT_EQ(later(-1ns, least), least);
  EXPECT_EQ(later(never, least), -1ns);
  EXPECT_EQ(later(least, never), -1ns);
  liveness patient(never, never, 1ns);
  EXPECT_FALSE(patient.due(std::chrono::hours(1)));
  EXPECT_FALSE(patient.stalled(std::chrono::hours(1)));
  liveness asking(1ns, never, 1ns);
  EXPECT_TRUE(asking.due(std::chrono::hours(1)));
}

TEST(time, limits_without_end_do_not_overflow) {
  hooked::hooks hooks;
  manual_clock clock;
  auto one = endpoint::create(std::make_unique<hooked>(hooks),
                              {.default_deadline = never, .drain_limit = never, .close_limit = never, .clock = clock.source()})
                 .value();
  auto other = endpoint::create(std::make_unique<hooked>(hooks)).value();
  region source = one.allocate_region(64).value();
  const region target = other.allocate_region(64).value();
  const peer_id peer = one.connect(other.address().value()).value();
  const slice all{source.id(), one.import_region(peer, other.export_region(target).value()).value(), 0, 0, 64};
  transfer running = one.submit(peer, op::put, std::span(&all, 1)).value();
  running.cancel();
  one.progress();
  one.progress();
  EXPECT_TRUE(running.ready());
  source = region{};
  const progress_thread serving(one, std::chrono::microseconds::max());
}

// --- drivers that throw

TEST_F(driving, what_a_driver_throws_pins_nothing) {
  const auto throws = [](auto thrown) { return [thrown] { throw thrown; }; };
  region mine = near->allocate_region(64).value();
  const slice each{mine.id(), imported, 0, 0, 64};
  hooks.export_key = throws(std::bad_alloc{});
  EXPECT_EQ(near->export_region(mine).error(), errc::no_memory);
  hooks.export_key = throws(std::runtime_error("the driver's own"));
  EXPECT_THROW(static_cast<void>(near->export_region(mine)), std::runtime_error);
  hooks.prepare = throws(std::bad_alloc{});
  EXPECT_EQ(near->prepare(peer, op::put, std::span(&each, 1)).error(), errc::no_memory);
  hooks.prepare = throws(std::runtime_error("the driver's own"));
  EXPECT_THROW(static_cast<void>(near->prepare(peer, op::put, std::span(&each, 1))), std::runtime_error);
  hooks.import_key = throws(std::bad_alloc{});
  EXPECT_EQ(near->import_region(peer, descriptor).error(), errc::no_memory);
  hooks.import_key = throws(std::runtime_error("the driver's own"));
  EXPECT_THROW(static_cast<void>(near->import_region(peer, descriptor)), std::runtime_error);
  hooks.map = throws(std::bad_alloc{});
  EXPECT_EQ(near->allocate_region(64).error(), errc::no_memory);
  hooks.address = throws(std::bad_alloc{});
  EXPECT_EQ(near->address().error(), errc::no_memory);
  EXPECT_TRUE(mine.deregister().has_value()) << "a pin is left";
  EXPECT_TRUE(near->release_region(imported).has_value()) << "a pin is left";
  EXPECT_EQ(hooks.host->incoming()->regions.pins(static_cast<std::uint32_t>(source.id())), 0u);
  hooks = {};
  EXPECT_TRUE(near->export_region(source).has_value()) << "and nobody is shut out";
  near->disconnect(peer);
  EXPECT_EQ(near->peer_identity(peer).error(), errc::closed);
}

TEST_F(driving, a_peer_whose_import_threw_goes_when_it_is_disconnected) {
  struct counted final : driver_connection {
    explicit counted(int& count) : left(count) { ++left; }
    ~counted() override { --left; }
    int& left;
  };
  int connections = 0;
  class counting final : public driver {
   public:
    explicit counting(int& count) : count_(count) {}
    std::string_view name() const noexcept override { return "hooked"; }
    lading::capabilities capabilities() const noexcept override { return {}; }
    result<void> start(driver_host&) override { return {}; }
    void stop() noexcept override {}
    result<std::unique_ptr<driver_connection>> connect(const endpoint_address&) override { return std::make_unique<counted>(count_); }
    result<std::unique_ptr<driver_remote>> import_key(driver_connection&, const region_descriptor&) override { throw std::bad_alloc(); }
    std::size_t post(batch&, std::size_t) noexcept override { return 0; }
    std::size_t progress() noexcept override { return 0; }

   private:
    int& count_;
  };
  auto one = endpoint::create(std::make_unique<counting>(connections)).value();
  const peer_id to = one.connect(far->address().value()).value();
  EXPECT_EQ(connections, 1);
  EXPECT_EQ(one.import_region(to, descriptor).error(), errc::no_memory);
  one.disconnect(to);
  EXPECT_EQ(connections, 0);
}

/// Counts what it is asked for, and does not start.
class refusing final : public driver {
 public:
  struct calls {
    std::size_t progress = 0, stop = 0;
    bool throws = false;
  };
  explicit refusing(calls& seen) : seen_(seen) {}
  std::string_view name() const noexcept override { return "refusing"; }
  lading::capabilities capabilities() const noexcept override { return {}; }
  result<void> start(driver_host&) override {
    if (seen_.throws) throw std::bad_alloc();
    return fail(errc::unsupported);
  }
  void stop() noexcept override { ++seen_.stop; }
  result<std::unique_ptr<driver_memory>> map(bytes_span, memory_kind) override { return fail(errc::closed); }
  result<std::unique_ptr<driver_remote>> import_key(driver_connection&, const region_descriptor&) override { return fail(errc::closed); }
  result<std::unique_ptr<driver_connection>> connect(const endpoint_address&) override { return fail(errc::closed); }
  std::size_t post(batch&, std::size_t) noexcept override { return 0; }
  std::size_t progress() noexcept override { return ++seen_.progress; }

 private:
  calls& seen_;
};

TEST(endpoint_of_a_driver_that_does_not_start, makes_no_progress) {
  for (const bool throws : {false, true}) {
    refusing::calls seen{.throws = throws};
    EXPECT_EQ(endpoint::create(std::make_unique<refusing>(seen)).error(), throws ? errc::no_memory : errc::unsupported);
    EXPECT_EQ(seen.progress, 0u) << "it has nothing to make progress with";
    EXPECT_EQ(seen.stop, 1u) << "what it had begun is to be taken down";
  }
}

}  // namespace
}  // namespace lading
