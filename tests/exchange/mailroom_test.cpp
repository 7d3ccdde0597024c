// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Whom a store's server lets in, and whom it forgets for that.

#include <lading/exchange/detail/mailroom.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <exchange/keeps_gets.hpp>
#include <exchange/store_samples.hpp>
#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace mailroom_test {

using namespace std::chrono_literals;
using store_conformance::count_ok;
using store_conformance::keys;
using store_conformance::numbers;
using client_type = store_client<loopback, select_always>;

/// A transport that does not reach some of its peers before it is told to give up.
struct reluctant : loopback {
  struct fate {
    std::vector<std::vector<std::byte>> unreachable;
    std::atomic<int> waiting{0};
    std::atomic<bool> given_up{false};
  };
  explicit reluctant(fate& shared) : loopback(loopback::create().value()), told(&shared) {}
  result<peer_id> connect(bytes_view address, std::chrono::nanoseconds timeout = 10s) {
    const auto same = [&](const auto& each) { return std::ranges::equal(address, each); };
    if (std::any_of(told->unreachable.begin(), told->unreachable.end(), same)) {
      ++told->waiting;
      while (!told->given_up) std::this_thread::sleep_for(1ms);
      --told->waiting;
      return fail(errc::timed_out);
    }
    return loopback::connect(address, timeout);
  }
  fate* told;
};

/// A server, and clients that drive it while they wait.
struct mailrooms : ::testing::Test {
  using server_type = store_server<reluctant, select_always>;
  ~mailrooms() override { told.given_up = true; }

  void serve(store_server_options how) {
    how.memory = {.capacity = 8 << 20, .slab_size = 1 << 20};
    server = server_type::create(reluctant(told), how).value();
  }
  [[nodiscard]] auto connect(std::chrono::nanoseconds time = 10s, loopback transport = loopback::create().value()) {
    store_client_options how{.memory = {.capacity = 2 << 20, .slab_size = 2 << 20}, .batch_workers = 1, .serial_workers = 1};
    how.channel.attempt_time = 50ms;
    how.channel.connect_time = time;
    how.channel.reconnects = 1;
    how.channel.idle = [](void* served) { static_cast<server_type*>(served)->progress(); };
    how.channel.idle_context = server.get();
    return client_type::connect(std::move(transport), server->address(), how);
  }
  [[nodiscard]] bool serves(client_type& one) {
    return count_ok(one.put_batch(keys(3), std::vector<tensor>(3, numbers(100, 0)), {.mode = put_mode::replace})) == 3;
  }
  /// Says hello in another's name, as often as one likes.
  void say_hello(std::uint64_t number, bytes_view address, std::vector<std::byte> answers = std::vector<std::byte>(64)) {
    if (lobby == remote_region_id{}) {
      const auto said = protocol::read_address(server->address()).value();
      stranger_there = stranger.connect(said.endpoint).value();
      lobby = stranger.import_region(stranger_there, said.lobby).value();
    }
    const protocol::hello said{{address.begin(), address.end()}, std::move(answers), 1, 1 << 16};
    const slice where{words.id(), lobby, 0, 0, protocol::write_message(words.bytes(), protocol::kind::hello, number, 1, said).value()};
    auto sent =
        stranger.submit(stranger_there, op::put, std::span(&where, 1), {.notify_tag = protocol::announcement::tag(0, 1, true), .notify = true});
    ASSERT_TRUE(sent.value().wait().ok());
    for (int i = 0; i < 10; ++i) server->progress();
  }
  [[nodiscard]] bool is_known(std::size_t clients) {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (server->stats().clients != clients && std::chrono::steady_clock::now() < until) server->progress();
    return server->stats().clients == clients;
  }

  reluctant::fate told;
  std::unique_ptr<server_type> server;
  loopback stranger = loopback::create().value();
  region words = stranger.allocate_region(protocol::lobby_slot).value();
  peer_id stranger_there{};
  remote_region_id lobby{};
};

TEST_F(mailrooms, more_clients_than_there_is_room_for_are_not_let_in) {
  serve({.max_clients = 1});
  auto one = connect().value();
  EXPECT_EQ(connect(400ms).error(), errc::timed_out);
  one.reset();
  EXPECT_TRUE(connect().has_value());
}

TEST_F(mailrooms, a_client_that_cannot_be_reached_keeps_no_other_waiting) {
  serve({});
  auto unreachable = loopback::create().value();
  told.unreachable = {unreachable.address().value()};
  auto known = connect().value();
  EXPECT_EQ(connect(50ms, std::move(unreachable)).error(), errc::timed_out);
  EXPECT_EQ(told.waiting.load(), 1) << "the server has not given it up";
  EXPECT_TRUE(serves(*known)) << "but serves those it knows";
  auto late = connect();
  ASSERT_TRUE(late.has_value()) << "and those that come";
  EXPECT_TRUE(serves(**late));
  EXPECT_EQ(told.waiting.load(), 1);
}

TEST_F(mailrooms, who_says_hello_for_nobody_is_forgotten_at_once) {
  serve({.max_clients = 4});
  auto known = connect().value();
  for (std::uint64_t i = 1; i <= 8; ++i) say_hello(i, std::vector<std::byte>(64, static_cast<std::byte>(i)));
  EXPECT_TRUE(is_known(1));
  const auto another = loopback::create().value();
  say_hello(9, another.address().value());
  EXPECT_TRUE(is_known(1)) << "nor does a hello in another's name stay";
  auto late = connect();
  ASSERT_TRUE(late.has_value());
  EXPECT_TRUE(serves(**late) && serves(*known));
}

TEST_F(mailrooms, who_was_never_reached_makes_room_before_any_client) {
  serve({.max_clients = 2, .lease_time = 1ns});  // all are silent for long
  for (unsigned char i = 1; i <= 3; ++i) told.unreachable.push_back(std::vector<std::byte>(64, std::byte{i}));
  auto known = connect().value();
  for (std::size_t i = 0; i < 3; ++i) say_hello(i + 1, told.unreachable[i]);
  EXPECT_EQ(server->stats().clients, 2u);
  EXPECT_TRUE(serves(*known));
  auto late = connect();
  ASSERT_TRUE(late.has_value());
  EXPECT_TRUE(serves(**late) && serves(*known));
}

TEST_F(mailrooms, an_endpoint_has_one_place_until_it_was_reached) {
  serve({});
  for (unsigned char i = 1; i <= 3; ++i) told.unreachable.push_back(std::vector<std::byte>(64, std::byte{i}));
  for (std::size_t i = 0; i < 3; ++i) say_hello(i + 1, told.unreachable[i]);
  EXPECT_EQ(server->stats().clients, 1u);
  auto late = connect();
  ASSERT_TRUE(late.has_value());
  EXPECT_TRUE(serves(**late));
}

TEST_F(mailrooms, an_endpoint_is_one_client_whatever_it_says) {
  serve({.max_clients = 3});
  auto known = connect().value();
  const region answers = stranger.allocate_region(2 << 16).value();
  const auto own = stranger.address().value();
  for (std::uint64_t i = 1; i <= 5; ++i) {
    say_hello(i, own, stranger.export_region(answers).value());
    EXPECT_TRUE(is_known(2)) << i;
    notification welcome;
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (!stranger.next_notification(welcome) && std::chrono::steady_clock::now() < until) server->progress(), stranger.progress();
    EXPECT_EQ(protocol::announcement::sequence_of(welcome.tag), 1u) << "it was let in";
    server->progress();
    EXPECT_EQ(server->stats().clients, 2u) << "and that which it was before has gone";
  }
  auto late = connect();
  ASSERT_TRUE(late.has_value());
  EXPECT_TRUE(serves(**late) && serves(*known));
}

TEST_F(mailrooms, only_a_client_that_is_idle_makes_room_for_another) {
  serve({.max_clients = 2, .lease_time = 100ms});
  auto idle = connect().value();
  std::this_thread::sleep_for(110ms);
  auto busy = connect().value();
  ASSERT_TRUE(serves(*busy));
  told.unreachable = {std::vector<std::byte>(64)};
  for (std::uint64_t i = 1; i <= 5; ++i) say_hello(i, told.unreachable[0]);
  EXPECT_EQ(server->stats().clients, 2u);
  EXPECT_TRUE(serves(*busy));
  told.given_up = true;
  EXPECT_TRUE(serves(*idle)) << "and who was comes back by itself";
}

/// A server whose path to its clients may be stuck. Waiting for what is stuck takes longer than the clients do.
struct stuck_mailrooms : ::testing::Test {
  using server_type = store_server<endpoint, select_always>;
  static constexpr std::size_t most = 1;

  [[nodiscard]] auto connect(std::chrono::nanoseconds time = 10s) {
    store_client_options how{.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .batch_workers = 1, .serial_workers = 1};
    how.channel.slots = 1;
    how.channel.attempt_time = 20s;
    how.channel.connect_time = time;
    how.channel.reconnects = 0;
    how.channel.idle = [](void* served) { static_cast<server_type*>(served)->progress(); };
    how.channel.idle_context = server.get();
    return client_type::connect(loopback::create().value(), server->address(), how);
  }
  /// Asks for what never arrives, and is silent from then on.
  void get_stuck(client_type& one) {
    told.keep = told.hold = true;
    EXPECT_EQ(one.exists_batch(keys(1), {.deadline = 20ms})[0].error(), errc::timed_out);
    told.keep = false;
    ASSERT_GT(told.kept, std::exchange(before, told.kept)) << "its answer is with the transport";
  }

  store_conformance::keeps_gets::fate told{.direction = op::put};
  std::size_t before = 0;
  std::unique_ptr<server_type> server =
      server_type::create(endpoint::create(std::make_unique<store_conformance::keeps_gets>(told), {.close_limit = 20s}).value(),
                          {.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .max_clients = most, .lease_time = 1ns})
          .value();
  ~stuck_mailrooms() override { told.keep = told.hold = false; }
};

TEST_F(stuck_mailrooms, a_client_with_a_stuck_answer_makes_room_and_nobody_waits) {
  auto stuck = connect().value();
  get_stuck(*stuck);
  auto late = connect();
  ASSERT_TRUE(late.has_value()) << "the server has waited for the answer of the one before";
  EXPECT_EQ(count_ok((*late)->put_batch(keys(1), std::vector<tensor>(1, numbers(10, 0)))), 1u);
  told.hold = false;
}

TEST_F(stuck_mailrooms, memory_that_is_stuck_is_bounded) {
  auto first = connect().value();
  get_stuck(*first);
  auto second = connect().value();
  EXPECT_FALSE(connect(200ms).has_value()) << "what the transport holds is too much";
  told.hold = false;
  EXPECT_TRUE(connect().has_value());
}

}  // namespace mailroom_test
}  // namespace lading
