// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/protocol.hpp>

#include <memory>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace {

using namespace std::chrono_literals;

protocol::put_request sample_request() {
  protocol::put_request request;
  request.entries.push_back(
      {"first", {.kind = value_kind::tensor, .dtype = 1, .shape = {2, 3}, .schema = 0, .size = 24, .checksum = 7}, {{0, 64, 24}}});
  request.entries.push_back({"second", {.size = 0}, {}});
  return request;
}

TEST(protocol, a_message_is_read_as_it_was_written) {
  std::vector<std::byte> slot(4096, std::byte{0xEE});
  const auto size = protocol::write_message(slot, protocol::kind::put, 11, 12, sample_request());
  ASSERT_TRUE(size.has_value());
  EXPECT_EQ(slot[*size], std::byte{0xEE});
  protocol::message read;
  ASSERT_TRUE(protocol::read_message(slot, read).has_value());
  EXPECT_EQ(read.head.kind, protocol::kind::put);
  EXPECT_EQ(read.head.sender, 11u);
  EXPECT_EQ(read.head.sequence, 12u);
  const auto body = decode_from<protocol::put_request>(bytes_view(read.body()));
  ASSERT_TRUE(body.has_value());
  EXPECT_EQ(body->entries[0].key, "first");
  EXPECT_EQ(body->entries[0].meta.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(body->entries[0].from[0].offset, 64u);
}

TEST(protocol, every_flipped_bit_is_noticed) {
  std::vector<std::byte> slot(512);
  const std::size_t size = protocol::write_message(slot, protocol::kind::put, 11, 12, sample_request()).value();
  protocol::message read;
  ASSERT_TRUE(protocol::read_message(slot, read).has_value());
  for (std::size_t bit = 0; bit < size * 8; ++bit) {
    auto wrong = slot;
    wrong[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_FALSE(protocol::read_message(wrong, read).has_value()) << bit;
  }
}

TEST(protocol, a_message_is_no_longer_than_its_slot) {
  std::vector<std::byte> slot(512);
  const std::size_t size = protocol::write_message(slot, protocol::kind::put, 11, 12, sample_request()).value();
  protocol::message read;
  EXPECT_TRUE(protocol::read_message(bytes_view(slot).first(size), read).has_value());
  EXPECT_EQ(protocol::read_message(bytes_view(slot).first(size - 1), read).error(), errc::limit_exceeded);
  EXPECT_EQ(protocol::read_message(bytes_view(slot).first(39), read).error(), errc::truncated);
  EXPECT_EQ(protocol::write_message(bytes_span(slot).first(size - 1), protocol::kind::put, 11, 12, sample_request()).error(), errc::buffer_too_small);
  EXPECT_EQ(protocol::write_message(bytes_span(slot).first(8), protocol::kind::put, 11, 12, sample_request()).error(), errc::buffer_too_small);
}

TEST(protocol, another_version_is_told_apart) {
  std::vector<std::byte> slot(512);
  ASSERT_TRUE(protocol::write_message(slot, protocol::kind::put, 11, 12, sample_request()).has_value());
  slot[4] = std::byte{2};
  protocol::message read;
  EXPECT_EQ(protocol::read_message(slot, read).error(), errc::unsupported_version);
}

TEST(protocol, extents_must_be_the_value_and_nothing_else) {
  using list = std::vector<protocol::extent>;
  EXPECT_TRUE(protocol::covers(list{{0, 0, 10}, {1, 5, 20}}, 2, 30));
  EXPECT_TRUE(protocol::covers(list{}, 0, 0));
  EXPECT_FALSE(protocol::covers(list{{0, 0, 10}}, 1, 11));
  EXPECT_FALSE(protocol::covers(list{{0, 0, 10}}, 1, 9));
  EXPECT_FALSE(protocol::covers(list{{1, 0, 10}}, 1, 10)) << "no such region";
  EXPECT_FALSE(protocol::covers(list{{0, 0, 0}}, 1, 0)) << "an empty extent";
  EXPECT_FALSE(protocol::covers(list{{0, 0, ~std::uint64_t{0}}, {0, 0, 11}}, 1, 10)) << "a sum that wraps";
}

TEST(protocol, what_is_said_of_a_value_must_be_possible) {
  using detail::plausible;
  EXPECT_TRUE(plausible({.size = 5}));
  EXPECT_TRUE(plausible({.kind = value_kind::packed, .schema = 3, .size = 5}));
  const auto dtype = static_cast<std::uint8_t>(dtype::float32);
  EXPECT_TRUE(plausible({.kind = value_kind::tensor, .dtype = dtype, .shape = {2, 3}, .size = 24}));
  EXPECT_FALSE(plausible({.kind = value_kind::tensor, .dtype = dtype, .shape = {2, 3}, .size = 25}));
  EXPECT_FALSE(plausible({.kind = value_kind::tensor, .dtype = 255, .shape = {2, 3}, .size = 24}));
  EXPECT_FALSE(plausible({.kind = value_kind::tensor, .dtype = dtype, .shape = {-2, -3}, .size = 24}));
  EXPECT_FALSE(plausible({.kind = value_kind::tensor, .dtype = dtype, .shape = {std::int64_t{1} << 62, 16}, .size = 0}));
  EXPECT_FALSE(plausible({.kind = value_kind::bytes, .shape = {5}, .size = 5}));
}

/// A client that speaks the protocol by hand, and says what no client would.
class hostile {
 public:
  using server_type = store_server<loopback, select_always>;

  explicit hostile(server_type& server) : server_(server) {
    memory_ = transport_.allocate_region(4 * slot).value();
    const auto address = protocol::read_address(server.address()).value();
    peer_ = transport_.connect(address.endpoint).value();
    lobby_ = transport_.import_region(peer_, address.lobby).value();
  }

  /// Puts a hello into the lobby; whether there was a welcome.
  bool enter(std::uint32_t slots = 1, std::uint32_t slot_size = slot, std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    const protocol::hello said{transport_.address().value(), transport_.export_region(memory_).value(), slots, slot_size};
    const std::size_t size = protocol::write_message(memory_.bytes().subspan(2 * slot, slot), protocol::kind::hello, me, ++sequence_, said).value();
    put(lobby_, 0, size, protocol::announcement::tag(0, sequence_, true));
    protocol::message welcome;
    if (!answered(0, patience) || !protocol::read_message(memory_.bytes().first(slot), welcome)) return false;
    requests_ = transport_.import_region(peer_, decode_from<protocol::welcome>(bytes_view(welcome.body())).value().requests).value();
    return true;
  }
  /// Sends any bytes as a request; whether there was an answer.
  bool send(bytes_view message) {
    std::copy(message.begin(), message.end(), memory_.data() + 2 * slot);
    put(requests_, slot, message.size(), protocol::announcement::tag(1, sequence_));
    return answered(1);
  }
  template <class Body>
  bool ask(protocol::kind what, const Body& body) {
    std::vector<std::byte> message(slot);
    const std::size_t size = protocol::write_message(message, what, me, ++sequence_, body).value();
    return send(bytes_view(message).first(size));
  }
  template <class Answer>
  Answer answer() {
    EXPECT_TRUE(protocol::read_message(memory_.bytes().subspan(slot, slot), read_).has_value());
    return decode_from<Answer>(bytes_view(read_.body())).value();
  }
  [[nodiscard]] std::vector<std::byte> descriptor() { return transport_.export_region(memory_).value(); }
  [[nodiscard]] bytes_span memory() const noexcept { return memory_.bytes(); }
  [[nodiscard]] std::uint64_t& sequence() noexcept { return sequence_; }

  static constexpr std::uint64_t me = 4711;
  static constexpr std::size_t slot = 16 << 10;

 private:
  void put(remote_region_id where, std::size_t offset, std::size_t size, std::uint64_t tag) {
    const slice each{memory_.id(), where, 2 * slot, offset, size};
    ASSERT_TRUE(transport_.submit(peer_, op::put, std::span(&each, 1), {.notify_tag = tag, .notify = true}).value().wait().ok());
  }
  /// The server connects to who says hello in a thread of its own, which takes its time; all else it answers at once.
  bool answered(std::size_t wanted, std::chrono::milliseconds patience = {}) {
    const auto until = std::chrono::steady_clock::now() + patience;
    for (int i = 0; i < 50 || std::chrono::steady_clock::now() < until; ++i) {
      server_.progress();
      transport_.progress();
      notification arrived;
      if (transport_.next_notification(arrived)) return protocol::announcement::slot_of(arrived.tag) == wanted;
    }
    return false;
  }

  server_type& server_;
  loopback transport_ = loopback::create().value();
  region memory_;
  peer_id peer_{};
  remote_region_id lobby_{}, requests_{};
  std::uint64_t sequence_ = 0;
  protocol::message read_;
};

struct hostile_clients : ::testing::Test {
  std::unique_ptr<hostile::server_type> server =
      hostile::server_type::create(loopback::create().value(), {.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}}).value();
};

TEST_F(hostile_clients, impossible_hellos_are_not_answered) {
  hostile one(*server);
  constexpr std::chrono::milliseconds a_while{100};
  EXPECT_FALSE(one.enter(0, 16 << 10, a_while));
  EXPECT_FALSE(one.enter(1, 100, a_while));
  EXPECT_FALSE(one.enter(1, 0xffffffc0u, a_while));
  EXPECT_FALSE(one.enter(1, (16 << 10) + 1, a_while));
  EXPECT_EQ(server->stats().clients, 0u);
  EXPECT_TRUE(one.enter());
  EXPECT_EQ(server->stats().clients, 1u);
}

TEST_F(hostile_clients, impossible_puts_are_refused_by_key) {
  hostile one(*server);
  ASSERT_TRUE(one.enter());
  const auto descriptor = one.descriptor();
  const std::string long_key(2000, 'k');
  protocol::put_request request;
  request.regions.push_back(descriptor);
  const std::vector<std::byte> nonsense(60, std::byte{3});
  request.regions.push_back(nonsense);
  const std::uint64_t right = checksum_of(one.memory().data(), 100);
  request.entries.push_back({"right", {.size = 100, .checksum = right}, {{0, 0, 100}}});
  request.entries.push_back({"other checksum", {.size = 100, .checksum = right + 1}, {{0, 0, 100}}});
  request.entries.push_back({"no such region", {.size = 100, .checksum = right}, {{2, 0, 100}}});
  request.entries.push_back({"not importable", {.size = 100, .checksum = right}, {{1, 0, 100}}});
  request.entries.push_back({"too short", {.size = 101, .checksum = right}, {{0, 0, 100}}});
  request.entries.push_back({"huge", {.size = std::uint64_t{1} << 60, .checksum = right}, {{0, 0, std::uint64_t{1} << 60}}});
  request.entries.push_back({long_key, {.size = 100, .checksum = right}, {{0, 0, 100}}});
  request.entries.push_back({"no tensor", {.kind = value_kind::tensor, .dtype = 200, .size = 100, .checksum = right}, {{0, 0, 100}}});
  ASSERT_TRUE(one.ask(protocol::kind::put, request));
  const auto codes = one.answer<protocol::codes_answer>().codes;
  ASSERT_EQ(codes.size(), 8u);
  EXPECT_EQ(codes[0], 0);
  EXPECT_EQ(errc{codes[1]}, errc::checksum_mismatch);
  EXPECT_EQ(errc{codes[2]}, errc::invalid_argument);
  EXPECT_NE(codes[3], 0);
  EXPECT_EQ(errc{codes[4]}, errc::invalid_argument);
  EXPECT_EQ(errc{codes[5]}, errc::no_space);
  EXPECT_EQ(errc{codes[6]}, errc::invalid_argument);
  EXPECT_EQ(errc{codes[7]}, errc::invalid_argument);
  EXPECT_EQ(server->stats().values, 1u);
  EXPECT_EQ(server->stats().free, server->stats().capacity - 128);
}

TEST_F(hostile_clients, a_slice_outside_its_region_fails_and_nothing_is_published) {
  hostile one(*server);
  ASSERT_TRUE(one.enter());
  const auto descriptor = one.descriptor();
  protocol::put_request request;
  request.regions.push_back(descriptor);
  request.entries.push_back({"outside", {.size = 100}, {{0, ~std::uint64_t{0} - 50, 100}}});
  ASSERT_TRUE(one.ask(protocol::kind::put, request));
  EXPECT_EQ(errc{one.answer<protocol::codes_answer>().codes[0]}, errc::out_of_range);
  EXPECT_EQ(server->stats().values, 0u);
  EXPECT_EQ(server->stats().free, server->stats().capacity);
}

TEST_F(hostile_clients, an_answered_request_is_answered_again_and_not_done_again) {
  hostile one(*server);
  ASSERT_TRUE(one.enter());
  const auto descriptor = one.descriptor();
  protocol::put_request request;
  request.regions.push_back(descriptor);
  request.entries.push_back({"key", {.size = 10, .checksum = checksum_of(one.memory().data(), 10)}, {{0, 0, 10}}});
  std::vector<std::byte> message(hostile::slot);
  const std::size_t size = protocol::write_message(message, protocol::kind::put, hostile::me, ++one.sequence(), request).value();
  ASSERT_TRUE(one.send(bytes_view(message).first(size)));
  EXPECT_EQ(one.answer<protocol::codes_answer>().codes[0], 0);
  ASSERT_TRUE(one.send(bytes_view(message).first(size)));
  EXPECT_EQ(one.answer<protocol::codes_answer>().codes[0], 0) << "already_exists, had it been done again";
}

TEST_F(hostile_clients, bytes_that_are_no_request_are_not_answered_and_do_no_harm) {
  hostile one(*server);
  ASSERT_TRUE(one.enter());
  std::mt19937_64 random(5);
  for (int i = 0; i < 300; ++i) {
    std::vector<std::byte> message(40 + random() % 400);
    for (auto& each : message) each = static_cast<std::byte>(random());
    EXPECT_FALSE(one.send(message));
    // The same as the body of a message that is whole.
    const std::vector<std::byte> body(message);
    detail::store_little(message.data(), protocol::magic);
    detail::store_little(message.data() + 4, protocol::version);
    detail::store_little(message.data() + 6, static_cast<std::uint16_t>(2 + random() % 5));
    detail::store_little(message.data() + 8, static_cast<std::uint32_t>(message.size() - 40));
    detail::store_little(message.data() + 12, std::uint32_t{0});
    detail::store_little(message.data() + 16, hostile::me);
    detail::store_little(message.data() + 24, ++one.sequence());
    detail::store_little(message.data() + 32, protocol::detail::checksum_of_message(message.data(), message.size() - 40));
    static_cast<void>(one.send(message));
  }
  EXPECT_EQ(server->stats().values, 0u);
  EXPECT_TRUE(one.ask(protocol::kind::stats, protocol::nothing{})) << "control";
  EXPECT_EQ(one.answer<store_stats>().values, 0u);
}

TEST_F(hostile_clients, another_s_lease_is_not_theirs_to_release) {
  hostile reader(*server), other(*server);  // which says that it is the same
  ASSERT_TRUE(reader.enter() && other.enter());
  const auto descriptor = reader.descriptor();
  protocol::put_request request;
  request.regions.push_back(descriptor);
  request.entries.push_back({"key", {.size = 10, .checksum = checksum_of(reader.memory().data(), 10)}, {{0, 0, 10}}});
  ASSERT_TRUE(reader.ask(protocol::kind::put, request));
  const auto find = [&] {
    EXPECT_TRUE(reader.ask(protocol::kind::find, protocol::keys_request{{"key"}}));
    const auto found = reader.answer<protocol::find_answer>();
    EXPECT_EQ(found.entries.at(0).code, 0);
    return found.lease;
  };
  const std::uint64_t first = find(), second = find(), third = find();
  EXPECT_TRUE(other.ask(protocol::kind::release, protocol::release_request{{first, second, third}}));
  EXPECT_EQ(server->stats().leased, 1u);
  EXPECT_TRUE(reader.ask(protocol::kind::release, protocol::release_request{{first, 12345, third}}));
  EXPECT_EQ(server->stats().leased, 1u) << "one lease of it is left";
  static_cast<void>(other.ask(protocol::kind::goodbye, protocol::nothing{}));
  EXPECT_EQ(server->stats().leased, 1u);
  EXPECT_EQ(server->stats().clients, 1u);
  static_cast<void>(reader.ask(protocol::kind::goodbye, protocol::nothing{}));
  EXPECT_EQ(server->stats().leased, 0u) << "who says goodbye reads no more";
}

}  // namespace
}  // namespace lading
