// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Deadlines of a store's client, the longest included, and what it does where the server lies.

#include <lading/exchange/client.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <lading/exchange/server.hpp>
#include <lading/exchange/service.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace client_test {
using namespace std::chrono_literals;
using server_type = store_server<loopback>;
using client_type = store_client<loopback>;

constexpr auto never = std::chrono::nanoseconds::max();
const std::vector<std::string> keys{"a"};
const std::vector<std::vector<std::byte>> values{{std::byte{1}}};

TEST(store_client_deadlines, never_is_never) {
  const auto server = server_type::create(loopback::create().value()).value();
  const store_service<server_type> serving(*server);
  const channel_options patient{.attempt_time = never, .connect_time = never, .longest_pause = never};
  const auto one = client_type::connect(loopback::create().value(), server->address(), {.channel = patient, .deadline = never}).value();
  EXPECT_TRUE(one->put_batch(keys, values, {.deadline = never})[0].has_value());
  EXPECT_TRUE(one->exists_batch(keys)[0].value()) << "the client's own deadline";
}

TEST(store_client_deadlines, hold_while_another_call_connects) {
  auto server = server_type::create(loopback::create().value()).value();
  auto serving = std::make_unique<store_service<server_type>>(*server);
  const auto one = client_type::connect(loopback::create().value(), server->address(), {.deadline = 1s}).value();
  ASSERT_TRUE(one->put_batch(keys, values)[0].has_value()) << "the control";
  const auto address = server->address();
  serving.reset();  // it hangs from here on
  std::thread connecting([&] { EXPECT_FALSE(one->reconnect(address).has_value()); });
  std::this_thread::sleep_for(50ms);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(one->exists_batch(keys, {.deadline = 50ms})[0].error(), errc::timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 600ms);
  connecting.join();
}

TEST(store_client_deadlines, an_attempt_may_take_less_than_a_millisecond) {
  const auto server = server_type::create(loopback::create().value()).value();
  const store_service<server_type> serving(*server);
  const auto one = client_type::connect(loopback::create().value(), server->address(), {.channel = {.attempt_time = 500us}}).value();
  EXPECT_TRUE(one->put_batch(keys, values)[0].has_value());
}

TEST(store_client, goes_on_with_fewer_slots_where_another_server_allows_no_more) {
  const auto hangs = server_type::create(loopback::create().value()).value();
  const auto other = server_type::create(loopback::create().value(), {.slots_per_client = 1}).value();
  const store_service<server_type> serving(*other);
  auto first = std::make_unique<store_service<server_type>>(*hangs);
  const auto one = client_type::connect(loopback::create().value(), hangs->address(), {.channel = {.attempt_time = 50ms}, .deadline = 20s}).value();
  first.reset();
  std::vector<std::thread> calls;
  std::vector<result<bool>> there(4, result<bool>(true));
  for (auto& each : there) calls.emplace_back([&] { each = one->exists_batch(keys)[0]; });
  std::this_thread::sleep_for(100ms);  // all are under way
  EXPECT_TRUE(one->reconnect(other->address()).has_value());
  for (auto& each : calls) each.join();
  for (const auto& each : there) {
    ASSERT_TRUE(each.has_value()) << each.error().message();
    EXPECT_FALSE(*each);
  }
}

TEST(store_client, gives_its_leases_back_however_few_slots_there_are) {
  const auto server = server_type::create(loopback::create().value(), {.lease_time = 1h}).value();
  const store_service<server_type> serving(*server);
  for (const std::size_t slots : {1u, 2u}) {
    const auto one = client_type::connect(loopback::create().value(), server->address(), {.channel = {.slots = slots}}).value();
    for (const auto& each : one->put_batch(keys, values, {.mode = put_mode::replace})) ASSERT_TRUE(each.has_value());
    std::vector<std::thread> readers;
    for (int i = 0; i < 4; ++i) {
      readers.emplace_back([&] {
        for (int round = 0; round < 25; ++round) EXPECT_TRUE(one->get_batch<std::vector<std::byte>>(keys)[0].has_value());
      });
    }
    for (auto& each : readers) each.join();
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (server->stats().leased != 0 && std::chrono::steady_clock::now() < until) EXPECT_TRUE(one->exists_batch(keys)[0].has_value());
    EXPECT_EQ(server->stats().leased, 0u) << slots << " slots";
  }
}

/// Says in the answers of its server that all values are so large.
struct liar : loopback {
  liar() : loopback(loopback::create().value()) {}
  [[nodiscard]] result<region> allocate_region(std::size_t size) {
    auto made = loopback::allocate_region(size);
    if (made) memory[made->id()] = made->bytes();
    return made;
  }
  [[nodiscard]] result<transfer> submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& how = {}) {
    if (claimed != 0 && direction == op::put && slices.size() == 1) {
      const bytes_span slot = memory[slices[0].local].subspan(slices[0].local_offset, slices[0].size);
      protocol::message said;
      if (protocol::read_message(slot, said) && said.head.kind == protocol::kind::find) {
        auto answer = decode_from<protocol::find_answer>(bytes_view(said.body())).value();
        for (protocol::found& each : answer.entries) {
          each.meta.size = claimed;
          each.at = {{0, 0, claimed}};
        }
        EXPECT_TRUE(protocol::write_message(slot, said.head.kind, said.head.sender, said.head.sequence, answer).has_value());
      }
    }
    return loopback::submit(peer, direction, slices, how);
  }
  [[nodiscard]] result<transfer> submit(const prepared_batch& prepared, const submit_options& how = {}) { return loopback::submit(prepared, how); }

  std::map<region_id, bytes_span> memory;
  std::uint64_t claimed = 0;
};

/// Spoils a byte of what it fetches.
struct spoiling : loopback {
  spoiling() : loopback(loopback::create().value()) {}
  [[nodiscard]] result<region> allocate_region(std::size_t size) {
    auto made = loopback::allocate_region(size);
    if (made) memory[made->id()] = made->bytes();
    return made;
  }
  [[nodiscard]] result<transfer> submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& how = {}) {
    auto moving = loopback::submit(peer, direction, slices, how);
    if (moving && direction == op::get && !slices.empty() && left > 0) {
      --left;
      EXPECT_TRUE(moving->wait().ok());
      memory[slices[0].local][slices[0].local_offset + slices[0].size - 1] ^= std::byte{1};
    }
    return moving;
  }
  [[nodiscard]] result<transfer> submit(const prepared_batch& prepared, const submit_options& how = {}) { return loopback::submit(prepared, how); }

  std::map<region_id, bytes_span> memory;
  int left = 0;
};

TEST(store_client, returns_no_value_whose_bytes_are_not_those_that_were_put) {
  const auto server = server_type::create(loopback::create().value()).value();
  const store_service<server_type> serving(*server);
  const auto one = store_client<spoiling, select_always>::connect(spoiling(), server->address(), {.batch_workers = 1, .serial_workers = 1}).value();
  ASSERT_TRUE(one->put_batch(keys, values)[0].has_value());
  const auto get = [&] { return one->get_batch<std::vector<std::byte>>(keys)[0]; };
  one->transport_used().left = 1;
  EXPECT_EQ(get().value(), values[0]) << "it asks again";
  EXPECT_EQ(one->metrics().retried, 1u);
  one->transport_used().left = 1000;
  EXPECT_EQ(get().error(), errc::checksum_mismatch);
  EXPECT_EQ(one->view_batch<bytes_view>(keys)[0].error(), errc::checksum_mismatch);
  std::vector<std::byte> buffer(1);
  EXPECT_EQ(one->get_batch_into(keys, std::vector<bytes_span>{buffer})[0].error(), errc::checksum_mismatch);
  one->transport_used().left = 0;
  EXPECT_EQ(get().value(), values[0]);
}

TEST(store_client, allocates_no_more_than_it_may_and_uses_up_no_slot) {
  using server_of_lies = store_server<liar, select_always>;
  using careful = store_client<loopback, select_always>;
  const auto server = server_of_lies::create(liar()).value();
  store_client_options how{.batch_workers = 1, .serial_workers = 1};
  how.channel.idle = [](void* used) { static_cast<server_of_lies*>(used)->progress(); };
  how.channel.idle_context = server.get();
  const auto one = careful::connect(loopback::create().value(), server->address(), how).value();
  how.largest_value = ~std::uint64_t{0};
  const auto rash = careful::connect(loopback::create().value(), server->address(), how).value();
  how.largest_value = 0;
  EXPECT_EQ(careful::connect(loopback::create().value(), server->address(), how).error(), errc::invalid_argument);
  ASSERT_TRUE(one->put_batch(keys, values)[0].has_value());
  const auto get = [&](careful& client) { return client.get_batch<std::vector<std::byte>>(keys, {.deadline = 2s})[0]; };
  for (std::size_t i = 0; i < 2 * how.channel.slots; ++i) {
    liar& transport = server->transport_used();
    transport.claimed = (std::uint64_t{4} << 30) + 1;
    EXPECT_EQ(get(*one).error(), errc::limit_exceeded);
    EXPECT_EQ(one->view_batch<bytes_view>(keys)[0].error(), errc::limit_exceeded);
    transport.claimed = std::uint64_t{1} << 63;  // above any vector's length, too
    EXPECT_EQ(get(*rash).error(), errc::no_memory);
    transport.claimed = 0;
  }
  EXPECT_EQ(get(*one).value(), values[0]);
  EXPECT_EQ(get(*rash).value(), values[0]);
  for (int i = 0; i < 10; ++i) server->progress();
  EXPECT_EQ(server->stats().leased, 0u);
}

}  // namespace client_test
}  // namespace lading
