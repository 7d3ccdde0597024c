// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// What the options allow, and what the largest that they allow does.

#include <lading/transport/progress_thread.hpp>

#include "rig.hpp"

#if defined(__linux__)
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace options_test {
using namespace lading;

TEST(ucx_options, of_no_sense_are_refused_with_their_limit) {
  for (const std::size_t window : {std::size_t{0}, std::size_t{1001}, std::size_t{65'535}, ~std::size_t{0}}) {
    const auto made = ucx::create({.window = window});
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error(), errc::invalid_argument);
    EXPECT_EQ(made.error().details().available, 1000u);
  }
  EXPECT_EQ(ucx::create({.window_bytes = 0}).error(), errc::invalid_argument);
  EXPECT_EQ(ucx::create({.heartbeat = std::chrono::nanoseconds(0)}).error(), errc::invalid_argument);
  EXPECT_EQ(ucx::create({.stall_limit = std::chrono::seconds(-1)}).error(), errc::invalid_argument);
}

TEST(ucx_options, of_lanes_that_are_not_there_are_refused) {
  EXPECT_EQ(ucx::create({.lanes = "no_such_lane"}).error(), errc::backend_failure);
  EXPECT_EQ(ucx::create({.lanes = "tcp", .devices = "no_such_device"}).error(), errc::backend_failure);
  EXPECT_FALSE(ucx::create({.settings = {{"KEEPALIVE_INTERVAL", "no time"}}}).has_value());
}

#if defined(__linux__)
TEST(ucx_create, without_descriptors_left_is_an_error) {
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
  GTEST_SKIP() << "UBSan itself needs descriptors to look at an object's type";
#endif
#endif
  ::rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  ::rlimit few = before;
  few.rlim_cur = std::min<::rlim_t>(few.rlim_cur, 512);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<int> taken;
  for (int next = ::dup(0); next >= 0; next = ::dup(0)) taken.push_back(next);
  std::vector<errc> codes;
  for (int left = 0; left <= 15; ++left) {
    const auto made = ucx::create({.lanes = "tcp"});
    codes.push_back(made ? errc{} : made.error().code());
    ::close(taken.back());
    taken.pop_back();
  }
  for (const int each : taken) ::close(each);
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  for (const errc each : codes) EXPECT_EQ(name_of(each), "no_memory");
}
#endif

template <class Lanes>
class ucx_windows : public ucx_test::on_lanes<Lanes> {};
using all_lanes = testing::Types<ucx_test::tcp, ucx_test::shared_memory>;
TYPED_TEST_SUITE(ucx_windows, all_lanes);

/// More requests than that at a time would have the peer give up an honest one.
TYPED_TEST(ucx_windows, of_the_largest_size_serve_both_ways) {
  const auto widen = [](ucx_options& all) { all.window = 1000; };
  auto near = ucx_test::make<TypeParam>({}, widen).value(), far = ucx_test::make<TypeParam>({}, widen).value();
  constexpr std::size_t size = 3000, count = 2500;  // alone in its message, each
  const region here = near.allocate_region(size * 100).value();
  std::vector<std::byte> memory(size * 100);
  const region registered = far.register_region(memory).value();
  const peer_id peer = conformance::connect(near, far);
  const auto there = near.import_region(peer, far.export_region(registered).value()).value();
  conformance::fill(here.bytes(), 3);
  std::vector<slice> slices;
  for (std::size_t i = 0; i < count; ++i) slices.push_back({here.id(), there, i % 100 * size, i % 100 * size, size});
  for (const op direction : {op::put, op::get}) {
    const transfer running = near.submit(peer, direction, slices).value();
    for (int i = 0; i < 50; ++i) near.progress();  // the peer has all that it gets to answer at once
    for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
         !running.ready() && std::chrono::steady_clock::now() < until;)
      near.progress(), far.progress();
    ASSERT_TRUE(running.ready());
    EXPECT_TRUE(running.how().ok()) << running.how().status.error().message();
  }
  EXPECT_TRUE(conformance::same(here.bytes(), memory));
}

// --- durations

template <class Lanes>
class ucx_durations : public ucx_test::on_lanes<Lanes> {};
TYPED_TEST_SUITE(ucx_durations, all_lanes);

TYPED_TEST(ucx_durations, that_have_no_end_are_not_over_at_once) {
  constexpr auto never = std::chrono::nanoseconds::max();
  const endpoint_options patient{.default_deadline = never, .drain_limit = never, .close_limit = never};
  const auto wait = [](ucx_options& all) { all.heartbeat = all.stall_limit = std::chrono::nanoseconds::max(), all.listen = "127.0.0.1:0"; };
  auto near = ucx_test::make<TypeParam>(patient, wait).value(), far = ucx_test::make<TypeParam>(patient, wait).value();
  const region here = near.allocate_region(4096).value(), there = far.allocate_region(4096).value();
  conformance::fill(here.bytes(), 5);
  const std::string text = "127.0.0.1:" + std::to_string(far.port());
  for (const bool by_text : {true, false}) {
    result<peer_id> peer = fail(errc::closed);
    {
      const progress_thread serving(far);
      peer = by_text ? near.connect(std::string_view(text), never) : near.connect(bytes_view(far.address().value()), never);
    }
    ASSERT_TRUE(peer.has_value()) << peer.error().message();
    const slice all{here.id(), near.import_region(*peer, far.export_region(there).value()).value(), 0, 0, 4096};
    transfer running = near.submit(*peer, op::put, std::span(&all, 1), {.deadline = never, .notify = true}).value();
    for (int i = 0; i < 50; ++i) near.progress();
    EXPECT_FALSE(running.ready()) << "its peer has not made progress";
    for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
         !running.ready() && std::chrono::steady_clock::now() < until;)
      near.progress(), far.progress();
    ASSERT_TRUE(running.wait_for(std::chrono::nanoseconds(0)));
    EXPECT_TRUE(running.how().ok()) << running.how().status.error().message();
    near.disconnect(*peer);
  }
  EXPECT_TRUE(conformance::same(here.bytes(), there.bytes()));
}

}  // namespace options_test
