// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A peer says hello with worker addresses that UCX never made. The target is a process of its own, for what reads such an address may end its program.

#if defined(__linux__)

#include <random>

#include <netinet/in.h>
#include <sys/socket.h>

#include <ucs/config/global_opts.h>

#include "raw_peer.hpp"

namespace forged_address_test {
using namespace lading;
using ucx_test::raw_peer;

/// Where a worker's address tells ports of TCP.
std::vector<std::size_t> ports(bytes_view address) {
  constexpr std::size_t attributes = 16;
  std::byte tcp[2];
  lading::detail::store_little(tcp, lading::detail::ucx_lane_number("tcp"));
  std::vector<std::size_t> found;
  for (std::size_t at = 0; at + 5 + attributes <= address.size(); ++at) {
    if (address[at] == tcp[0] && address[at + 1] == tcp[1] && (address[at + 2 + attributes] & std::byte{0x3f}) == std::byte{2})
      found.push_back(at + 3 + attributes);
  }
  return found;
}

template <class Lanes>
class ucx_forged_addresses : public ucx_test::on_lanes<Lanes> {
 protected:
  static constexpr std::size_t size = std::size_t{1} << 16;

  void SetUp() override {
    ucx_test::on_lanes<Lanes>::SetUp();
    if (this->IsSkipped()) return;
    ucs_global_opts_set_value("LOG_LEVEL", "fatal");
    // A forged address must lead nowhere but to this host: UCX ends the program, too, where the other end of a connection is not UCX.
    restored = std::getenv("UCX_NET_DEVICES") == nullptr;
    ::setenv("UCX_NET_DEVICES", "lo", 0);
    far.emplace(Lanes::lanes, size, false);
    peer.emplace(Lanes::lanes, far->address(), [] {});
    good = peer->address();
  }
  void TearDown() override {
    peer.reset();
    far.reset();
    if (restored) ::unsetenv("UCX_NET_DEVICES");
  }
  /// Where a change would have TCP connect to any program of this host.
  [[nodiscard]] bool is_port(std::size_t at) const {
    const auto lane = ports(good);
    return std::find_if(lane.begin(), lane.end(), [&](std::size_t port) { return at == port || at == port + 1; }) != lane.end();
  }
  /// The same endpoint again and again, so that the target gives up what it made of the hello before.
  void say_hello(bytes_view forged) { peer->say_hello(5, ++hellos + 1000, forged); }
  /// The target is alive: it takes what comes by messages, and answers.
  void serves(const std::string& after) {
    ASSERT_EQ(peer->ask({.kind = ucx_test::ucx_kind::put, .count = 1, .request = 5}), errc::not_registered) << after;
    ASSERT_EQ(far->ask('i'), 'y') << after;
  }
  /// And an honest endpoint connects, and puts.
  void serves_a_newcomer() {
    auto near = ucx_test::make<Lanes>().value();
    const region source = near.allocate_region(size).value();
    conformance::fill(source.bytes(), 3);
    const auto to = near.connect(far->address());
    ASSERT_TRUE(to.has_value()) << to.error().message();
    const slice all{source.id(), near.import_region(*to, far->descriptor()).value(), 0, 0, size};
    transfer running = near.submit(*to, op::put, std::span(&all, 1)).value();
    ASSERT_TRUE(running.wait_for(std::chrono::seconds(20)));
    EXPECT_TRUE(running.how().ok());
  }

  std::optional<ucx_test::process> far;
  std::optional<raw_peer> peer;
  std::vector<std::byte> good;
  std::uint64_t hellos = 0;
  bool restored = false;
};
using all_lanes = testing::Types<ucx_test::tcp, ucx_test::shared_memory>;
TYPED_TEST_SUITE(ucx_forged_addresses, all_lanes);

std::size_t variants(std::size_t few) {
  const char* const wanted = std::getenv("LADING_SOAK_ROUNDS");
  return wanted != nullptr ? few * std::strtoul(wanted, nullptr, 10) : few;
}

TYPED_TEST(ucx_forged_addresses, cut_short_or_too_long) {
  this->good[1] ^= std::byte{1};  // another worker's, as far as UCX knows: else it takes the connection that it has, and reads no further
  for (std::size_t cut = 0; cut < this->good.size(); ++cut) {
    this->say_hello(bytes_view(this->good).first(cut));
    if (cut % 64 == 0) this->serves("cut to " + std::to_string(cut));
    if (this->HasFatalFailure()) return;
  }
  std::vector<std::byte> longer = this->good;
  for (const std::size_t more : {1, 7, 500}) {
    longer.resize(this->good.size() + more, std::byte{0x41});
    this->say_hello(longer);
  }
  this->serves("too long");
  this->serves_a_newcomer();
}

TYPED_TEST(ucx_forged_addresses, with_bits_flipped) {
  std::mt19937_64 random(variants(1) == 1 ? 7 : std::random_device{}());
  const auto& whole = this->good;
  std::vector<std::size_t> free_bytes;  // bytes that may change
  for (std::size_t at = 0; at < whole.size(); ++at) {
    if (!this->is_port(at)) free_bytes.push_back(at);
  }
  const auto flip = [&](std::vector<std::byte>& forged, std::size_t bit) {
    forged[free_bytes[bit / 8]] ^= std::byte{static_cast<unsigned char>(1u << (bit % 8))};
  };
  const std::size_t bits = free_bytes.size() * 8, count = variants(400);
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::byte> forged = whole;
    std::string what;
    const std::size_t flips = i < 16 ? 1 : 1 + random() % 3;
    for (std::size_t left = flips; left != 0; --left) {
      const std::size_t bit = i < 16 ? i : 72 + random() % (bits - 72);
      flip(forged, bit);
      what += " " + std::to_string(bit);
    }
    // Another worker's, as far as UCX knows: else it takes the connection that it has, and reads no further.
    if (i >= 16) lading::detail::store_little(forged.data() + 1, random());
    this->say_hello(forged);
    if (i % 16 == 0 || i < 16) this->serves("bits" + what);
    if (this->HasFatalFailure()) return;
  }
  this->serves("all");
  this->serves_a_newcomer();
}

TYPED_TEST(ucx_forged_addresses, of_any_bytes) {
  std::mt19937_64 random(11);
  for (std::size_t i = 0; i < variants(100); ++i) {
    std::vector<std::byte> forged(1 + random() % 400);
    for (std::byte& each : forged) each = static_cast<std::byte>(random());
    if (i % 2 == 0) forged[0] = this->good[0];
    this->say_hello(forged);
    if (i % 16 == 0) this->serves(std::to_string(i));
    if (this->HasFatalFailure()) return;
  }
  this->serves("all");
  this->serves_a_newcomer();
}

/// The target's own address, as it is, and as another worker's.
TYPED_TEST(ucx_forged_addresses, of_the_target_itself) {
  const std::vector<std::byte> address = this->far->address();
  const auto decoded = decode_address(address).value();
  const bytes_view own = decoded.native.subspan(ucx_test::ucx_greeting::wire_size);
  this->say_hello(own);
  this->serves("its own");
  std::vector<std::byte> renamed(own.begin(), own.end());
  for (int bit = 0; bit < 8; ++bit) {
    renamed[1] ^= std::byte{static_cast<unsigned char>(1u << bit)};
    this->say_hello(renamed);
    this->serves("its own, renamed");
  }
  this->serves_a_newcomer();
}

/// A port at which connections are neither taken nor refused: it lets one wait, and one does.
class silent_port {
 public:
  silent_port() {
    ::sockaddr_in any{};
    any.sin_family = AF_INET;
    // Safety: an address of IPv4 is a socket's address.
    auto* const general = reinterpret_cast<::sockaddr*>(&any);
    ::socklen_t size = sizeof any;
    if (::bind(listening_.get(), general, size) != 0 || ::listen(listening_.get(), 0) != 0 || ::getsockname(listening_.get(), general, &size) != 0)
      std::abort();
    number_ = any.sin_port;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(waiting_.get(), general, size), 0);
  }
  /// The endpoint's address, but that its lanes of TCP lead here.
  [[nodiscard]] std::vector<std::byte> instead_of(const ucx& endpoint) const {
    const auto whole = endpoint.address().value();
    const auto decoded = decode_address(whole).value();
    std::vector<std::byte> native(decoded.native.begin(), decoded.native.end());
    for (const std::size_t at : ports(native)) std::memcpy(native.data() + at, &number_, 2);
    return encode_address({.transport = decoded.transport, .identity = decoded.identity, .native = native});
  }

 private:
  lading::detail::ucx_socket listening_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}, waiting_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t number_ = 0;  // network order
};

/// UCX 1.13 ends the program where a connection is closed over which UCX could not yet say anything.
using ucx_connections_in_vain = ucx_test::on_lanes<ucx_test::tcp>;
TEST_F(ucx_connections_in_vain, are_given_up_without_harm) {
  ucs_global_opts_set_value("LOG_LEVEL", "fatal");
  const auto far = ucx_test::make<ucx_test::tcp>().value();
  const silent_port nobody;
  for (int round = 0; round < 2; ++round) {
    auto near = ucx_test::make<ucx_test::tcp>().value(), honest = ucx_test::make<ucx_test::tcp>().value();
    for (int again = 0; again < 3; ++again) {
      const auto peer = near.connect(nobody.instead_of(far), std::chrono::milliseconds(30));
      ASSERT_FALSE(peer.has_value());
      EXPECT_EQ(name_of(peer.error().code()), "timed_out");
    }
    EXPECT_NE(conformance::connect(near, honest), peer_id{});
    for (int i = 0; i < 100; ++i) near.progress();
  }
}

TEST_F(ucx_connections_in_vain, end_when_they_are_refused_late) {
  const auto far = ucx_test::make<ucx_test::tcp>().value();
  auto near = ucx_test::make<ucx_test::tcp>().value();
  std::optional<silent_port> nobody(std::in_place);
  const auto address = nobody->instead_of(far);
  std::thread closing([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    nobody.reset();  // from now on what is sent there is refused
  });
  const auto peer = near.connect(address, std::chrono::seconds(20));
  closing.join();
  ASSERT_FALSE(peer.has_value());
  EXPECT_EQ(name_of(peer.error().code()), "peer_lost");
}

}  // namespace forged_address_test

#endif
