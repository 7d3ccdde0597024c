// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/detail/channel.hpp>

#include <chrono>
#include <new>

#include <gtest/gtest.h>

#include <lading/exchange/server.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace channel_test {
using namespace std::chrono_literals;
using submitter_type = basic_submitter<loopback, select_always>;
using server_type = store_server<loopback, select_always>;

TEST(store_channel, a_slot_comes_back_from_a_call_that_throws) {
  const auto server = server_type::create(loopback::create().value()).value();
  loopback transport = loopback::create().value();
  exchange_meter<> meter;
  submitter_type submitter = submitter_type::create(transport, meter).value();
  channel_options how{.slots = 2};
  how.idle = [](void* used) { static_cast<server_type*>(used)->progress(); };
  how.idle_context = server.get();
  detail::channel<loopback, submitter_type> line(transport, submitter, how);
  ASSERT_TRUE(line.open().has_value());
  const auto until = [] { return std::chrono::steady_clock::now() + 2s; };
  ASSERT_TRUE(line.connect(server->address(), until()).has_value());
  const auto ask = [&](auto use) { return line.call<store_stats>(protocol::kind::stats, protocol::nothing{}, until(), use); };
  for (std::size_t i = 0; i < how.slots + 1; ++i) {
    EXPECT_EQ(ask([](const store_stats&) -> result<void> { throw std::bad_alloc(); }).error(), errc::no_memory);
    EXPECT_THROW(static_cast<void>(ask([](const store_stats&) -> result<void> { throw 1; })), int);
  }
  EXPECT_TRUE(ask([](const store_stats&) { return result<void>(); }).has_value());
}

}  // namespace channel_test
}  // namespace lading
