// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/store.hpp>

#include <algorithm>
#include <memory>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exchange/keeps_gets.hpp>
#include <exchange/store_samples.hpp>
#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace store_test {

using namespace std::chrono_literals;
using store_conformance::count_ok;
using store_conformance::keeps_gets;
using store_conformance::keys;
using store_conformance::numbers;
using store_conformance::record;
using store_conformance::sample;
using ::testing::Each;
using ::testing::HasSubstr;

using server_type = store_server<loopback, select_always>;
using client_type = store_client<loopback, select_always>;
static_assert(store<client_type>);

constexpr slab_options small_slabs{.capacity = 8 << 20, .slab_size = 1 << 20};

/// A server and clients that share one thread: nothing happens behind a test's back.
struct stores : ::testing::Test {
  void serve(const store_server_options& how = {.memory = small_slabs}) { server = server_type::create(loopback::create().value(), how).value(); }
  [[nodiscard]] store_client_options quiet() {
    store_client_options how{.memory = {.capacity = 2 << 20, .slab_size = 2 << 20}, .batch_workers = 1, .serial_workers = 1};
    how.channel.attempt_time = 50ms;
    how.channel.connect_time = 400ms;
    how.channel.idle = [](void* self) {
      auto& one = *static_cast<stores*>(self);
      if (one.server != nullptr) one.server->progress();
    };
    how.channel.idle_context = this;
    return how;
  }
  [[nodiscard]] std::unique_ptr<client_type> client() { return client_type::connect(loopback::create().value(), server->address(), quiet()).value(); }

  std::unique_ptr<server_type> server;
};

TEST_F(stores, options_that_make_no_sense_are_refused) {
  serve();
  const auto make = [](const store_server_options& how) { return server_type::create(loopback::create().value(), how); };
  EXPECT_EQ(make({.memory = small_slabs, .max_clients = 0}).error(), errc::invalid_argument);
  EXPECT_EQ(make({.memory = small_slabs, .slots_per_client = 257}).error(), errc::invalid_argument);
  EXPECT_EQ(make({.memory = small_slabs, .max_slot = 100}).error(), errc::invalid_argument);
  EXPECT_EQ(make({.memory = {.capacity = 1, .slab_size = 2}}).error(), errc::invalid_argument);
  EXPECT_TRUE(make({.memory = small_slabs}).has_value());
  const auto connect = [&](auto change) {
    auto how = quiet();
    change(how);
    return client_type::connect(loopback::create().value(), server->address(), how);
  };
  EXPECT_EQ(connect([](auto& how) { how.channel.slots = 0; }).error(), errc::invalid_argument);
  EXPECT_EQ(connect([](auto& how) { how.channel.slot_size = (16 << 10) + 1; }).error(), errc::invalid_argument);
  EXPECT_EQ(connect([](auto& how) { how.deadline = 0ns; }).error(), errc::invalid_argument);
  EXPECT_TRUE(connect([](auto&) {}).has_value());
}

TEST_F(stores, an_address_must_be_whole) {
  serve();
  const std::vector<std::byte> right(server->address().begin(), server->address().end());
  const auto connect = [&](bytes_view address) { return client_type::connect(loopback::create().value(), address, quiet()); };
  EXPECT_TRUE(connect(right).has_value());
  for (std::size_t cut : {std::size_t{0}, std::size_t{20}, right.size() - 1}) EXPECT_FALSE(connect(bytes_view(right).first(cut)).has_value()) << cut;
  for (std::size_t at = 0; at < right.size(); at += 7) {
    auto wrong = right;
    wrong[at] ^= std::byte{1};
    EXPECT_FALSE(connect(wrong).has_value()) << at;
  }
}

TEST_F(stores, a_gone_server_is_peer_lost) {
  serve();
  const std::vector<std::byte> address(server->address().begin(), server->address().end());
  auto one = client();
  EXPECT_TRUE(one->stats().has_value());
  server.reset();
  EXPECT_EQ(one->stats({.deadline = 5s}).error(), errc::peer_lost);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(one->get_batch<tensor>(keys(2), {.deadline = 30s})[1].error(), errc::peer_lost);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 15s) << "it is not waited for";
  EXPECT_EQ(client_type::connect(loopback::create().value(), address, quiet()).error(), errc::peer_lost);
  serve();
  EXPECT_TRUE(one->reconnect(server->address()).has_value());
  EXPECT_TRUE(one->put_batch(keys(1), std::vector<tensor>{numbers(4, 0)})[0].has_value()) << "it goes on with the new one";
}

TEST_F(stores, a_server_that_does_not_answer_is_not_waited_for_past_the_deadline) {
  serve();
  auto how = quiet();
  auto one = client_type::connect(loopback::create().value(), server->address(), how).value();
  auto kept = std::move(server);  // nobody makes its progress now
  const auto start = std::chrono::steady_clock::now();
  const auto results = one->put_batch(keys(3), std::vector<tensor>(3, numbers(100, 0)), {.deadline = 200ms});
  for (const auto& each : results) EXPECT_EQ(each.error(), errc::timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  server = std::move(kept);
  EXPECT_EQ(count_ok(one->put_batch(keys(3), std::vector<tensor>(3, numbers(100, 0)), {.mode = put_mode::replace})), 3u) << "and served when it does";
}

TEST_F(stores, larger_slots_and_keys_than_the_server_s_are_told_by_both_sizes) {
  serve({.memory = small_slabs, .max_slot = 32 << 10, .max_key = 100});
  auto how = quiet();
  how.channel.slot_size = 64 << 10;
  const auto begin = std::chrono::steady_clock::now();
  const auto refused = client_type::connect(loopback::create().value(), server->address(), how);
  EXPECT_EQ(refused.error(), errc::invalid_argument);
  EXPECT_EQ(refused.error().details().needed, 64u << 10);
  EXPECT_EQ(refused.error().details().available, 32u << 10);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, how.channel.connect_time) << "at once";
  how.channel.slot_size = 32 << 10;
  auto one = client_type::connect(loopback::create().value(), server->address(), how).value();
  const std::vector<std::string> names{"a", std::string(101, 'b'), std::string(100, 'c'), std::string(100'000, 'd')};
  const auto check = [&](const auto& results) {
    for (const std::size_t i : {1u, 3u}) {
      ASSERT_EQ(results[i].error(), errc::invalid_argument);
      EXPECT_EQ(results[i].error().details().needed, names[i].size());
      EXPECT_EQ(results[i].error().details().available, 100u);
      EXPECT_EQ(results[i].error().details().item, i);
    }
    EXPECT_TRUE(results[0].has_value() && results[2].has_value());
  };
  check(one->put_batch(names, std::vector<tensor>(4, numbers(5, 1))));
  check(one->exists_batch(names));
  check(one->get_batch<tensor>(names));
  check(one->view_batch<tensor>(names));
  std::vector<std::byte> memory(20);
  check(one->get_batch_into(names, std::vector<bytes_span>(4, memory)));
  check(one->remove_batch(names));
  serve({.memory = small_slabs, .max_slot = 32 << 10, .max_key = 101});
  ASSERT_TRUE(one->reconnect(server->address()).has_value());
  EXPECT_TRUE(one->put_batch(std::vector<std::string>{names[1]}, std::vector<tensor>{numbers(5, 1)})[0].has_value()) << "another server's limit";
}

TEST_F(stores, a_release_that_the_server_did_not_see_is_told_again) {
  serve({.memory = small_slabs, .lease_time = 1h});
  auto one = client();
  ASSERT_TRUE(one->put_batch(keys(1), std::vector<tensor>{numbers(5, 1)})[0].has_value());
  ASSERT_TRUE(one->get_batch<tensor>(keys(1))[0].has_value());
  EXPECT_EQ(server->stats().leased, 1u);
  std::this_thread::sleep_for(60ms);  // the slot is used again
  ASSERT_TRUE(one->exists_batch(keys(1))[0].has_value());
  for (int i = 0; i < 10; ++i) server->progress();
  EXPECT_EQ(server->stats().leased, 0u);
}

TEST_F(stores, a_full_store_says_so_and_forgets_nothing) {
  serve({.memory = {.capacity = 1 << 20, .slab_size = 1 << 18}});
  auto one = client();
  const auto names = keys(12);
  const std::vector<tensor> values(12, numbers(25'000, 1));  // 100,000 bytes
  const auto put = one->put_batch(names, values);
  EXPECT_EQ(count_ok(put), 10u);
  for (std::size_t i = 10; i < 12; ++i) EXPECT_EQ(put[i].error(), errc::no_space);
  EXPECT_EQ(count_ok(one->get_batch<tensor>(names)), 10u);
  EXPECT_TRUE(one->remove_batch(std::vector<std::string>{names[0]})[0].has_value());
  EXPECT_TRUE(one->put_batch(std::vector<std::string>{names[11]}, std::vector<tensor>{values[0]})[0].has_value());
  EXPECT_EQ(one->put_batch(std::vector<std::string>{"large"}, std::vector<tensor>{numbers(1 << 20, 0)})[0].error(), errc::no_space);
}

TEST_F(stores, a_value_larger_than_a_slab_lies_in_several) {
  const std::vector<std::string> name{"large"};
  const std::vector<tensor> value{numbers(1 << 20, 3)};       // 4 MiB
  for (const std::uint64_t slab_size : {1 << 18, 300'032}) {  // checksums are of pieces of 1 MiB, wherever these lie
    serve({.memory = {.capacity = 8 << 20, .slab_size = slab_size}});
    auto one = client();
    EXPECT_TRUE(one->put_batch(name, value)[0].has_value());
    EXPECT_EQ(one->get_batch<tensor>(name)[0].value(), value[0]);
  }
}

TEST_F(stores, keys_take_no_more_memory_than_they_may) {
  const std::vector<std::string> names = keys(20, std::string(1000, 'k'));
  const std::vector<std::vector<std::byte>> empty(20);
  constexpr std::uint64_t of_each = 256 + 1000 + 2;
  for (const bool given : {true, false}) {
    serve({.memory = {.capacity = 10 * of_each, .slab_size = 10 * of_each}});
    if (given) serve({.memory = small_slabs, .max_index = 10 * of_each});
    auto one = client();
    const auto put = one->put_batch(names, empty);
    for (std::size_t i = 0; i < 20; ++i) EXPECT_TRUE(i < 10 ? put[i].has_value() : !put[i] && put[i].error() == errc::no_space) << i;
    EXPECT_EQ(one->put_batch(names, empty)[0].error(), errc::already_exists);
    EXPECT_TRUE(one->put_batch(names, empty, {.mode = put_mode::replace})[9].has_value()) << "a key that is there needs no more";
    EXPECT_TRUE(one->remove_batch(names)[4].has_value());
    EXPECT_EQ(count_ok(one->put_batch(names, empty)), 10u) << "all were removed";
  }
  serve({.memory = small_slabs, .evict = eviction::lru, .max_index = 10 * of_each});
  auto one = client();
  EXPECT_EQ(count_ok(one->put_batch(names, empty)), 20u);
  EXPECT_EQ(server->stats().values, 10u);
  EXPECT_EQ(server->stats().evicted, 10u);
  EXPECT_FALSE(one->exists_batch(names)[9].value());
  EXPECT_TRUE(one->exists_batch(names)[10].value());
  serve({.memory = small_slabs, .evict = eviction::lru, .max_index = of_each});
  one = client();
  EXPECT_TRUE(one->put_batch(std::vector<std::string>{names[0]}, std::vector<std::vector<std::byte>>(1))[0].has_value());
  EXPECT_EQ(one->put_batch(std::vector<std::string>{std::string(1003, 'x')}, std::vector<std::vector<std::byte>>(1))[0].error(), errc::no_space);
  EXPECT_EQ(server->stats().evicted, 0u) << "for what cannot fit";
}

TEST_F(stores, the_least_recently_used_values_make_room) {
  serve({.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .evict = eviction::lru});
  auto one = client();
  const std::vector<tensor> value{numbers(60'000, 1)};  // 240,000 bytes: four fit
  const auto put = [&](const std::string& name) { return one->put_batch(std::vector<std::string>{name}, value)[0]; };
  for (const char* name : {"a", "b", "c", "d"}) EXPECT_TRUE(put(name).has_value());
  EXPECT_TRUE(one->get_batch<tensor>(std::vector<std::string>{"a"})[0].has_value()) << "a was used last";
  EXPECT_TRUE(put("e").has_value());
  const auto there = one->exists_batch(std::vector<std::string>{"a", "b", "c", "d", "e"});
  EXPECT_TRUE(there[0].value());
  EXPECT_FALSE(there[1].value());
  EXPECT_TRUE(there[2].value() && there[3].value() && there[4].value());
  EXPECT_EQ(one->stats().value().evicted, 1u);
  EXPECT_EQ(one->put_batch(std::vector<std::string>{"huge"}, std::vector<tensor>{numbers(1 << 20, 0)})[0].error(), errc::no_space);
  EXPECT_EQ(one->stats().value().values, 4u) << "what cannot fit evicts nothing";
}

TEST_F(stores, nothing_is_evicted_for_what_cannot_fit) {
  const auto bytes = [](std::size_t count, std::size_t size) { return std::vector<std::vector<std::byte>>(count, std::vector<std::byte>(size)); };
  serve({.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .evict = eviction::lru});
  auto one = client();
  ASSERT_EQ(count_ok(one->put_batch(keys(10), bytes(10, 100'000))), 10u);
  auto both = bytes(2, 150'000);
  both[1].resize(1'000'000);  // the store, but for what the first one takes
  const auto put = one->put_batch(std::vector<std::string>{"x", "y"}, both);
  EXPECT_TRUE(put[0].has_value());
  EXPECT_TRUE(put[1].has_value()) << "once the first one can be evicted";
  EXPECT_EQ(one->stats().value().values, 1u);
  EXPECT_EQ(one->put_batch(std::vector<std::string>{"z"}, bytes(1, (1 << 20) + 1))[0].error(), errc::no_space);
  EXPECT_EQ(one->stats().value().values, 1u);
  one.reset();
  serve({.memory = {.capacity = 1 << 20, .slab_size = 1 << 12, .max_extents = 8}, .evict = eviction::lru});
  one = client();
  ASSERT_EQ(count_ok(one->put_batch(keys(256), bytes(256, 4000))), 256u);
  EXPECT_EQ(one->put_batch(std::vector<std::string>{"x"}, bytes(1, (8 << 12) + 1))[0].error(), errc::no_space) << "in more pieces than there may be";
  EXPECT_EQ(one->stats().value().evicted, 0u);
  EXPECT_TRUE(one->put_batch(std::vector<std::string>{"x"}, bytes(1, 8 << 12))[0].has_value());
}

TEST_F(stores, a_batch_larger_than_a_store_that_evicts_goes_through_it) {
  serve({.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .evict = eviction::lru});
  auto one = client();
  const std::vector<std::vector<std::byte>> values(40, std::vector<std::byte>(100'000));
  EXPECT_EQ(count_ok(one->put_batch(keys(40), values)), 40u) << "as if they were put one by one";
  EXPECT_EQ(one->stats().value().values, 10u);
  EXPECT_EQ(one->stats().value().evicted, 30u);
}

TEST_F(stores, large_values_are_not_copied_and_others_once) {
  serve();
  auto one = client();
  const std::vector<tensor> large{numbers(100'000, 0)}, small{numbers(10, 0)};
  ASSERT_TRUE(one->put_batch(std::vector<std::string>{"large"}, large)[0].has_value());
  ASSERT_TRUE(one->put_batch(std::vector<std::string>{"small"}, small)[0].has_value());
  ASSERT_TRUE(one->put_batch(std::vector<std::string>{"record"}, std::vector<record>{sample(1999)})[0].has_value());
  ASSERT_TRUE(one->get_batch<tensor>(std::vector<std::string>{"large", "small"})[1].has_value());
  ASSERT_TRUE(one->view_batch<tensor_view>(std::vector<std::string>{"large"})[0].has_value());
  ASSERT_TRUE(one->get_batch<record>(std::vector<std::string>{"record"})[0].has_value());
  std::vector<std::byte> buffer(400'000);
  ASSERT_TRUE(one->get_batch_into(std::vector<std::string>{"large"}, std::vector<bytes_span>{buffer})[0].has_value());
  const exchange_metrics seen = one->metrics();
  const auto expect = [&](payload_path way, std::uint64_t values, std::uint64_t copies) {
    EXPECT_EQ(seen.at(way).values, values) << payload_path_names[static_cast<std::size_t>(way)];
    EXPECT_EQ(seen.at(way).copies, copies) << payload_path_names[static_cast<std::size_t>(way)];
  };
  expect(payload_path::put_in_place, 1, 0);
  expect(payload_path::put_staged, 1, 1);
  expect(payload_path::put_encoded, 1, 1);
  expect(payload_path::get_in_place, 2, 0);
  expect(payload_path::get_staged, 1, 1);
  expect(payload_path::get_viewed, 1, 0);
  expect(payload_path::get_decoded, 1, 1);
  EXPECT_EQ(seen.succeeded, 8u);
  EXPECT_EQ(seen.failed(), 0u);
}

TEST_F(stores, registered_memory_is_registered_once) {
  serve();
  auto one = client();
  tensor value = numbers(100'000, 0);
  const registration kept = one->register_memory(value.bytes()).value();
  const auto before = one->metrics().at(stage::registering).count;
  for (const auto& name : keys(5)) {
    ASSERT_TRUE(one->put_batch(std::vector<std::string>{name}, std::vector<tensor_view>{value.view()})[0].has_value());
  }
  const std::vector<tensor_view> part{value.view().narrow(0, 5, 10).value()};
  ASSERT_TRUE(one->put_batch(std::vector<std::string>{"part"}, part)[0].has_value());
  EXPECT_EQ(one->metrics().at(stage::registering).count, before);
  EXPECT_EQ(one->metrics().at(payload_path::put_in_place).values, 6u) << "however small";
  EXPECT_EQ(one->get_batch_into(std::vector<std::string>{"part"}, std::vector<bytes_span>{value.bytes().first(40)})[0].value(), 40u);
  EXPECT_EQ(one->metrics().at(payload_path::get_in_place).values, 1u);
}

TEST_F(stores, strided_tensors_are_gathered) {
  serve();
  auto one = client();
  const tensor square = numbers({100, 100}, 10'000);
  const std::vector<tensor_view> turned{square.view().transpose(0, 1).value()};
  ASSERT_FALSE(turned[0].contiguous());
  ASSERT_TRUE(one->put_batch(keys(1), turned)[0].has_value());
  EXPECT_EQ(one->get_batch<tensor>(keys(1))[0].value(), turned[0]);
}

struct borrowed {
  std::uint32_t number = 0;
  std::string_view name;
  std::span<const double> weights;
  std::vector<std::string_view> tags;
};

TEST_F(stores, a_struct_of_views_borrows_from_what_is_held_with_it) {
  serve();
  auto one = client();
  const record value = sample(1500);
  ASSERT_TRUE(one->put_batch(keys(1), std::vector<record>{value})[0].has_value());
  auto views = one->view_batch<borrowed>(keys(1));
  ASSERT_TRUE(views[0].has_value()) << views[0].error().message();
  const held<borrowed> kept = std::move(*views[0]);
  views.clear();
  ASSERT_TRUE(one->remove_batch(keys(1))[0].has_value());
  EXPECT_EQ(kept->name, value.name);
  EXPECT_TRUE(std::equal(kept->weights.begin(), kept->weights.end(), value.weights.begin(), value.weights.end()));
}

struct throws_when_copied {
  throws_when_copied() = default;
  throws_when_copied(const throws_when_copied&) { throw 1; }
  throws_when_copied& operator=(const throws_when_copied&) = default;
};

}  // namespace store_test
template <>
struct codec<store_test::throws_when_copied> {
  static std::uint8_t to(const store_test::throws_when_copied&) { return 0; }
  static result<store_test::throws_when_copied> from(std::uint8_t) { return fail(errc::invalid_value); }
};
namespace store_test {

TEST_F(stores, an_object_that_cannot_be_encoded_fails_alone) {
  serve();
  auto one = client();
  std::vector<std::variant<std::uint8_t, throws_when_copied>> values(3);
  const throws_when_copied bad;
  EXPECT_THROW(values[1].emplace<1>(bad), int);
  ASSERT_TRUE(values[1].valueless_by_exception());
  const auto put = one->put_batch(keys(3), values);
  EXPECT_TRUE(put[0].has_value());
  EXPECT_EQ(put[1].error(), errc::invalid_value);
  EXPECT_EQ(put[1].error().details().item, 1u);
  EXPECT_TRUE(put[2].has_value());
  EXPECT_TRUE(one->exists_batch(keys(3))[2].value());
  EXPECT_FALSE(one->exists_batch(keys(3))[1].value());
}

TEST_F(stores, what_is_being_read_stays_until_it_has_been) {
  serve({.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .evict = eviction::lru});
  auto one = client();
  const std::vector<tensor> value{numbers(200'000, 5)};  // most of the store
  ASSERT_TRUE(one->put_batch(keys(1), value)[0].has_value());
  auto slow = client();
  auto views = slow->view_batch<tensor_view>(keys(1));
  ASSERT_TRUE(views[0].has_value());
  for (int i = 0; i < 10; ++i) server->progress();
  EXPECT_EQ(server->stats().leased, 0u) << "given back once the bytes have arrived";
  ASSERT_TRUE(one->put_batch(std::vector<std::string>{"other"}, std::vector<tensor>{numbers(200'000, 6)})[0].has_value());
  EXPECT_EQ(**views[0], value[0].view()) << "the reader has its own";
}

TEST_F(stores, a_value_that_is_being_read_is_not_evicted) {
  serve({.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .evict = eviction::lru});
  auto one = client();
  const std::vector<tensor> value{numbers(200'000, 5)}, other{numbers(200'000, 6)};  // either is most of the store
  ASSERT_TRUE(one->put_batch(keys(1), value)[0].has_value());
  struct {
    stores* self;
    client_type* writer;
    const std::vector<tensor>* value;
    result<void> put;
    bool tried;
  } meanwhile{this, one.get(), &other, {}, false};
  auto how = quiet();
  how.channel.idle = [](void* context) {
    auto& now = *static_cast<decltype(meanwhile)*>(context);
    now.self->server->progress();
    if (now.tried || now.self->server->stats().leased == 0) return;
    now.tried = true;
    now.put = now.writer->put_batch(std::vector<std::string>{"other"}, *now.value)[0];
  };
  how.channel.idle_context = &meanwhile;
  worker_pool pool(1);
  loopback_options queueing;  // so that the bytes do not move before the writer's turn
  queueing.inline_limit = 100'000;
  queueing.pool = &pool;
  auto reader = client_type::connect(loopback::create(queueing).value(), server->address(), how).value();
  EXPECT_EQ(reader->get_batch<tensor>(keys(1))[0].value(), value[0]);
  ASSERT_TRUE(meanwhile.tried);
  EXPECT_EQ(meanwhile.put.error(), errc::no_space);
  EXPECT_TRUE(one->put_batch(std::vector<std::string>{"other"}, other)[0].has_value()) << "but when it has been read";
}

TEST_F(stores, two_clients_see_the_same_values) {
  serve();
  auto one = client(), other = client();
  ASSERT_EQ(count_ok(one->put_batch(keys(20), std::vector<tensor>(20, numbers(1000, 2)))), 20u);
  EXPECT_EQ(count_ok(other->get_batch<tensor>(keys(20))), 20u);
  EXPECT_EQ(other->stats().value().clients, 2u);
  one.reset();
  for (int i = 0; i < 10; ++i) server->progress();
  EXPECT_EQ(other->stats().value().clients, 1u) << "it has said goodbye";
}

TEST_F(stores, a_client_may_ask_for_more_slots_than_it_gets) {
  serve({.memory = small_slabs, .slots_per_client = 1});
  auto how = quiet();
  how.channel.slots = 10;
  auto one = client_type::connect(loopback::create().value(), server->address(), how).value();
  EXPECT_EQ(count_ok(one->put_batch(keys(50), std::vector<tensor>(50, numbers(100, 2)))), 50u);
}

template <class T>
void fetch_late(stores& test, const T& value) {
  test.serve();
  ASSERT_TRUE(test.client()->put_batch(keys(1), std::vector<T>{value})[0].has_value());
  keeps_gets::fate told;
  auto how = test.quiet();
  how.memory = {.capacity = 4 << 10, .slab_size = 4 << 10};  // has no room for any of the values
  how.channel.attempt_time = 10ms;
  auto transport = endpoint::create(std::make_unique<keeps_gets>(told)).value();
  auto one = store_client<endpoint, select_always>::connect(std::move(transport), test.server->address(), how).value();
  told.keep = true;
  EXPECT_FALSE(one->template get_batch<T>(keys(1), {.deadline = 100ms})[0].has_value());
  EXPECT_GE(told.kept, 2u) << "it was tried again";
  EXPECT_NE(one->transport_used().metrics().quarantined, one->transport_used().metrics().released);
  told.keep = false;
  for (int i = 0; i < 1000; ++i) one->transport_used().progress();
  EXPECT_EQ(one->transport_used().metrics().quarantined, one->transport_used().metrics().released) << "all has been written";
  EXPECT_EQ(one->template get_batch<T>(keys(1))[0].value(), value);
}

TEST_F(stores, memory_that_may_still_be_written_outlives_a_failed_get) {
  fetch_late(*this, numbers(100'000, 1));                            // a tensor where it lies
  fetch_late(*this, std::vector<std::byte>(400'000, std::byte{7}));  // bytes where they lie
  fetch_late(*this, std::vector<std::byte>(10'000, std::byte{8}));   // bytes by way of a buffer
  fetch_late(*this, sample(1999));                                   // what is decoded
}

TEST_F(stores, memory_that_may_still_be_written_outlives_a_get_that_throws) {
  serve();
  const std::vector<std::byte> value(400'000, std::byte{7});
  ASSERT_TRUE(client()->put_batch(keys(1), std::vector<std::vector<std::byte>>{value})[0].has_value());
  struct {
    stores* self;
    keeps_gets::fate told;
  } both{this, {}};
  auto how = quiet();
  how.memory = {.capacity = 4 << 10, .slab_size = 4 << 10};
  how.channel.idle = [](void* context) {
    auto& now = *static_cast<decltype(both)*>(context);
    now.self->server->progress();
    if (now.told.kept != 0 && now.told.keep) throw 1;
  };
  how.channel.idle_context = &both;
  auto transport = endpoint::create(std::make_unique<keeps_gets>(both.told)).value();
  auto one = store_client<endpoint, select_always>::connect(std::move(transport), server->address(), how).value();
  both.told.keep = true;
  EXPECT_THROW(static_cast<void>(one->get_batch<std::vector<std::byte>>(keys(1), {.deadline = 10s})), int);
  EXPECT_EQ(both.told.kept, 1u);
  EXPECT_EQ(one->transport_used().metrics().quarantined, 1u);
  both.told.keep = false;
  for (int i = 0; i < 1000; ++i) one->transport_used().progress();
  EXPECT_EQ(one->transport_used().metrics().released, 1u) << "all has been written";
  EXPECT_EQ(one->get_batch<std::vector<std::byte>>(keys(1))[0].value(), value);
}

/// A store whose transport keeps what it fetches for some.
struct kept_puts : ::testing::Test {
  using server_type = store_server<endpoint, select_always>;
  using value = std::vector<std::byte>;

  [[nodiscard]] std::unique_ptr<client_type> client() {
    store_client_options how{.memory = {.capacity = 2 << 20, .slab_size = 2 << 20}, .batch_workers = 1, .serial_workers = 1};
    how.channel.attempt_time = 20ms;
    how.channel.idle = [](void* used) { static_cast<server_type*>(used)->progress(); };
    how.channel.idle_context = server.get();
    return client_type::connect(loopback::create().value(), server->address(), how).value();
  }
  [[nodiscard]] static result<void> put(client_type& one, const std::string& key, const value& what, std::chrono::nanoseconds time = 10s) {
    return one.put_batch(std::vector<std::string>{key}, std::vector<value>{what}, {.deadline = time})[0];
  }
  /// A put whose bytes do not come. They stay registered, for they are read when nobody waits for them any more.
  void put_in_vain(client_type& one, const std::string& key) {
    registered.push_back(one.register_memory(never_sent).value());
    const std::uint64_t before = server->transport_used().metrics().quarantined;
    told.keep = told.hold = true;
    const std::vector<bytes_span> values{never_sent};
    const auto has_come = [&] { return server->transport_used().metrics().quarantined != before; };
    for (int attempt = 0; attempt < 10 && !has_come(); ++attempt) {  // a slow machine may not send it in time
      EXPECT_EQ(one.put_batch(std::vector<std::string>{key}, values, {.deadline = 50ms})[0].error(), errc::timed_out);
      const auto until = std::chrono::steady_clock::now() + 1s;
      while (!has_come() && std::chrono::steady_clock::now() < until) server->progress();
    }
    told.keep = false;
  }

  keeps_gets::fate told;
  value never_sent = value(200'000, std::byte{0xAA});
  std::vector<registration> registered;
  std::unique_ptr<server_type> server =
      server_type::create(endpoint::create(std::make_unique<keeps_gets>(told), {.drain_limit = 1ms}).value(),
                          {.memory = {.capacity = 4 << 20, .slab_size = 4 << 20}, .evict = eviction::lru, .transfer_time = 100ms})
          .value();
};

TEST_F(kept_puts, one_client_that_hangs_takes_the_store_from_no_other) {
  const auto bad = client(), good = client();
  put_in_vain(*bad, "bad");
  const store_stats after = server->stats();
  EXPECT_EQ(after.values, 0u);
  EXPECT_EQ(after.free, after.capacity - align_up<std::uint64_t>(200'000, 64)) << "its memory, and no more, is kept";
  std::vector<value> values;
  for (std::size_t i = 0; i < 40; ++i) {
    values.push_back(value(100'000, static_cast<std::byte>(i)));
    ASSERT_TRUE(put(*good, keys(40)[i], values[i]).has_value()) << i;
  }
  EXPECT_GT(server->stats().evicted, 0u) << "the store is full";
  EXPECT_EQ(good->metrics().retried, 0u) << "at once";
  told.hold = false;  // now the bytes come
  for (int i = 0; i < 20; ++i) server->progress();
  std::size_t whole = 0;
  const auto back = good->get_batch<value>(keys(40));
  for (std::size_t i = 0; i < 40; ++i) whole += back[i] && *back[i] == values[i] ? 1u : 0u;
  EXPECT_EQ(whole, server->stats().values) << "and are written over nobody's";
  EXPECT_GT(whole, 30u);
  for (const auto& each : good->remove_batch(keys(40))) EXPECT_TRUE(each || each.error() == errc::not_found);
  for (int i = 0; i < 20; ++i) server->progress();
  EXPECT_EQ(server->stats().leased, 0u);
  EXPECT_EQ(server->stats().free, after.capacity) << "all has come back";
  EXPECT_TRUE(put(*bad, "bad", values[7]).has_value());
}

TEST_F(kept_puts, what_may_be_kept_for_one_client_is_bounded) {
  const auto bad = client(), good = client();
  for (const char* key : {"a", "b", "c"}) put_in_vain(*bad, key);  // an eighth of the store, and some
  const auto refused = put(*bad, "d", value(100), 200ms);
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error() == errc::busy || refused.error() == errc::timed_out) << "while an attempt was under way: " << refused.error().message();
  EXPECT_TRUE(put(*good, "d", value(100)).has_value());
  told.hold = false;
  for (int i = 0; i < 20; ++i) server->progress();
  EXPECT_TRUE(put(*bad, "e", value(100)).has_value()) << "until it has come back";
}

TEST_F(stores, metrics_can_be_read) {
  serve();
  auto one = client();
  ASSERT_TRUE(one->put_batch(keys(1), std::vector<tensor>{numbers(100'000, 2)})[0].has_value());
  ASSERT_TRUE(one->put_batch(std::vector<std::string>{"small"}, std::vector<tensor>{numbers(10, 2)})[0].has_value());
  ASSERT_TRUE(one->put_batch(std::vector<std::string>{"record"}, std::vector<record>{sample(5)})[0].has_value());
  ASSERT_TRUE(one->get_batch<record>(std::vector<std::string>{"record"})[0].has_value());
  for (std::size_t each = 0; each < stage_count; ++each) {
    const auto what = static_cast<stage>(each);
    const bool moves = what == stage::post || what == stage::transfer;
    EXPECT_EQ(one->metrics().at(what, strategy::transport).count != 0, moves) << stage_names[each];
    EXPECT_EQ(one->metrics().at(what).count == 0, moves) << stage_names[each];
    EXPECT_EQ(one->metrics().at(what, strategy::local).count, 0u) << stage_names[each];
  }
  EXPECT_THAT(one->metrics().describe(), HasSubstr("put_in_place: 1 values, 0 copies"));
  const exchange_metrics seen = server->metrics();
  EXPECT_EQ(seen.succeeded, 3u);
  EXPECT_GE(seen.at(stage::transfer, strategy::transport).bytes, 400'000u);
  EXPECT_GE(seen.at(stage::verify).bytes, 400'000u);
}

}  // namespace store_test
}  // namespace lading
