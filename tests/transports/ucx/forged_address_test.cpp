// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A peer says hello with worker addresses that UCX never made. The target is a process of its own, for what reads such an address may end its program.

#if defined(__linux__)

#include <random>

#include <ucs/config/global_opts.h>

#include "raw_peer.hpp"

namespace {
using namespace lading;
using ucx_test::raw_peer;

template <class Lanes>
class ucx_forged_addresses : public ucx_test::on_lanes<Lanes> {
 protected:
  static constexpr std::size_t size = std::size_t{1} << 16;

  void SetUp() override {
    ucx_test::on_lanes<Lanes>::SetUp();
    if (this->IsSkipped()) return;
    ucs_global_opts_set_value("LOG_LEVEL", "fatal");
    far.emplace(Lanes::lanes, size, false);
    peer.emplace(Lanes::lanes, far->address(), [] {});
    good = peer->address();
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
};
using all_lanes = testing::Types<ucx_test::tcp, ucx_test::shared_memory>;
TYPED_TEST_SUITE(ucx_forged_addresses, all_lanes);

std::size_t variants(std::size_t few) {
  const char* const wanted = std::getenv("LADING_SOAK_ROUNDS");
  return wanted != nullptr ? few * std::strtoul(wanted, nullptr, 10) : few;
}

TYPED_TEST(ucx_forged_addresses, cut_short_or_too_long) {
  for (std::size_t size = 0; size < this->good.size(); ++size) {
    this->say_hello(bytes_view(this->good).first(size));
    if (size % 64 == 0) this->serves("cut to " + std::to_string(size));
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
  std::mt19937_64 random(7);
  const std::size_t bits = this->good.size() * 8, count = variants(300);
  std::vector<std::size_t> order(bits);
  for (std::size_t i = 0; i < bits; ++i) order[i] = i;
  std::shuffle(order.begin() + 16, order.end(), random);  // those of the head come first
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::byte> forged = this->good;
    const auto flip = [&](std::size_t bit) { forged[bit / 8] ^= std::byte{static_cast<unsigned char>(1u << (bit % 8))}; };
    flip(order[i % bits]);
    // Another worker's, as far as UCX knows: else it takes the connection that it has, and reads no further.
    if (i >= 16) flip(8 + random() % 64);
    for (std::size_t more = i / bits; more != 0; --more) flip(random() % bits);
    this->say_hello(forged);
    if (i % 16 == 0 || i < 16) this->serves("bit " + std::to_string(order[i % bits]));
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
  }
  this->serves("all");
  this->serves_a_newcomer();
}

/// The target's own address, as it is, and as another worker's.
TYPED_TEST(ucx_forged_addresses, of_the_target_itself) {
  const auto decoded = decode_address(this->far->address()).value();
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

}  // namespace

#endif
