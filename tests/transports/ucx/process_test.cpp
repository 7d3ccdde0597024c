// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A real peer's process is killed and stopped, at every moment.

#if defined(__linux__)

#include <ucs/config/global_opts.h>

#include "rig.hpp"

namespace process_test {
using namespace lading;
using conformance::fill;

/// Started as a peer, this program is one, and runs no test.
[[maybe_unused]] const bool is_no_peer = [] {
  ucs_global_opts_set_value("LOG_LEVEL", "fatal");  // UCX would tell of every peer that the tests kill
  const auto words = peer_process::words();
  if (words.size() != 5 || words[1] != "--ucx-peer") return true;
  std::_Exit(ucx_test::peer_main(words[2].c_str(), std::stoul(words[3]), words[4] == "shared"));
}();

template <class Lanes>
class ucx_processes : public ucx_test::on_lanes<Lanes> {};
using all_lanes = testing::Types<ucx_test::tcp, ucx_test::shared_memory, ucx_test::shared_regions>;
TYPED_TEST_SUITE(ucx_processes, all_lanes);

/// This side of a connection to a peer in another process.
template <class Lanes>
struct near_side {
  static constexpr std::size_t size = std::size_t{1} << 20;

  explicit near_side(ucx_options wanted = {}) : memory(size), far(Lanes::lanes, size, Lanes::shares_regions) {
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

/// How many rounds a soak has: LADING_SOAK_ROUNDS, which also makes it print its figures, else a few.
int soak_rounds(int few) {
  const char* const wanted = std::getenv("LADING_SOAK_ROUNDS");
  return wanted != nullptr ? std::atoi(wanted) : few;
}

/// Descriptors and memory of this process after the first rounds, when all that is made once has been made; compared at the end.
class flatness {
 public:
  void start() { descriptors_ = conformance::open_descriptors(), memory_ = conformance::resident_bytes(); }
  void check(const std::string& what, int rounds) const {
    if (!descriptors_ || !memory_) return;
    const auto descriptors = *conformance::open_descriptors(), memory = *conformance::resident_bytes();
    EXPECT_LE(descriptors, *descriptors_);
    // Sanitizers keep freed memory for a while.
    EXPECT_LE(memory, *memory_ + (conformance::sanitized ? std::size_t{256} << 20 : std::size_t{4} << 20));
    if (std::getenv("LADING_SOAK_ROUNDS") == nullptr) return;
    std::printf("%s: %d rounds, descriptors %zu -> %zu, memory %.1f -> %.1f MiB\n", what.c_str(), rounds, *descriptors_, descriptors,
                static_cast<double>(*memory_) / (1 << 20), static_cast<double>(memory) / (1 << 20));
  }

 private:
  std::optional<std::size_t> descriptors_, memory_;
};

/// Milliseconds after which a transfer must have ended that a dead peer or a deadline ends: in a soak, for which the machine is to have nothing else to do,
/// what the library is to reach; else many times that.
double patience(double figure) {
  if (conformance::sanitized) return 10'000;
  return std::getenv("LADING_SOAK_ROUNDS") != nullptr ? figure : 5'000;
}
constexpr double late_for_deadlines = 50;
template <class Lanes>
constexpr double late_for_deaths = std::is_same_v<Lanes, ucx_test::tcp> ? 200 : 1'000;

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

std::string ended_after(double average, double longest) {
  char text[100];
  std::snprintf(text, sizeof text, "the last transfer ended after %.1f ms on average, %.1f ms at most", average, longest);
  return text;
}

TYPED_TEST(ucx_processes, killed_at_any_moment_every_transfer_ends) {
  const int rounds = soak_rounds(8);
  flatness flat;
  double longest = 0, sum = 0;
  for (int round = 0; round < rounds; ++round) {
    {
      near_side<TypeParam> side;
      std::vector<transfer> running = side.start(64, std::size_t{1} << (10 + round % 8), std::chrono::seconds(30));
      for (int i = 0; i < round % 12 * 5; ++i) side.near->progress();
      side.far.kill();
      const auto killed = std::chrono::steady_clock::now();
      expect_ended(running);
      const double took = milliseconds_since(killed);
      longest = std::max(longest, took);
      sum += took;
      const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      auto late = side.near->submit(side.peer, op::put, {});
      while (late && std::chrono::steady_clock::now() < until) {
        side.near->progress();
        late = side.near->submit(side.peer, op::put, {});
      }
      ASSERT_FALSE(late.has_value()) << "nobody noticed the loss";
      EXPECT_EQ(late.error(), errc::peer_lost);
      EXPECT_LT(took, patience(late_for_deaths<TypeParam>)) << "the last transfer ended late";
      side.near->disconnect(side.peer);
      // UCX may keep a request of a rendezvous; then the region stays quarantined, and its transfer has said so.
      const bool quarantined = std::any_of(running.begin(), running.end(), [](const transfer& each) { return each.how().quarantined; });
      auto gone = side.here.deregister();
      for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(quarantined ? 1 : 20);
           !gone && std::chrono::steady_clock::now() < end;) {
        side.near->progress();
        gone = side.here.deregister();
      }
      EXPECT_TRUE(gone.has_value() || (quarantined && gone.error() == errc::busy));
    }
    if (round == std::min(9, rounds / 2)) flat.start();
  }
  flat.check("killed; " + ended_after(sum / rounds, longest), rounds);
}

TYPED_TEST(ucx_processes, stopped_at_any_moment_every_transfer_ends_and_later_ones_arrive) {
  const int rounds = soak_rounds(5);
  constexpr auto deadline = std::chrono::milliseconds(100);
  flatness flat;
  double longest = 0, sum = 0;
  for (int round = 0; round < rounds; ++round) {
    {
      near_side<TypeParam> side;
      fill(side.memory.bytes(), static_cast<std::uint64_t>(round) + 1);
      // In every other round, while transfers are under way.
      std::vector<transfer> running;
      const auto start = [&] { running = side.start(40, std::size_t{1} << (10 + 2 * (round % 5)), deadline); };
      if (round % 2 == 1) start();
      for (int i = 0; i < round % 6 * 3; ++i) side.near->progress();
      side.far.stop();
      const auto stopped = std::chrono::steady_clock::now();
      if (round % 2 == 0) start();
      expect_ended(running);
      const double took = milliseconds_since(stopped);
      EXPECT_LT(took, static_cast<double>(deadline.count()) + patience(late_for_deadlines)) << "the last transfer ended late";
      longest = std::max(longest, took);
      sum += took;
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
    if (round == std::min(9, rounds / 2)) flat.start();
  }
  flat.check("stopped, deadline 100 ms; " + ended_after(sum / rounds, longest), rounds);
}

TYPED_TEST(ucx_processes, a_peer_that_stays_stopped_is_stalled) {
  if (TypeParam::shares_regions) GTEST_SKIP() << "a shared region is reached without its owner";
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
  EXPECT_EQ(side.far.ask('r'), TypeParam::shares_regions ? 'n' : 'y') << "it was asked, and refused";
  EXPECT_TRUE(side.far.intact());
}

// --- connections

template <class Lanes>
class ucx_connections : public ucx_test::on_lanes<Lanes> {};
TYPED_TEST_SUITE(ucx_connections, all_lanes);

/// Each time with another endpoint, and so over another connection of UCX's.
TYPED_TEST(ucx_connections, to_ever_new_endpoints_leave_nothing_behind) {
  const int rounds = soak_rounds(12);
  ucx near = ucx_test::make<TypeParam>().value();
  const region source = near.allocate_region(4096).value();
  fill(source.bytes(), 1);
  flatness flat;
  const auto settle = [&] {  // UCX closes some of what it opened a little later
    for (int i = 0; i < 50; ++i) near.progress(), ::usleep(1000);
  };
  for (int round = 0; round < rounds; ++round) {
    if (round == std::min(100, rounds / 2)) settle(), flat.start();
    ucx far = ucx_test::make<TypeParam>().value();
    const region target = far.allocate_region(4096).value();
    const peer_id peer = conformance::connect(near, far);
    const slice all{source.id(), near.import_region(peer, far.export_region(target).value()).value(), 0, 0, 4096};
    transfer running = near.submit(peer, op::put, std::span(&all, 1)).value();
    while (!running.ready()) near.progress(), far.progress();
    ASSERT_TRUE(running.how().ok()) << running.how().status.error().message();
    ASSERT_TRUE(conformance::same(source.bytes(), target.bytes()));
    near.disconnect(peer);
  }
  settle();
  flat.check("connected", rounds);
}

// --- regions that the peer shares

using ucx_shared_regions = ucx_test::on_lanes<ucx_test::shared_regions>;

TEST_F(ucx_shared_regions, are_reached_while_their_owner_is_stopped) {
  near_side<ucx_test::shared_regions> side;
  side.far.stop();
  fill(side.memory.bytes(), 7);
  std::vector<slice> slices{side.part(0, side.size)};
  for (std::size_t i = 0; i < 300; ++i) slices.push_back(side.part(i, i));
  for (const op direction : {op::put, op::get}) {
    if (direction == op::get) std::memset(side.memory.bytes().data(), 0, side.size);
    const transfer running = side.near->submit(side.peer, direction, slices).value();
    for (int rounds = 0; rounds < 1000 && !running.ready(); ++rounds) side.near->progress();  // a slow machine needs more than one
    ASSERT_TRUE(running.ready()) << "nothing is to be waited for";
    EXPECT_TRUE(running.how().ok());
    EXPECT_EQ(running.how().done, slices.size());
  }
  conformance::guarded_memory expected(side.size);
  fill(expected.bytes(), 7);
  EXPECT_TRUE(conformance::same(side.memory.bytes(), expected.bytes()));
  side.far.resume();
  EXPECT_TRUE(side.far.intact());
}

TEST_F(ucx_shared_regions, end_with_their_registration_their_endpoint_and_their_process) {
  for (const char how_it_ends : {'d', 'c', 'k'}) {
    near_side<ucx_test::shared_regions> side;
    const slice each = side.part(0, side.size);
    EXPECT_TRUE(side.near->submit(side.peer, op::put, std::span(&each, 1)).value().wait().ok());
    const prepared_batch prepared = side.near->prepare(side.peer, op::put, std::span(&each, 1)).value();
    if (how_it_ends == 'k') {
      side.far.kill();
      ::usleep(100);
    } else {
      ASSERT_EQ(side.far.ask(how_it_ends), 'y');
    }
    const errc expected = how_it_ends == 'd' ? errc::not_registered : errc::peer_lost;
    for (int again = 0; again < 3; ++again) {
      auto running = side.near->submit(prepared);
      EXPECT_EQ(name_of(running ? running->wait().status.error().code() : running.error().code()), name_of(expected)) << how_it_ends;
    }
  }
}

TEST_F(ucx_shared_regions, larger_than_a_round_and_mixed_with_others) {
  constexpr std::size_t large = std::size_t{70} << 20;
  auto near = ucx_test::make<ucx_test::shared_regions>().value(), far = ucx_test::make<ucx_test::shared_regions>().value();
  const region source = near.allocate_region(large).value(), target = far.allocate_region(large).value();
  std::vector<std::byte> memory(100'000);
  const region registered = far.register_region(memory).value();
  const peer_id peer = conformance::connect(near, far);
  const auto shared = near.import_region(peer, far.export_region(target).value()).value();
  const auto other = near.import_region(peer, far.export_region(registered).value()).value();
  fill(source.bytes(), 3);
  const auto run = [&](std::span<const slice> slices, submit_options options = {}) {
    transfer running = near.submit(peer, op::put, slices, options).value();
    while (!running.ready()) near.progress(), far.progress();
    return running.how();
  };
  const slice whole{source.id(), shared, 0, 0, large};
  const completion how = run(std::span(&whole, 1));
  EXPECT_TRUE(how.ok());
  EXPECT_EQ(how.bytes, large);
  EXPECT_TRUE(conformance::same(source.bytes(), target.bytes()));
  std::memset(target.data(), 0, large);
  std::vector<slice> mixed;
  std::uint64_t bytes = 0, at = 0;
  for (std::size_t i = 0; i < 900; ++i) {
    const std::size_t size = i % 7 == 0 ? 5000 : i % 11;
    if (i % 3 == 0) {
      mixed.push_back({source.id(), shared, at, at, size});
    } else {
      mixed.push_back({source.id(), other, at % 90'000, at % 90'000, size});
    }
    bytes += size;
    at += 5000;
  }
  mixed.push_back({source.id(), shared, 0, 0, large});
  EXPECT_EQ(run(mixed).bytes, bytes + large);
  EXPECT_TRUE(conformance::same(source.bytes(), target.bytes()));
  // Its deadline ends it between two rounds.
  const completion late = run(std::span(&whole, 1), {.deadline = std::chrono::nanoseconds(1)});
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.status.error(), errc::timed_out);
  EXPECT_FALSE(late.quarantined);
  EXPECT_TRUE(run(std::span(&whole, 1)).ok());
}

TEST_F(ucx_shared_regions, have_one_round_for_all_batches) {
  constexpr std::size_t size = std::size_t{16} << 20;
  auto near = ucx_test::make<ucx_test::shared_regions>().value(), far = ucx_test::make<ucx_test::shared_regions>().value();
  const region source = near.allocate_region(size).value(), target = far.allocate_region(size).value();
  const peer_id peer = conformance::connect(near, far);
  const slice all{source.id(), near.import_region(peer, far.export_region(target).value()).value(), 0, 0, size};
  std::vector<transfer> running;
  for (int i = 0; i < 9; ++i) running.push_back(near.submit(peer, op::put, std::span(&all, 1)).value());
  const auto ended = [&] { return std::count_if(running.begin(), running.end(), [](const transfer& each) { return each.ready(); }); };
  int rounds = 0;
  for (; ended() < 9 && rounds < 1000; ++rounds) near.progress();
  EXPECT_EQ(ended(), 9);
  EXPECT_GE(rounds, 4) << "one round copied more than 32 MiB";
  for (const transfer& each : running) EXPECT_TRUE(each.how().ok());
}

/// Time goes on by as much whenever somebody looks at it.
struct restless_clock {
  [[nodiscard]] time_source source() noexcept {
    return {[](void* self) noexcept {
              auto& clock = *static_cast<restless_clock*>(self);
              return clock.at += clock.step;
            },
            this};
  }
  std::chrono::nanoseconds at{0}, step{0};
};

TEST_F(ucx_shared_regions, end_their_round_in_time) {
  constexpr std::size_t size = std::size_t{32} << 20;
  for (const bool slow : {false, true}) {
    restless_clock clock;
    auto near = ucx_test::make<ucx_test::shared_regions>({.clock = clock.source()}).value(), far = ucx_test::make<ucx_test::shared_regions>().value();
    const region source = near.allocate_region(size).value(), target = far.allocate_region(size).value();
    std::memset(source.data(), 1, size);
    const peer_id peer = conformance::connect(near, far);
    const slice all{source.id(), near.import_region(peer, far.export_region(target).value()).value(), 0, 0, size};
    near.progress();
    if (slow) clock.step = std::chrono::milliseconds(1);
    const auto arrived = [&] {
      std::size_t bytes = 0;
      for (std::size_t at = 0; at < size; at += 4096) bytes += target.bytes()[at] == std::byte{1} ? 4096u : 0u;
      return bytes;
    };
    transfer running = near.submit(peer, op::put, std::span(&all, 1)).value();
    EXPECT_EQ(running.ready(), !slow);
    if (!slow) continue;
    std::size_t before = arrived();
    EXPECT_GT(before, 0u);
    EXPECT_LE(before, std::size_t{2} << 20);
    near.progress();
    EXPECT_GT(arrived(), before);
    EXPECT_LE(arrived(), before + (std::size_t{2} << 20));
    for (int rounds = 0; !running.ready() && rounds < 1000; ++rounds) near.progress();
    EXPECT_TRUE(running.ready() && running.how().ok());
    EXPECT_EQ(arrived(), size);
  }
}

TEST_F(ucx_shared_regions, let_small_batches_pass_large_ones) {
  constexpr std::size_t large = std::size_t{48} << 20;
  restless_clock clock;  // stands still: a round is as many bytes
  auto near = ucx_test::make<ucx_test::shared_regions>({.clock = clock.source()}).value(), far = ucx_test::make<ucx_test::shared_regions>().value();
  const region source = near.allocate_region(large).value(), target = far.allocate_region(large).value();
  const peer_id peer = conformance::connect(near, far);
  const slice all{source.id(), near.import_region(peer, far.export_region(target).value()).value(), 0, 0, large};
  std::vector<transfer> running;
  for (int i = 0; i < 10; ++i) running.push_back(near.submit(peer, op::put, std::span(&all, 1)).value());
  const slice little{all.local, all.remote, 0, 0, 64};
  transfer small = near.submit(peer, op::put, std::span(&little, 1)).value();
  for (int rounds = 0; rounds < 3; ++rounds) near.progress();
  EXPECT_TRUE(small.ready()) << "behind ten large ones";
  for (const transfer& each : running) EXPECT_FALSE(each.ready());
  for (int rounds = 0; rounds < 100; ++rounds) near.progress();
  for (const transfer& each : running) EXPECT_TRUE(each.ready() && each.how().ok());
}

TEST_F(ucx_shared_regions, larger_than_a_round_need_no_wake_but_the_descriptor) {
  constexpr std::size_t large = std::size_t{70} << 20;
  auto near = ucx_test::make<ucx_test::shared_regions>().value(), far = ucx_test::make<ucx_test::shared_regions>().value();
  const region source = near.allocate_region(large).value(), target = far.allocate_region(large).value();
  const peer_id peer = conformance::connect(near, far);
  const slice all{source.id(), near.import_region(peer, far.export_region(target).value()).value(), 0, 0, large};
  const int fd = near.event_fd();
  ASSERT_GE(fd, 0);
  const auto readable_after_progress = [&] {
    while (near.progress() != 0) {}
    ::pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, 0) == 1;
  };
  for (int quiet = 0; quiet < 3;) quiet = readable_after_progress() ? 0 : quiet + 1;  // the control: it does sleep where there is nothing to copy
  const transfer running = near.submit(peer, op::put, std::span(&all, 1)).value();
  EXPECT_FALSE(running.ready());
  for (int rounds = 0; readable_after_progress() && !running.ready() && rounds < 1000;) ++rounds;
  EXPECT_TRUE(running.ready()) << "it would have slept while there was something to copy";
  while (!running.ready()) near.progress();
  EXPECT_TRUE(running.how().ok());
}

/// Time goes on as it does, until it is stopped; then only when it is told to.
struct stoppable_clock {
  [[nodiscard]] time_source source() noexcept {
    return {[](void* self) noexcept {
              const auto& clock = *static_cast<stoppable_clock*>(self);
              return clock.stopped ? clock.at : time_source{}.now();
            },
            this};
  }
  void stop() noexcept { at = time_source{}.now(), stopped = true; }
  bool stopped = false;
  std::chrono::nanoseconds at{0};
};

/// Kills the peer when the first transfer ends, and lets a millisecond pass.
struct killing_observer final : transfer_observer {
  killing_observer(ucx_test::process& of, stoppable_clock& on) : far(of), clock(on) {}
  void ended(peer_id, op, const completion&) noexcept override {
    if (!std::exchange(armed, false)) return;
    far.kill();
    clock.at += std::chrono::milliseconds(1);
  }
  ucx_test::process& far;
  stoppable_clock& clock;
  bool armed = false;
};

TEST_F(ucx_shared_regions, refuse_what_begins_after_their_owner_died_in_the_same_round) {
  constexpr std::size_t size = std::size_t{1} << 20;
  for (const bool dies : {false, true}) {
    ucx_test::process far(ucx_test::shared_regions::lanes, size, true);
    stoppable_clock clock;
    killing_observer observer(far, clock);
    auto near = ucx_test::make<ucx_test::shared_regions>({.clock = clock.source(), .observer = &observer}).value();
    const region source = near.allocate_region(size).value();
    const peer_id peer = near.connect(far.address()).value();
    const remote_region_id there = near.import_region(peer, far.descriptor()).value();
    const std::vector<slice> more_than_a_round(36, slice{source.id(), there, 0, 0, size});
    near.progress();
    clock.stop();
    observer.armed = dies;
    transfer first = near.submit(peer, op::put, more_than_a_round).value();
    transfer second = near.submit(peer, op::put, std::span(more_than_a_round).first(1)).value();
    ASSERT_FALSE(first.ready());
    ASSERT_FALSE(second.ready());
    near.progress();  // the rest of the first, which is one turn, then the second
    EXPECT_TRUE(first.ready() && first.how().ok());
    for (int i = 0; i < 5; ++i) near.progress();
    ASSERT_TRUE(second.ready());
    EXPECT_EQ(second.how().ok(), !dies);
    if (dies) {
      EXPECT_EQ(name_of(second.how().status.error().code()), "peer_lost");
    }
  }
}

TEST_F(ucx_shared_regions, can_be_declined) {
  for (const bool near_shares : {false, true}) {
    auto near = ucx_test::make<ucx_test::shared_regions>({}, [&](ucx_options& all) { all.share_regions = near_shares; }).value();
    auto far = ucx_test::make<ucx_test::shared_regions>({}, [&](ucx_options& all) { all.share_regions = !near_shares; }).value();
    const region source = near.allocate_region(4096).value(), target = far.allocate_region(4096).value();
    const peer_id peer = conformance::connect(near, far);
    const slice all{source.id(), near.import_region(peer, far.export_region(target).value()).value(), 0, 0, 4096};
    fill(source.bytes(), 5);
    transfer running = near.submit(peer, op::put, std::span(&all, 1)).value();
    EXPECT_FALSE(running.ready()) << "it went without a message";
    while (!running.ready()) near.progress(), far.progress();
    EXPECT_TRUE(running.how().ok());
    EXPECT_TRUE(conformance::same(source.bytes(), target.bytes()));
  }
}

}  // namespace process_test

#endif
