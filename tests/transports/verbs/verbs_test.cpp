// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include "rig.hpp"

namespace {
using namespace lading;
using lading::detail::parse_host;
using lading::detail::split_device;
using lading::detail::verbs_address;
using lading::detail::verbs_greeting;
using lading::detail::verbs_key;
using lading::detail::verbs_kind;
using lading::detail::verbs_message;

// --- what needs no device

TEST(verbs_options, of_no_sense_are_refused_before_any_device_is_looked_for) {
  EXPECT_TRUE(lading::detail::check({}).has_value());
  for (const verbs_options& wrong : {verbs_options{.ack_timeout = 0},
                                     verbs_options{.ack_timeout = 32},
                                     verbs_options{.retry_count = 8},
                                     verbs_options{.rnr_retry_count = 8},
                                     verbs_options{.rnr_timer = 32},
                                     verbs_options{.window = 0},
                                     verbs_options{.window = 65'537},
                                     verbs_options{.signal_every = 0},
                                     verbs_options{.gid_index = -2},
                                     verbs_options{.device = "mlx5_0:"},
                                     verbs_options{.device = ":1"},
                                     verbs_options{.device = "mlx5_0:0"},
                                     verbs_options{.device = "mlx5_0:255"},
                                     verbs_options{.device = "mlx5_0:1x"},
                                     verbs_options{.device = "mlx5_0:4294967297"},
                                     verbs_options{.host = "localhost"},
                                     verbs_options{.host = "10.0.0.256"},
                                     verbs_options{.host = "0.0.0.0"},
                                     verbs_options{.heartbeat = std::chrono::seconds(0)},
                                     verbs_options{.stall_limit = std::chrono::seconds(-1)},
                                     verbs_options{.mend_limit = std::chrono::seconds(0)},
                                     verbs_options{.host = "::"},
                                     verbs_options{.host = "224.0.0.1"},
                                     verbs_options{.host = "ff02::1"}}) {
    const auto made = verbs::create(wrong);
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(name_of(made.error().code()), "invalid_argument") << made.error().message();
    EXPECT_NE(made.error().details().what, nullptr);
  }
}

TEST(verbs_options, name_a_device_and_its_port) {
  EXPECT_EQ(split_device("").value(), (std::pair{std::string(), std::uint8_t{0}}));
  EXPECT_EQ(split_device("mlx5_0").value(), (std::pair{std::string("mlx5_0"), std::uint8_t{0}}));
  EXPECT_EQ(split_device("mlx5_0:2").value(), (std::pair{std::string("mlx5_0"), std::uint8_t{2}}));
  EXPECT_EQ(split_device("rxe0:254").value(), (std::pair{std::string("rxe0"), std::uint8_t{254}}));
}

TEST(verbs_options, name_a_host) {
  EXPECT_TRUE(parse_host("10.1.2.3").value().is_v4());
  EXPECT_FALSE(parse_host("fe80::1").value().is_v4());
  EXPECT_TRUE(parse_host("fe80::1").value().is_link_local());
  EXPECT_EQ(parse_host("::ffff:10.1.2.3").value().store(), parse_host("10.1.2.3").value().store());
}

TEST(verbs_create, without_a_device_says_what_to_do) {
  if (verbs_test::unavailable().empty()) GTEST_SKIP() << "this host has a device";
  const auto made = verbs::create();
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error(), errc::unsupported) << made.error().message();
  EXPECT_TRUE(made.error().message().find("rdma_rxe") != std::string::npos || made.error().message().find("rdma link") != std::string::npos)
      << made.error().message();
}

verbs_address some_address() {
  verbs_address address = parse_host("10.1.2.3").value();
  address.port = 7471;
  return address;
}

TEST(verbs_addresses, come_back_as_they_were) {
  for (const char* host : {"10.1.2.3", "2001:db8::1", "fe80::1"}) {
    verbs_address address = parse_host(host).value();
    address.port = 7471;
    const auto raw = address.store();
    const auto back = verbs_address::load(raw).value();
    EXPECT_EQ(back.store(), raw);
    const sockaddr_storage socket = back.socket_address(3);
    EXPECT_EQ(socket.ss_family, address.is_v4() ? AF_INET : AF_INET6);
  }
}

TEST(verbs_addresses, of_hostile_bytes_are_errors_or_addresses) {
  const auto good = some_address().store();
  ASSERT_TRUE(verbs_address::load(good).has_value());
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_EQ(verbs_address::load(bytes_view(good).first(size)).error(), errc::truncated);
  std::vector<std::byte> longer(good.begin(), good.end());
  longer.push_back(std::byte{0});
  EXPECT_EQ(verbs_address::load(longer).error(), errc::trailing_bytes);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto changed = good;
    changed[bit / 8] ^= std::byte{static_cast<unsigned char>(1u << (bit % 8))};
    const auto loaded = verbs_address::load(changed);
    if (bit < 16) {
      EXPECT_EQ(loaded.error(), errc::unsupported_version);
    } else if (bit >= 32 && bit < 64) {
      EXPECT_EQ(loaded.error(), errc::bad_header);
    } else if (loaded) {
      EXPECT_EQ(loaded->store(), changed) << "one meaning, one string of bytes";
    } else {
      EXPECT_EQ(loaded.error(), errc::invalid_value);
    }
  }
  const auto refused = [&](std::size_t at, std::vector<int> bytes) {
    auto changed = good;
    for (const int each : bytes) changed[at++] = std::byte{static_cast<unsigned char>(each)};
    return !verbs_address::load(changed).has_value();
  };
  EXPECT_TRUE(refused(2, {0, 0})) << "no port";
  EXPECT_TRUE(refused(20, {0, 0, 0, 0})) << "no host";
  EXPECT_TRUE(refused(20, {224, 0, 0, 1})) << "a multicast address";
  EXPECT_TRUE(refused(20, {255, 255, 255, 255})) << "broadcast";
  EXPECT_TRUE(refused(8, {0xff, 2})) << "a multicast address";
}

TEST(verbs_greetings, of_hostile_bytes_are_errors) {
  const auto good = verbs_greeting{.process = 1, .endpoint = 2, .wanted = 3}.store();
  std::vector<std::byte> padded(good.begin(), good.end());
  padded.resize(56);
  ASSERT_TRUE(verbs_greeting::load(padded).has_value());
  EXPECT_EQ(verbs_greeting::load(padded)->wanted, 3u);
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_EQ(verbs_greeting::load(bytes_view(good).first(size)).error(), errc::truncated);
  for (std::size_t bit = 0; bit < 64; ++bit) {
    auto changed = good;
    changed[bit / 8] ^= std::byte{static_cast<unsigned char>(1u << (bit % 8))};
    EXPECT_EQ(verbs_greeting::load(changed).error(), bit < 32 ? errc::bad_magic : bit < 48 ? errc::unsupported_version : errc::bad_header);
  }
}

TEST(verbs_messages, of_hostile_bytes_are_errors) {
  verbs_message::raw good;
  verbs_message{.kind = verbs_kind::notify, .request = 5, .value = 6}.store(good);
  ASSERT_TRUE(verbs_message::load(good).has_value());
  EXPECT_EQ(verbs_message::load(good)->request, 5u);
  EXPECT_EQ(verbs_message::load(good)->value, 6u);
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_EQ(verbs_message::load(bytes_view(good).first(size)).error(), errc::truncated);
  std::vector<std::byte> longer(good.begin(), good.end());
  longer.push_back(std::byte{0});
  EXPECT_EQ(verbs_message::load(longer).error(), errc::trailing_bytes);
  for (std::size_t bit = 0; bit < 64; ++bit) {
    auto changed = good;
    changed[bit / 8] ^= std::byte{static_cast<unsigned char>(1u << (bit % 8))};
    const auto loaded = verbs_message::load(changed);
    if (loaded) {
      EXPECT_TRUE(bit == 24 || bit == 25) << "only another kind is a message too: bit " << bit;
      continue;
    }
    EXPECT_EQ(loaded.error(), bit < 16 ? errc::bad_magic : bit < 24 ? errc::unsupported_version : errc::bad_header);
  }
}

TEST(verbs_keys, of_hostile_bytes_are_errors) {
  const auto good = verbs_key{.base = 4096, .rkey = 7}.store();
  ASSERT_TRUE(verbs_key::load(good, 100).has_value());
  EXPECT_EQ(verbs_key::load(good, 100)->rkey, 7u);
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_EQ(verbs_key::load(bytes_view(good).first(size), 1).error(), errc::truncated);
  std::vector<std::byte> longer(good.begin(), good.end());
  longer.push_back(std::byte{0});
  EXPECT_EQ(verbs_key::load(longer, 1).error(), errc::trailing_bytes);
  for (std::size_t bit = 0; bit < 32; ++bit) {
    auto changed = good;
    changed[bit / 8] ^= std::byte{static_cast<unsigned char>(1u << (bit % 8))};
    EXPECT_EQ(verbs_key::load(changed, 1).error(), errc::unsupported_version);
  }
  EXPECT_EQ(verbs_key::load(good, ~std::uint64_t{0} - 4095).error(), errc::size_overflow);
  EXPECT_TRUE(verbs_key::load(good, ~std::uint64_t{0} - 4096).has_value());
}

// --- what does

class verbs_device : public verbs_test::on_device {};

TEST_F(verbs_device, is_chosen_or_named) {
  const auto any = verbs::create().value();
  const std::string name(any.device_name());
  EXPECT_FALSE(name.empty());
  const auto address = verbs_address::load(decode_address(any.address().value()).value().native).value();
  EXPECT_NE(address.port, 0);
  EXPECT_EQ(verbs::create({.device = name}).value().device_name(), name);
  EXPECT_EQ(verbs::create({.device = name + ":1"}).value().device_name(), name);
  EXPECT_EQ(verbs::create({.device = "no_such_device"}).error(), errc::invalid_argument);
  EXPECT_FALSE(verbs::create({.device = name + ":77"}).has_value());
  EXPECT_FALSE(verbs::create({.gid_index = 200}).has_value());
  char text[INET6_ADDRSTRLEN] = {};
  const auto socket = address.socket_address();
  if (address.is_v4()) {
    sockaddr_in v4{};
    std::memcpy(&v4, &socket, sizeof v4);
    ASSERT_NE(::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text), nullptr);
    EXPECT_EQ(verbs::create({.host = text}).value().device_name(), name);
  }
  EXPECT_FALSE(verbs::create({.host = "203.0.113.9"}).has_value()) << "an address of nobody here";
}

TEST_F(verbs_device, listens_at_the_port_that_it_is_given) {
  const auto port_of = [](const verbs& one) { return verbs_address::load(decode_address(one.address().value()).value().native).value().port; };
  std::optional<verbs> first = verbs::create().value();
  const std::uint16_t port = port_of(*first);
  const auto second = verbs::create({.port = port});
  ASSERT_FALSE(second.has_value()) << "the port was taken";
  EXPECT_EQ(second.error(), errc::backend_failure);
  EXPECT_EQ(second.error().native(), EADDRINUSE);
  first.reset();
  EXPECT_EQ(port_of(verbs::create({.port = port}).value()), port);
}

TEST_F(verbs_device, connecting_in_vain_leaks_nothing) {
  auto near = verbs::create().value();
  const auto nobody = [&](verbs_address where) {
    const auto native = where.store();
    return near.connect(encode_address({.transport = transport_tag("verbs"), .identity = {1, 2}, .native = native}), std::chrono::milliseconds(100));
  };
  verbs_address own = verbs_address::load(decode_address(near.address().value()).value().native).value();
  verbs_address closed_port = own, no_host = own;
  closed_port.port = 1;
  no_host.host[15] ^= std::byte{0x55};
  std::optional<std::size_t> before;
  for (int i = 0; i < (conformance::quick ? 5 : 20); ++i) {
    const auto refused = nobody(closed_port), lost = nobody(no_host), stranger = nobody(own);
    for (const auto* each : {&refused, &lost, &stranger}) {
      ASSERT_FALSE(each->has_value());
      EXPECT_TRUE(each->error() == errc::peer_lost || each->error() == errc::timed_out) << each->error().message();
    }
    if (i == 2) before = conformance::open_descriptors();
  }
  if (before) {
    EXPECT_EQ(*conformance::open_descriptors(), *before);
  }
  // And it is none the worse for it.
  auto far = verbs::create().value();
  conformance::connect(near, far);
}

TEST_F(verbs_device, a_window_smaller_than_the_batch_is_filled_again_and_again) {
  auto near = verbs::create({.window = 5, .signal_every = 2}).value(), far = verbs::create().value();
  const region here = near.allocate_region(1 << 16).value(), there = far.allocate_region(1 << 16).value();
  const peer_id peer = conformance::connect(near, far);
  const auto imported = near.import_region(peer, far.export_region(there).value()).value();
  conformance::fill(here.bytes(), 3);
  std::vector<slice> slices;
  for (std::size_t i = 0; i < 1000; ++i) slices.push_back({here.id(), imported, i * 60, i * 60, 60});
  const completion how = near.submit(peer, op::put, slices).value().wait();
  ASSERT_TRUE(how.ok()) << how.status.error().message();
  EXPECT_EQ(how.done, 1000u);
  EXPECT_TRUE(conformance::same(here.bytes().first(60'000), there.bytes().first(60'000)));
}

TEST_F(verbs_device, durations_that_have_no_end_are_not_over_at_once) {
  constexpr auto never = std::chrono::nanoseconds::max();
  const verbs_options patient{.heartbeat = never,
                              .stall_limit = never,
                              .mend_limit = never,
                              .endpoint = {.default_deadline = never, .drain_limit = never, .close_limit = never}};
  auto near = verbs::create(patient).value(), far = verbs::create(patient).value();
  const region here = near.allocate_region(4096).value(), there = far.allocate_region(4096).value();
  const peer_id peer = conformance::connect(near, far);
  const auto descriptor = far.export_region(there).value();
  auto described = decode_descriptor(descriptor).value();
  described.size = 8192;  // which the hardware refuses, and the connection is mended
  const auto honest = near.import_region(peer, descriptor).value(), longer = near.import_region(peer, encode_descriptor(described)).value();
  conformance::fill(here.bytes(), 3);
  const std::vector<slice> slices{{here.id(), longer, 0, 4096, 64}, {here.id(), honest, 0, 0, 4096}};
  transfer running = near.submit(peer, op::put, slices, {.deadline = never}).value();
  for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20); !running.ready() && std::chrono::steady_clock::now() < until;)
    near.progress(), far.progress();
  ASSERT_TRUE(running.ready());
  EXPECT_FALSE(running.succeeded(0));
  EXPECT_TRUE(running.succeeded(1)) << running.how().status.error().message();
  EXPECT_TRUE(conformance::same(here.bytes(), there.bytes()));
}

}  // namespace
