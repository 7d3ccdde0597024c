// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/service.hpp>

#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include <exchange/store_conformance.hpp>
#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace service_test {

using store_conformance::count_ok;
using store_conformance::keys;
using store_conformance::record;
using store_conformance::sample;

constexpr slab_options small_slabs{.capacity = 8 << 20, .slab_size = 1 << 20};

/// A server and a client in one process, the server in a thread of its own.
template <class Selector>
struct threaded_rig {
  using server_type = store_server<loopback, Selector>;
  using client_type = store_client<loopback, Selector>;
  threaded_rig() : threaded_rig({.memory = small_slabs}, {.memory = {.capacity = 4 << 20, .slab_size = 4 << 20}}) {}
  threaded_rig(const store_server_options& how, const store_client_options& with)
      : server(server_type::create(loopback::create().value(), how).value()),
        service(std::make_unique<store_service<server_type>>(*server)),
        one(client_type::connect(loopback::create().value(), server->address(), with).value()) {}
  ~threaded_rig() {
    one.reset();
    service.reset();
  }
  [[nodiscard]] client_type& client() { return *one; }

  std::unique_ptr<server_type> server;
  std::unique_ptr<store_service<server_type>> service;
  std::unique_ptr<client_type> one;
};
struct local_rig : threaded_rig<select_by_process> {};
struct transport_rig : threaded_rig<select_always> {};
/// Slots that hold few keys, slabs of many pieces, more workers than the pool has threads.
struct narrow_rig : threaded_rig<select_always> {
  narrow_rig()
      : threaded_rig({.memory = {.capacity = 4 << 20, .slab_size = 1 << 16}, .slots_per_client = 2, .serial_workers = 2},
                     {.memory = {.capacity = 1 << 16, .slab_size = 1 << 16},
                      .channel = {.slots = 3, .slot_size = 16 << 10},
                      .in_place_from = 1 << 10,
                      .batch_workers = 3,
                      .serial_workers = 2,
                      .keys_per_part = 7}) {}
};
using rigs = ::testing::Types<local_rig, transport_rig, narrow_rig>;

}  // namespace service_test

namespace store_conformance {
INSTANTIATE_TYPED_TEST_SUITE_P(loopback, store_conformance, service_test::rigs);
}

namespace service_test {

TEST(threaded_stores, many_threads_share_a_client) {
  transport_rig rig;
  std::vector<std::thread> threads;
  std::atomic<std::size_t> right{0};
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const auto names = keys(30, "thread/" + std::to_string(t) + "/");
      std::vector<record> values;
      for (std::uint32_t i = 0; i < 30; ++i) values.push_back(sample(t * 100 + i));
      if (count_ok(rig.client().put_batch(names, values)) != 30) return;
      const auto back = rig.client().get_batch<record>(names);
      for (std::size_t i = 0; i < 30; ++i) right += back[i] && *back[i] == values[i] ? 1u : 0u;
    });
  }
  for (auto& each : threads) each.join();
  EXPECT_EQ(right.load(), 120u);
}

TEST(threaded_stores, pools_of_one_and_none_do_not_deadlock) {
  for (const std::size_t size : {0u, 1u}) {
    worker_pool pool(size);
    threaded_rig<select_always> rig({.memory = small_slabs, .serial_workers = 4, .pool = &pool},
                                    {.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .batch_workers = 4, .serial_workers = 4, .pool = &pool});
    std::vector<record> values;
    for (std::uint32_t i = 0; i < 100; ++i) values.push_back(sample(i * 19));
    EXPECT_EQ(count_ok(rig.client().put_batch(keys(100), values)), 100u);
    const auto back = rig.client().get_batch<record>(keys(100));
    for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(back[i].value(), values[i]);
  }
}

}  // namespace service_test
}  // namespace lading
