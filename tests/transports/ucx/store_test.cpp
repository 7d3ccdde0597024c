// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A store whose server is in a process of its own: it conforms, and its end is no client's end.

#if defined(__linux__)

#include <atomic>
#include <functional>
#include <thread>

#include <exchange/store_conformance.hpp>
#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>

#include "rig.hpp"

namespace store_test {
using namespace lading;
using namespace std::chrono_literals;
using store_conformance::count_ok;
using store_conformance::keys;
using store_conformance::numbers;
using server_type = store_server<ucx>;

/// A server as what peer_process::serve serves.
struct served_store {
  [[nodiscard]] result<std::vector<std::byte>> address() const { return std::vector<std::byte>(server->address().begin(), server->address().end()); }
  [[nodiscard]] result<std::vector<std::byte>> export_region(const region&) const { return std::vector<std::byte>(1); }
  std::size_t progress() const { return server->progress(); }
  std::unique_ptr<server_type> server;
};

/// Started as a server, this program is one, and runs no test.
[[maybe_unused]] const bool is_no_server = [] {
  const auto words = peer_process::words();
  if (words.size() != 3 || words[1] != "--ucx-store") return true;
  auto transport = ucx::create({.lanes = words[2]});
  if (!transport) std::_Exit(2);
  auto made = server_type::create(std::move(*transport), {.memory = {.capacity = 32 << 20, .slab_size = 8 << 20}});
  if (!made) std::_Exit(2);
  result<served_store> served = served_store{std::move(*made)};
  std::_Exit(peer_process::serve(served, region(), [](char) { return true; }));
}();

struct server_process : peer_process::process {
  explicit server_process(const char* lanes) : process({"--ucx-store", lanes}) {}
};

/// Tells of each transfer that has ended.
struct watch {
  std::function<void()>* ended_one;
  void ended(stage what, std::optional<strategy>, std::chrono::nanoseconds, std::uint64_t) noexcept {
    if (what == stage::transfer && ended_one != nullptr && *ended_one) (*ended_one)();
  }
};
using client_type = store_client<ucx, select_by_process, watch>;

template <class Lanes>
std::unique_ptr<client_type> client_of(bytes_view address, std::function<void()>* told = nullptr) {
  store_client_options how{
      .memory = {.capacity = 8 << 20, .slab_size = 8 << 20}, .in_place_from = 64 << 10, .batch_workers = 1, .serial_workers = 1, .keys_per_part = 8};
  how.channel.connect_time = 5s;
  return client_type::connect(ucx_test::make<Lanes>().value(), address, how, {}, watch{told}).value();
}

/// A server and a client, each in a process of its own.
struct process_rig {
  [[nodiscard]] client_type& client() {
    if (one == nullptr) one = client_of<ucx_test::tcp>(far.address());
    return *one;
  }
  server_process far{ucx_test::tcp::lanes};
  std::unique_ptr<client_type> one;
};

}  // namespace store_test

namespace lading::store_conformance {
INSTANTIATE_TYPED_TEST_SUITE_P(ucx, store_conformance, ::testing::Types<store_test::process_rig>);
}

namespace store_test {

template <class Lanes>
class ucx_stores : public ucx_test::on_lanes<Lanes> {};
using some_lanes = ::testing::Types<ucx_test::tcp, ucx_test::shared_regions>;
TYPED_TEST_SUITE(ucx_stores, some_lanes);

std::vector<tensor> values_of(std::size_t count) {
  std::vector<tensor> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(numbers(i % 2 == 0 ? 50'000 : 1000, static_cast<float>(i)));
  return values;
}

TYPED_TEST(ucx_stores, a_server_killed_during_a_get_ends_every_key_and_another_takes_its_place) {
  constexpr std::size_t count = 64;
  constexpr auto deadline = 30s;
  const auto names = keys(count);
  const std::vector<tensor> values = values_of(count);
  auto server = std::make_unique<server_process>(TypeParam::lanes);
  std::function<void()> told;
  auto one = client_of<TypeParam>(server->address(), &told);
  for (const int transfers : {1, 3, 0}) {
    ASSERT_EQ(count_ok(one->put_batch(names, values)), count);
    int seen = 0;
    told = [&] {
      if (++seen == transfers) server->kill();
    };
    std::thread killing;  // at any moment
    if (transfers == 0) killing = std::thread([&] { std::this_thread::sleep_for(2ms), server->kill(); });
    const auto start = std::chrono::steady_clock::now();
    const auto got = one->template get_batch<tensor>(names, {.deadline = deadline});
    EXPECT_LT(std::chrono::steady_clock::now() - start, deadline);
    if (killing.joinable()) killing.join();
    told = nullptr;
    std::size_t right = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (got[i]) {
        EXPECT_EQ(*got[i], values[i]) << "a key that is done is right";
        ++right;
      } else {
        EXPECT_EQ(got[i].error(), errc::peer_lost) << got[i].error().message();
      }
    }
    if (transfers != 0) {
      EXPECT_GE(right, static_cast<std::size_t>(transfers - 1) * 8);
      EXPECT_LT(right, count);
    }
    EXPECT_EQ(one->put_batch(keys(1), values_of(1), {.deadline = deadline})[0].error(), errc::peer_lost);
    server = std::make_unique<server_process>(TypeParam::lanes);
    ASSERT_TRUE(one->reconnect(server->address()).has_value());
    EXPECT_EQ(one->exists_batch(names)[0].value(), false) << "it goes on with the new one";
  }
}

TYPED_TEST(ucx_stores, a_server_killed_during_a_put_ends_every_key) {
  constexpr std::size_t count = 64;
  const auto names = keys(count);
  const std::vector<tensor> values = values_of(count);
  auto server = std::make_unique<server_process>(TypeParam::lanes);
  auto one = client_of<TypeParam>(server->address());
  std::thread killing([&] { std::this_thread::sleep_for(2ms), server->kill(); });
  const auto put = one->put_batch(names, values, {.deadline = 30s});
  killing.join();
  for (const auto& each : put) EXPECT_TRUE(each || each.error() == errc::peer_lost) << each.error().message();
  server = std::make_unique<server_process>(TypeParam::lanes);
  ASSERT_TRUE(one->reconnect(server->address()).has_value());
  EXPECT_EQ(count_ok(one->put_batch(names, values)), count);
}

TYPED_TEST(ucx_stores, a_server_that_is_stopped_is_not_waited_for_past_the_deadline) {
  server_process server(TypeParam::lanes);
  auto one = client_of<TypeParam>(server.address());
  ASSERT_EQ(count_ok(one->put_batch(keys(16), values_of(16))), 16u);
  server.stop();
  const auto start = std::chrono::steady_clock::now();
  for (const auto& each : one->template get_batch<tensor>(keys(16), {.deadline = 300ms})) EXPECT_EQ(each.error(), errc::timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
  server.resume();
  EXPECT_EQ(count_ok(one->template get_batch<tensor>(keys(16))), 16u);
}

}  // namespace store_test

#endif
