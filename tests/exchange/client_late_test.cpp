// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// What a store's client does when its time is up: at once, and what the transport still touches stays as it is.

#include <lading/exchange/client.hpp>

#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <exchange/keeps_gets.hpp>
#include <exchange/store_samples.hpp>
#include <lading/exchange/server.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace client_late_test {

using namespace std::chrono_literals;
using store_conformance::count_ok;
using store_conformance::keeps_gets;
using store_conformance::keys;
using store_conformance::numbers;
using store_conformance::record;
using store_conformance::sample;
using clock = std::chrono::steady_clock;
using value = std::vector<std::byte>;

constexpr std::size_t key_count = 4;
constexpr auto soon = 1500ms;  // after a deadline of 100 ms; each key that is waited for alone takes a second

/// A server and clients that share one thread; one of the two sides keeps what it fetches until it is let go.
template <class ServerTransport, class ClientTransport>
struct late : ::testing::Test {
  using server_type = store_server<ServerTransport, select_always>;
  template <class T>
  using client_of = store_client<T, select_always>;

  template <class T>
  [[nodiscard]] T transport(endpoint_options how = {}) {
    if constexpr (std::same_as<T, loopback>) {
      return loopback::create().value();
    } else {
      return endpoint::create(std::make_unique<keeps_gets>(told), how).value();
    }
  }
  [[nodiscard]] store_client_options options() {
    store_client_options how{.memory = {.capacity = 2 << 20, .slab_size = 2 << 20}, .batch_workers = 1, .serial_workers = 1};
    how.channel.idle = [](void* used) { static_cast<late*>(used)->step(); };
    how.channel.idle_context = this;
    return how;
  }
  void step() {
    if (!hangs) server->progress();
    if (on_step) on_step();
  }
  [[nodiscard]] auto client(endpoint_options how = {}) {
    auto with = options();
    with.channel.attempt_time = attempt_time;
    return client_of<ClientTransport>::connect(transport<ClientTransport>(how), server->address(), with).value();
  }
  [[nodiscard]] auto writer() { return client_of<loopback>::connect(loopback::create().value(), server->address(), options()).value(); }
  /// Lets the bytes come; whether the client's transport has let go of everything then.
  template <class Client>
  [[nodiscard]] bool settles(Client& one) {
    told.keep = told.hold = false;
    const auto until = clock::now() + 10s;
    while (!one.quiescent() && clock::now() < until) {
      server->progress();
      one.transport_used().progress();
    }
    return one.quiescent();
  }

  keeps_gets::fate told;
  bool hangs = false;
  std::function<void()> on_step;
  std::chrono::nanoseconds attempt_time = 1s;
  std::unique_ptr<server_type> server =
      server_type::create(transport<ServerTransport>(), {.memory = {.capacity = 16 << 20, .slab_size = 16 << 20}}).value();
};

using late_puts = late<endpoint, loopback>;
using late_gets = late<loopback, endpoint>;

TEST_F(late_puts, in_place_wait_for_no_memory) {
  const auto one = client();
  const std::vector<value> values(key_count, value(400'000, std::byte{3}));
  told.keep = told.hold = true;
  const auto begin = clock::now();
  for (const auto& each : one->put_batch(keys(key_count), values, {.deadline = 100ms})) EXPECT_EQ(each.error(), errc::timed_out);
  EXPECT_LT(clock::now() - begin, soon);
  EXPECT_EQ(one->metrics().at(payload_path::put_in_place).values, key_count);
  EXPECT_FALSE(one->quiescent()) << "the server is still at it";
  EXPECT_TRUE(settles(*one));
  EXPECT_EQ(count_ok(one->put_batch(keys(key_count), values, {.mode = put_mode::replace})), key_count);
  EXPECT_EQ(one->get_batch<value>(keys(1))[0].value(), values[0]);
}

TEST_F(late_puts, prepare_nothing_once_the_time_is_up) {
  auto how = options();
  how.keys_per_part = 8;
  const auto one = client_of<loopback>::connect(loopback::create().value(), server->address(), how).value();
  hangs = true;
  for (const auto& each : one->put_batch(keys(80), std::vector<tensor>(80, numbers(10, 1)), {.deadline = 60ms}))
    EXPECT_EQ(each.error(), errc::timed_out);
  EXPECT_EQ(one->metrics().at(payload_path::put_staged).values, 8u) << "of the first part";
  for (const auto& each : one->put_batch(keys(80), std::vector<record>(80, sample(7)), {.deadline = 60ms})) EXPECT_EQ(each.error(), errc::timed_out);
  EXPECT_EQ(one->metrics().at(payload_path::put_encoded).values, 8u);
  hangs = false;
  EXPECT_EQ(count_ok(one->put_batch(keys(80), std::vector<tensor>(80, numbers(10, 1)))), 80u) << "the control";
  EXPECT_EQ(one->metrics().at(payload_path::put_staged).values, 88u);
}

TEST_F(late_gets, into_buffers_wait_for_no_memory) {
  const std::vector<value> values(key_count, value(400'000, std::byte{3}));
  ASSERT_EQ(count_ok(writer()->put_batch(keys(key_count), values)), key_count);
  const auto one = client();
  std::vector<value> memory(key_count, value(400'000));
  const std::vector<bytes_span> buffers(memory.begin(), memory.end());
  told.keep = told.hold = true;
  const auto begin = clock::now();
  EXPECT_EQ(count_ok(one->get_batch_into(keys(key_count), buffers, {.deadline = 100ms})), 0u);
  EXPECT_LT(clock::now() - begin, soon);
  EXPECT_FALSE(one->quiescent());
  EXPECT_EQ(one->get_batch_into(keys(1), std::vector<bytes_span>{buffers[0].first(100)}, {.deadline = 100ms})[0].error(), errc::buffer_too_small);
  EXPECT_TRUE(settles(*one));
  EXPECT_EQ(memory, values) << "they came late";
  EXPECT_EQ(count_ok(one->get_batch_into(keys(key_count), buffers)), key_count);
}

TEST_F(late_gets, never_land_in_what_has_been_returned) {
  const auto other = writer();
  const std::vector<value> first{value(400'000, std::byte{1})}, larger{value(500'000, std::byte{2})};
  ASSERT_TRUE(other->put_batch(keys(1), first)[0].has_value());
  attempt_time = 20ms;
  const auto one = client({.drain_limit = 1ms});
  on_step = [&] {  // the first attempt is under way: a larger value takes the place of what it fetches
    if (told.kept == 0 || !told.keep) return;
    told.keep = false;
    told.hold = true;
    EXPECT_TRUE(other->put_batch(keys(1), larger, {.mode = put_mode::replace})[0].has_value());
  };
  value memory(1'000'000);
  told.keep = true;
  const std::vector<bytes_span> buffer{memory};
  EXPECT_EQ(one->get_batch_into(keys(1), buffer, {.deadline = 1s})[0].error(), errc::busy) << "the first attempt still has the buffer";
  EXPECT_EQ(told.kept, 1u);
  EXPECT_TRUE(other->put_batch(keys(1, "other/"), first)[0].has_value()) << "where the first value was";
  EXPECT_TRUE(settles(*one));
  EXPECT_EQ(one->get_batch_into(keys(1), buffer)[0].value(), 500'000u) << "the control";
  EXPECT_EQ(value(memory.begin(), memory.begin() + 500'000), larger[0]);
}

TEST_F(late_gets, may_read_what_is_leased_no_longer) {
  server = server_type::create(loopback::create().value(), {.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .lease_time = 1ms}).value();
  const auto other = writer();
  const std::vector<value> values{value(1000, std::byte{1})};
  ASSERT_TRUE(other->put_batch(keys(1), values)[0].has_value());
  const auto one = client();
  on_step = [&] {
    if (told.kept == 0 || !told.keep) return;
    told.keep = false;
    told.hold = true;
    EXPECT_TRUE(other->remove_batch(keys(1))[0].has_value());
    while (server->stats().leased != 0) server->progress();
    EXPECT_EQ(server->stats().free, server->stats().capacity);
    told.hold = false;
  };
  told.keep = true;
  EXPECT_EQ(one->get_batch<value>(keys(1))[0].value(), values[0]) << "nobody has used the memory again";
  EXPECT_EQ(told.kept, 1u);
  EXPECT_EQ(one->get_batch<value>(keys(1))[0].error(), errc::not_found);
}

TEST_F(late_gets, views_of_what_owns_are_copies) {
  const auto one = writer();
  ASSERT_TRUE(one->put_batch(keys(1), std::vector<tensor>{numbers(10, 1)})[0].has_value());
  ASSERT_TRUE(one->view_batch<tensor_view>(keys(1))[0].has_value());
  EXPECT_EQ(one->metrics().at(payload_path::get_viewed).copies, 0u);
  ASSERT_TRUE(one->view_batch<tensor>(keys(1))[0].has_value());
  EXPECT_EQ(one->metrics().at(payload_path::get_viewed).values, 2u);
  EXPECT_EQ(one->metrics().at(payload_path::get_viewed).copies, 1u);
}

}  // namespace client_late_test
}  // namespace lading
