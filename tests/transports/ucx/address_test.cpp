// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Which addresses of workers UCX is given to read.

#include "rig.hpp"

namespace address_test {
using namespace lading;
using lading::detail::load_little;
using lading::detail::store_little;
using lading::detail::ucx_addresses;
using lading::detail::ucx_lane_number;

template <class Lanes>
class ucx_worker_addresses : public ucx_test::on_lanes<Lanes> {
 protected:
  void SetUp() override {
    ucx_test::on_lanes<Lanes>::SetUp();
    if (this->IsSkipped()) return;
    const auto ignore = [](void*, const void*, std::size_t, void*, std::size_t, const ucp_am_recv_param_t*) { return UCS_OK; };
    for (auto* const each : {&near, &far}) ASSERT_TRUE(each->open({Lanes::lanes, {}, {}}, ignore, nullptr).has_value());
    known.learn(near.address().value());
    ASSERT_TRUE(known.understood());
    good = far.address().value();
    const auto here = [&] {
      return load_little<std::uint16_t>(good.data() + at) == ucx_lane_number(Lanes::lane) && (good[at + 18] & std::byte{0x3f}) == Lanes::length;
    };
    while (at + 19 < good.size() && !here()) ++at;
    ASSERT_LT(at + 19, good.size());
  }
  void refused(const std::vector<std::byte>& address, errc code) const {
    const auto checked = known.check(address);
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(name_of(checked.error().code()), name_of(code));
  }

  lading::detail::ucx_worker near, far;
  ucx_addresses known;
  std::vector<std::byte> good;
  std::size_t at = 9;  ///< of the lane's entry in `good`
};
struct by_tcp : ucx_test::tcp {
  static constexpr const char* lane = "tcp";
  static constexpr std::byte length{2};
};
struct by_posix : ucx_test::shared_memory {
  static constexpr const char* lane = "posix";
  static constexpr std::byte length{8};
};
using all_lanes = testing::Types<by_tcp, by_posix>;
TYPED_TEST_SUITE(ucx_worker_addresses, all_lanes);

TYPED_TEST(ucx_worker_addresses, are_taken_as_they_are) {
  EXPECT_TRUE(this->known.check(this->good).has_value());
  EXPECT_TRUE(this->known.check(this->near.address().value()).has_value()) << "one's own";
}

TYPED_TEST(ucx_worker_addresses, are_refused_cut_short_or_too_long) {
  for (std::size_t size = 0; size < this->good.size(); ++size)
    this->refused({this->good.begin(), this->good.begin() + static_cast<std::ptrdiff_t>(size)}, errc::truncated);
  std::vector<std::byte> longer = this->good;
  longer.push_back(std::byte{0});
  this->refused(longer, errc::trailing_bytes);
}

TYPED_TEST(ucx_worker_addresses, are_refused_of_another_version_or_without_a_worker) {
  for (unsigned version = 1; version < 16; ++version) {
    auto forged = this->good;
    forged[0] |= std::byte{static_cast<unsigned char>(version)};
    this->refused(forged, errc::unsupported_version);
  }
  auto forged = this->good;
  forged[0] &= ~std::byte{0x20};
  this->refused(forged, errc::bad_header);
  forged = this->good;
  std::memcpy(forged.data() + 1, this->near.address().value().data() + 1, 8);
  this->refused(forged, errc::invalid_value);
}

TYPED_TEST(ucx_worker_addresses, are_refused_with_figures_that_are_none) {
  for (const std::size_t field : {0, 4, 8}) {
    for (const std::uint32_t bits : {0x7fc00000u, 0x7f800000u, 0xff800000u, 0x7f7fffffu}) {  // NaN, the infinities, the largest
      auto forged = this->good;
      store_little(forged.data() + this->at + 2 + field, bits);
      this->refused(forged, errc::invalid_value);
    }
  }
  auto forged = this->good;
  store_little(forged.data() + this->at + 2 + 4, 0u);  // no bandwidth
  this->refused(forged, errc::invalid_value);
}

TYPED_TEST(ucx_worker_addresses, are_refused_with_lanes_that_do_not_do_what_theirs_do) {
  for (const unsigned bit : {8u, 16u, 18u}) {
    auto forged = this->good;
    store_little(forged.data() + this->at + 14, load_little<std::uint32_t>(forged.data() + this->at + 14) ^ (1u << bit));
    this->refused(forged, errc::invalid_value);
  }
  auto forged = this->good;
  forged[this->at + 18] |= std::byte{0x40};  // an endpoint's address follows
  this->refused(forged, errc::bad_header);
  // Another kind of lane may do what it likes: this process has none.
  forged = this->good;
  store_little(forged.data() + this->at, static_cast<std::uint16_t>(ucx_lane_number("none such")));
  store_little(forged.data() + this->at + 14, 0u);
  EXPECT_TRUE(this->known.check(forged).has_value());
}

TYPED_TEST(ucx_worker_addresses, are_refused_with_too_many_devices) {
  const auto many = [&](std::size_t count) {
    std::vector<std::byte> address(this->good.begin(), this->good.begin() + 9);
    address[0] = std::byte{0x20};
    for (std::size_t i = 0; i < count; ++i) address.insert(address.end(), {std::byte{0x80}, std::byte{0}});
    address.insert(address.end(), this->good.begin() + 9, this->good.end());
    return address;
  };
  this->refused(many(64), errc::limit_exceeded);
  EXPECT_TRUE(this->known.check(many(50)).has_value());
}

#if defined(__linux__)

using ucx_posix_addresses = ucx_worker_addresses<by_posix>;
TEST_F(ucx_posix_addresses, are_refused_where_the_memory_is_not_or_is_too_small) {
  constexpr std::uint64_t by_process = std::uint64_t{1} << 63;
  const int small = ::memfd_create("small", MFD_CLOEXEC);
  ASSERT_EQ(::ftruncate(small, 100), 0);
  const auto pid = static_cast<std::uint64_t>(::getpid());
  const auto descriptor = [&](int number) { return by_process | static_cast<std::uint64_t>(number) << 30 | pid; };
  auto tiny = good;
  store_little(tiny.data() + at + 19, descriptor(small));
  refused(tiny, errc::invalid_value);
  for (const std::uint64_t segment :
       {descriptor(0), descriptor(99'999), by_process | 1, std::uint64_t{0}, std::uint64_t{1} << 62 | 12345, ~std::uint64_t{0}}) {
    auto forged = good;
    store_little(forged.data() + at + 19, segment);
    refused(forged, errc::peer_lost);
  }
  // Large enough, it may be given to UCX.
  ASSERT_EQ(::ftruncate(small, 64 << 20), 0);
  auto forged = good;
  store_little(forged.data() + at + 19, descriptor(small));
  EXPECT_TRUE(known.check(forged).has_value());
  ::close(small);
}

#endif

}  // namespace address_test
