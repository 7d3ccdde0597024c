// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A store server that has no memory for a request.

#include <lading/exchange/server.hpp>

#include <atomic>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <lading/exchange/client.hpp>
#include <lading/exchange/service.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace server_test {
using namespace std::chrono_literals;

/// The next calls find no memory.
struct scarce : loopback {
  scarce() : loopback(loopback::create().value()) {}
  [[nodiscard]] result<remote_region_id> import_region(peer_id peer, bytes_view descriptor) {
    if (imports > 0 && imports-- > 0) throw std::bad_alloc();
    return loopback::import_region(peer, descriptor);
  }
  [[nodiscard]] result<transfer> submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& how = {}) {
    std::atomic<int>& left = direction == op::put ? puts : gets;
    if (left > 0 && left-- > 0) throw std::bad_alloc();
    return loopback::submit(peer, direction, slices, how);
  }
  [[nodiscard]] result<transfer> submit(const prepared_batch& prepared, const submit_options& how = {}) { return loopback::submit(prepared, how); }

  static inline std::atomic<int> imports{0}, puts{0}, gets{0};
};

TEST(store_server, says_that_there_is_no_memory_and_goes_on) {
  using server_type = store_server<scarce, select_always>;
  const auto server = server_type::create(scarce()).value();
  const store_service<server_type> serving(*server);
  store_client_options how{.deadline = 10s, .batch_workers = 1, .serial_workers = 1};
  const auto one = store_client<loopback, select_always>::connect(loopback::create().value(), server->address(), how).value();
  const std::vector<std::string> keys{"a", "b"};
  const std::vector<std::vector<std::byte>> values(2, std::vector<std::byte>(100, std::byte{1}));
  for (std::atomic<int>* const none : {&scarce::imports, &scarce::gets}) {
    *none = 1;
    for (const auto& each : one->put_batch(keys, values)) EXPECT_EQ(each.error(), errc::no_memory);
    EXPECT_EQ(*none, 0);
    EXPECT_EQ(one->stats().value().free, server->stats().capacity);
    scarce::puts = 3;  // sends of answers, which are tried again
    for (const auto& each : one->put_batch(keys, values)) EXPECT_TRUE(each.has_value()) << "nothing of it was done before";
    EXPECT_EQ(scarce::puts, 0);
    EXPECT_EQ(one->get_batch<std::vector<std::byte>>(keys)[1].value(), values[1]);
    for (const auto& each : one->remove_batch(keys)) EXPECT_TRUE(each.has_value());
  }
}

TEST(store_client, may_find_no_memory_for_its_goodbye) {
  using server_type = store_server<loopback, select_always>;
  const auto server = server_type::create(loopback::create().value()).value();
  const store_service<server_type> serving(*server);
  for (const int failures : {0, 1}) {
    auto one = store_client<scarce, select_always>::connect(scarce(), server->address()).value();
    ASSERT_TRUE(one->exists_batch(std::vector<std::string>{"a"})[0].has_value());
    scarce::puts = failures;
    one.reset();
    EXPECT_EQ(scarce::puts, 0);
  }
}

}  // namespace server_test
}  // namespace lading
