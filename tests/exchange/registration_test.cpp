// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/registration.hpp>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
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

/// Registering takes until it is told to go on.
struct slow_to_register : loopback {
  struct told {
    std::atomic<bool> begun{false}, go_on{false};
  };
  explicit slow_to_register(told& how) : loopback(loopback::create().value()), self(&how) {}
  result<region> register_region(bytes_span bytes) {
    if (bytes.size() >= large) {
      self->begun = true;
      const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      while (!self->go_on && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    }
    return loopback::register_region(bytes);
  }
  static constexpr std::size_t large = 5000;
  told* self;
};

TEST(registration_cache, lets_others_go_on_while_one_registers) {
  slow_to_register::told how;
  slow_to_register transport(how);
  exchange_meter<> meter;
  auto sender = submitter<slow_to_register>::create(transport, meter).value();
  registration_cache<slow_to_register, submitter<slow_to_register>> cache(transport, sender);
  std::vector<std::byte> memory(10'000);
  const bytes_span all(memory);
  registration whole, again;
  std::thread registering([&] { whole = cache.acquire(all).value(); });
  while (!how.begun) std::this_thread::yield();
  std::atomic<bool> done{false};
  std::thread other([&] {
    EXPECT_FALSE(cache.find(all)) << "not yet";
    again = cache.acquire(all.first(100)).value();
    done = true;
  });
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!done && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(done) << "small memory waits for the registration of large";
  how.go_on = true;
  other.join();
  registering.join();
  EXPECT_TRUE(cache.find(all.first(200)));
  EXPECT_NE(whole.region(), again.region());
}

}  // namespace
}  // namespace lading
