// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Messages that are whole, and lies: those of a server to its client, and those of a client to its server.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <exchange/store_samples.hpp>
#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace forgery_test {
using namespace std::chrono_literals;
using store_conformance::count_ok;
using store_conformance::keys;
using store_conformance::numbers;

constexpr std::size_t slot_size = 16 << 10;

/// Lets somebody write messages anew before they are sent.
struct forging : loopback {
  using forger = std::function<void(protocol::message&, submit_options&)>;

  forging() : loopback(loopback::create().value()) {}
  [[nodiscard]] result<region> allocate_region(std::size_t size) {
    auto made = loopback::allocate_region(size);
    if (made) memory[made->id()] = made->bytes();
    return made;
  }
  [[nodiscard]] result<transfer> submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& how = {}) {
    protocol::message said;
    if (!forge || direction != op::put || slices.size() != 1) return loopback::submit(peer, direction, slices, how);
    slice where = slices[0];
    const bytes_span slot = memory[where.local].subspan(where.local_offset, slot_size);
    if (!protocol::read_message(slot, said)) return loopback::submit(peer, direction, slices, how);
    submit_options changed = how;
    forge(said, changed);
    EXPECT_LE(said.bytes.size(), slot.size());
    std::copy(said.bytes.begin(), said.bytes.end(), slot.begin());
    where.size = said.bytes.size();
    return loopback::submit(peer, direction, std::span(&where, 1), changed);
  }
  [[nodiscard]] result<transfer> submit(const prepared_batch& prepared, const submit_options& how = {}) { return loopback::submit(prepared, how); }

  std::map<region_id, bytes_span> memory;
  forger forge;
};

/// Has change(record) done to each message of that kind.
template <class Record, class Change>
forging::forger changes(protocol::kind what, Change change) {
  return [=](protocol::message& said, submit_options&) {
    if (said.head.kind != what) return;
    const std::vector<std::byte> body(said.body().begin(), said.body().end());
    Record record = decode_from<Record>(bytes_view(body)).value();
    change(record);
    std::vector<std::byte> fresh(slot_size);
    fresh.resize(protocol::write_message(fresh, what, said.head.sender, said.head.sequence, record).value());
    said.bytes = std::move(fresh);
  };
}

struct lying_servers : ::testing::Test {
  using server_type = store_server<forging, select_always>;
  using client_type = store_client<loopback, select_always>;
  using bytes = std::vector<std::byte>;

  [[nodiscard]] auto connect() {
    store_client_options how{.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .deadline = 20s, .batch_workers = 1, .serial_workers = 1};
    how.channel.slot_size = slot_size;
    how.channel.attempt_time = 20ms;
    how.channel.longest_pause = 1ms;
    how.channel.idle = [](void* used) { static_cast<server_type*>(used)->progress(); };
    how.channel.idle_context = server.get();
    return client_type::connect(loopback::create().value(), server->address(), how);
  }
  void lie(forging::forger how = {}) { server->transport_used().forge = std::move(how); }
  template <class Results>
  static void expect_all(const Results& results, errc code) {
    for (const auto& each : results) EXPECT_TRUE(!each && each.error() == code) << (each ? "ok" : each.error().message());
  }

  std::unique_ptr<server_type> server =
      server_type::create(forging(), {.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .lease_time = 50ms}).value();
  const std::vector<std::string> names = keys(3);
  const std::vector<bytes> values{bytes(100, std::byte{1}), bytes(200, std::byte{2}), bytes(300, std::byte{3})};
};

TEST_F(lying_servers, answer_about_as_many_keys_as_they_were_asked_about) {
  const auto one = connect().value();
  for (const std::size_t count : {0u, 2u, 4u}) {
    const auto codes = [&](protocol::codes_answer& said) { said.codes.assign(count, 0); };
    lie(changes<protocol::codes_answer>(protocol::kind::put, codes));
    expect_all(one->put_batch(names, values, {.mode = put_mode::replace}), errc::bad_header);
    lie(changes<protocol::codes_answer>(protocol::kind::exists, codes));
    expect_all(one->exists_batch(names), errc::bad_header);
    lie(changes<protocol::codes_answer>(protocol::kind::remove, codes));
    expect_all(one->remove_batch(names), errc::bad_header);
    lie();
    ASSERT_EQ(count_ok(one->put_batch(names, values, {.mode = put_mode::replace})), 3u);
    if (count == 2) continue;  // the client asks again about those that an answer leaves out
    lie(changes<protocol::find_answer>(protocol::kind::find, [&](protocol::find_answer& said) { said.entries.resize(count); }));
    expect_all(one->get_batch<bytes>(names), errc::bad_header);
  }
  lie();
  EXPECT_EQ(count_ok(one->get_batch<bytes>(names)), 3u);
}

TEST_F(lying_servers, say_of_a_value_what_can_be) {
  const auto one = connect().value();
  ASSERT_EQ(count_ok(one->put_batch(names, values)), 3u);
  ASSERT_TRUE(one->put_batch(std::vector<std::string>{"tensor"}, std::vector<tensor>{numbers(25, 0)})[0].has_value());
  std::vector<bytes> memory(3, bytes(400));
  const std::vector<bytes_span> buffers(memory.begin(), memory.end());
  const std::vector<std::function<void(protocol::found&)>> lies{
      [](auto& said) { said.at.clear(); },
      [](auto& said) { said.at[0].region = 1; },
      [](auto& said) { ++said.at[0].size; },
      [](auto& said) { --said.at[0].size; },
      [](auto& said) {
        said.at.push_back({0, 0, 1 << 10});
      },
      [](auto& said) {
        said.at.push_back({0, 0, 0});
      },
      [](auto& said) {
        said.at.insert(said.at.begin(), {0, 0, ~std::uint64_t{0}});
      },
      [](auto& said) { said.meta.dtype = 255; },
      [](auto& said) { said.meta.shape.push_back(-1); },
      [](auto& said) { said.meta.shape.assign(3, std::int64_t{1} << 62); },
  };
  for (std::size_t i = 0; i < lies.size(); ++i) {
    SCOPED_TRACE(i);
    lie(changes<protocol::find_answer>(protocol::kind::find, [&](protocol::find_answer& said) {
      for (auto& each : said.entries) lies[i](each);
    }));
    expect_all(one->get_batch<bytes>(names), errc::bad_header);
    expect_all(one->view_batch<bytes_view>(names), errc::bad_header);
    expect_all(one->get_batch_into(names, buffers), errc::bad_header);
    expect_all(one->get_batch<tensor>(std::vector<std::string>{"tensor"}), errc::bad_header);
  }
  EXPECT_EQ(memory, std::vector<bytes>(3, bytes(400))) << "nothing was fetched";
  lie();
  EXPECT_EQ(count_ok(one->get_batch_into(names, buffers)), 3u);
  EXPECT_EQ(one->get_batch<tensor>(std::vector<std::string>{"tensor"})[0].value(), numbers(25, 0));
}

TEST_F(lying_servers, allow_no_more_slots_than_they_were_asked_for) {
  for (const std::uint32_t slots : {0u, 9u, 0xffffffffu}) {
    lie(changes<protocol::welcome>(protocol::kind::hello, [&](protocol::welcome& said) { said.slots = slots; }));
    EXPECT_EQ(connect().error(), errc::bad_header) << slots;
  }
  lie();
  EXPECT_TRUE(connect().has_value());
}

TEST_F(lying_servers, announce_answers_in_slots_that_there_are) {
  const auto one = connect().value();
  ASSERT_EQ(count_ok(one->put_batch(names, values)), 3u);
  for (const std::uint64_t slot : {9u, 1'000'000u, 0x7fffffffu}) {
    int left = 2;
    lie([&](protocol::message&, submit_options& how) {
      if (left-- > 0) how.notify_tag = protocol::announcement::tag(slot, 1);
    });
    EXPECT_EQ(count_ok(one->exists_batch(names)), 3u) << "it is asked again";
    EXPECT_LE(left, 0);
  }
}

TEST_F(lying_servers, answer_the_request_that_was_sent) {
  const auto one = connect().value();
  lie([](protocol::message& said, submit_options&) {
    if (said.head.kind != protocol::kind::exists) return;
    std::vector<std::byte> fresh(slot_size);
    const auto before = said.head.sequence - 1;
    fresh.resize(protocol::write_message(fresh, said.head.kind, said.head.sender, before, protocol::codes_answer{{0, 0, 0}}).value());
    said.bytes = std::move(fresh);
  });
  expect_all(one->exists_batch(names), errc::checksum_mismatch);
  lie();
  for (const auto& each : one->exists_batch(names)) EXPECT_FALSE(each.value());
}

/// One who says hello, and more.
struct lying_clients : ::testing::Test {
  using server_type = store_server<loopback, select_always>;

  void SetUp() override {
    const auto address = protocol::read_address(server->address()).value();
    there = transport.connect(address.endpoint).value();
    lobby = transport.import_region(there, address.lobby).value();
  }
  void say_hello(loopback& of, const region& answers, std::uint64_t number, std::uint64_t tag) {
    const protocol::hello said{of.address().value(), of.export_region(answers).value(), 1, slot_size};
    tell(protocol::write_message(words.bytes(), protocol::kind::hello, number, 1, said).value(), tag);
  }
  void tell(std::size_t size, std::uint64_t tag) {
    const slice where{words.id(), lobby, 0, 0, size};
    ASSERT_TRUE(transport.submit(there, op::put, std::span(&where, 1), {.notify_tag = tag, .notify = true}).value().wait().ok());
    for (int i = 0; i < 20; ++i) server->progress();
  }
  /// Whether there are so many clients, before long.
  [[nodiscard]] bool has_clients(std::size_t count) {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (server->stats().clients != count && std::chrono::steady_clock::now() < until) server->progress();
    return server->stats().clients == count;
  }
  /// Whether the server has welcomed this side.
  [[nodiscard]] bool is_welcome() {
    const auto until = std::chrono::steady_clock::now() + 10s;
    notification arrived;
    do {
      server->progress();
      transport.progress();
      if (transport.next_notification(arrived)) return true;
    } while (std::chrono::steady_clock::now() < until);
    return false;
  }

  std::unique_ptr<server_type> server =
      server_type::create(loopback::create().value(), {.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}}).value();
  loopback transport = loopback::create().value();
  region words = transport.allocate_region(4 * slot_size).value();
  peer_id there{};
  remote_region_id lobby{};
};

TEST_F(lying_clients, say_hello_in_their_own_name) {
  auto another = loopback::create().value();
  const region answers = another.allocate_region(4 * slot_size).value();
  say_hello(another, answers, 7, protocol::announcement::tag(0, 1, true));
  EXPECT_TRUE(has_clients(0));
  notification none;
  another.progress();
  EXPECT_FALSE(another.next_notification(none)) << "who has not asked is not welcomed";
  say_hello(transport, words, 7, protocol::announcement::tag(0, 1, true));
  EXPECT_TRUE(is_welcome());
  EXPECT_TRUE(has_clients(1));
}

TEST_F(lying_clients, announce_what_lies_in_slots_that_there_are) {
  for (const std::size_t place : {protocol::lobby_slots, std::size_t{1'000'000}, std::size_t{0x7fffffff}}) {
    say_hello(transport, words, 7, protocol::announcement::tag(place, 1, true));
    EXPECT_EQ(server->stats().clients, 0u);
  }
  say_hello(transport, words, 7, protocol::announcement::tag(0, 1, true));
  ASSERT_TRUE(is_welcome());
  for (const std::size_t slot : {2u, 1'000'000u, 0x7fffffffu}) tell(64, protocol::announcement::tag(slot, 2));
  EXPECT_TRUE(has_clients(1)) << "the server goes on";
}

}  // namespace forgery_test
}  // namespace lading
