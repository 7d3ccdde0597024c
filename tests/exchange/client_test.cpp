// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Deadlines of a store's client, the longest included.

#include <lading/exchange/client.hpp>

#include <chrono>
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

}  // namespace client_test
}  // namespace lading
