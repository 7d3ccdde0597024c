// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/registration.hpp>

#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include <lading/exchange/submitter.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace {

struct registrations : ::testing::Test {
  loopback transport = loopback::create().value();
  exchange_meter<> meter;
  submitter<loopback> sender = submitter<loopback>::create(transport, meter).value();
  registration_cache<loopback, submitter<loopback>> cache{transport, sender};
  std::vector<std::byte> memory = std::vector<std::byte>(10'000);
};

TEST_F(registrations, a_part_of_what_is_registered_is_found) {
  const auto whole = cache.acquire(memory).value();
  const auto part = cache.acquire(bytes_span(memory).subspan(100, 50)).value();
  const auto end = cache.acquire(bytes_span(memory).subspan(9999)).value();
  EXPECT_EQ(cache.hits(), 2u);
  EXPECT_EQ(part.region(), whole.region());
  EXPECT_EQ(part.offset(), 100u);
  EXPECT_EQ(end.offset(), 9999u);
  EXPECT_EQ(meter.read().at(stage::registering).count, 1u);
}

TEST_F(registrations, what_reaches_outside_is_registered_anew) {
  const auto first = cache.acquire(bytes_span(memory).first(5000)).value();
  const auto second = cache.acquire(bytes_span(memory).subspan(4000, 2000)).value();
  EXPECT_EQ(cache.hits(), 0u);
  EXPECT_NE(first.region(), second.region());
  const auto third = cache.acquire(bytes_span(memory).subspan(4500, 400)).value();
  EXPECT_EQ(cache.hits(), 1u);
  EXPECT_EQ(third.region(), second.region()) << "the nearest";
}

TEST_F(registrations, the_last_lease_ends_it) {
  std::optional part = cache.acquire(memory).value();
  std::optional other = cache.acquire(bytes_span(memory).first(10)).value();
  const region_id id = other->region();
  part.reset();
  EXPECT_EQ(cache.acquire(memory).value().region(), id) << "the smaller lease keeps all of it";
  other.reset();
  EXPECT_NE(cache.acquire(memory).value().region(), id);
  EXPECT_EQ(cache.hits(), 2u);
}

TEST_F(registrations, refuse_nothing) {
  EXPECT_EQ(cache.acquire({}).error(), errc::invalid_argument);
  EXPECT_TRUE(cache.acquire(memory).has_value());
}

}  // namespace
}  // namespace lading
