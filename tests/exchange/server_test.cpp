// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A store server that has no memory for a request, or no room for a value.

#include <lading/exchange/server.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <exchange/store_samples.hpp>
#include <lading/exchange/client.hpp>
#include <lading/exchange/detail/channel.hpp>
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
    if (direction == op::get) longest = std::max(longest.load(), how.deadline);
    return loopback::submit(peer, direction, slices, how);
  }
  [[nodiscard]] result<transfer> submit(const prepared_batch& prepared, const submit_options& how = {}) { return loopback::submit(prepared, how); }

  static inline std::atomic<int> imports{0}, puts{0}, gets{0};
  static inline std::atomic<std::chrono::nanoseconds> longest{};  // deadline of a get
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

TEST(store_server, gives_more_bytes_more_time) {
  using server_type = store_server<scarce, select_always>;
  const auto server = server_type::create(scarce(), {.transfer_time = 3s}).value();
  const store_service<server_type> serving(*server);
  const auto one = store_client<loopback, select_always>::connect(loopback::create().value(), server->address()).value();
  const std::vector<std::string> keys{"a"};
  scarce::longest = 0ns;
  for (const std::size_t size : {1u, 1u << 20}) {
    const std::vector<std::vector<std::byte>> values(1, std::vector<std::byte>(size));
    for (const auto& each : one->put_batch(keys, values, {.mode = put_mode::replace})) EXPECT_TRUE(each.has_value());
    EXPECT_EQ(scarce::longest.load(), 3s + size * 20ns);
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

/// A server with small values, every other of which is being read, and one who puts more.
struct read_values : ::testing::Test {
  using server_type = store_server<loopback, select_always>;
  using submitter_type = basic_submitter<loopback, select_always>;

  void serve(const store_server_options& options, std::size_t count, std::size_t size) {
    server = server_type::create(loopback::create().value(), options).value();
    store_client_options how{.memory = {.capacity = 2 << 20, .slab_size = 2 << 20}, .batch_workers = 1, .serial_workers = 1};
    how.channel.idle = [](void* served) { static_cast<server_type*>(served)->progress(); };
    how.channel.idle_context = server.get();
    writer = store_client<loopback, select_always>::connect(loopback::create().value(), server->address(), how).value();
    const auto names = store_conformance::keys(count);
    ASSERT_EQ(store_conformance::count_ok(writer->put_batch(names, values_type(count, std::vector<std::byte>(size)))), count);
    protocol::keys_request request;
    for (std::size_t i = 0; i < count; i += 2) request.keys.push_back(names[i]);
    const auto until = std::chrono::steady_clock::now() + 10s;
    submitter.emplace(submitter_type::create(transport, meter).value());
    line.emplace(transport, *submitter, how.channel);
    ASSERT_TRUE(line->open() && line->connect(server->address(), until));
    const auto found = line->call<protocol::find_answer>(protocol::kind::find, request, until, [&](const protocol::find_answer& answer) {
      EXPECT_EQ(answer.entries.size(), count / 2);
      lease = answer.lease;
      return result<void>();
    });
    ASSERT_TRUE(found.has_value());
  }
  void end_reading() {
    line->release(lease);
    while (server->stats().leased != 0) server->progress();
  }
  [[nodiscard]] result<void> put(const std::string& key, std::size_t size) {
    return writer->put_batch(std::vector<std::string>{key}, values_type{std::vector<std::byte>(size)}, {.mode = put_mode::replace})[0];
  }

  using values_type = std::vector<std::vector<std::byte>>;
  loopback transport = loopback::create().value();
  exchange_meter<> meter;
  std::unique_ptr<server_type> server;
  std::unique_ptr<store_client<loopback, select_always>> writer;
  std::optional<submitter_type> submitter;
  std::optional<detail::channel<loopback, submitter_type>> line;
  std::uint64_t lease = 0;
};

TEST_F(read_values, evict_nothing_for_what_would_be_in_too_many_pieces) {
  serve({.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .evict = eviction::lru}, 256, 4096);
  EXPECT_EQ(put("large", 64 * 4096 + 1).error(), errc::no_space) << "64 pieces of 4 KiB are the most";
  EXPECT_EQ(server->stats().evicted, 0u);
  end_reading();
  EXPECT_TRUE(put("large", 64 * 4096 + 1).has_value()) << "neighbours make one piece";
  EXPECT_GE(server->stats().evicted, 65u);
}

TEST_F(read_values, evict_no_more_than_it_takes) {
  serve({.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .evict = eviction::lru}, 256, 4096);
  EXPECT_TRUE(put("large", 64 * 4096).has_value());
  EXPECT_EQ(server->stats().evicted, 64u);
}

TEST_F(read_values, evict_nothing_for_what_the_index_cannot_keep) {
  const auto cost = detail::value_index::cost_of("key/0", {});
  serve({.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .evict = eviction::lru, .max_index = 4 * cost}, 4, 64);
  EXPECT_EQ(put(std::string(3 * cost - 256, 'x'), 64).error(), errc::no_space) << "takes three places, of which two are being read";
  EXPECT_EQ(server->stats().evicted, 0u);
  EXPECT_TRUE(put(std::string(2 * cost - 256, 'x'), 64).has_value());
  EXPECT_EQ(server->stats().evicted, 2u);
}

}  // namespace server_test
}  // namespace lading
