// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The example's connect keeps to its time, also where the system's own would wait.

#if defined(__linux__)

#include <gtest/gtest.h>

#include "../../examples/own_transport.hpp"

namespace {

using namespace std::chrono_literals;

/// A clock that moves whenever somebody looks at it.
struct restless_clock {
  std::atomic<std::int64_t> now{1};
  [[nodiscard]] lading::time_source source() noexcept {
    return {[](void* self) noexcept { return std::chrono::nanoseconds(static_cast<restless_clock*>(self)->now += 1'000'000); }, this};
  }
};

TEST(own_transport_connect, to_a_full_listener_ends_in_time) {
  restless_clock clock;
  auto near = lading::endpoint::create(std::make_unique<socket_driver>(), {.clock = clock.source()}).value();
  auto far = lading::endpoint::create(std::make_unique<socket_driver>()).value();
  sockaddr_un at{.sun_family = AF_UNIX, .sun_path = {}};
  std::snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "lading-%016llx", static_cast<unsigned long long>(far.identity().endpoint));
  std::vector<int> waiting;
  for (int refused = 0; refused == 0;) {
    ASSERT_LT(waiting.size(), 10'000u);
    waiting.push_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    // Safety: every kind of address goes through this type.
    refused = ::connect(waiting.back(), reinterpret_cast<const sockaddr*>(&at), sizeof at);
  }
  ASSERT_EQ(errno, EAGAIN) << "the listener does not accept, and its queue is full";
  const auto address = far.address().value();
  EXPECT_EQ(near.connect(address, 50ms).error(), lading::errc::timed_out);
  for (const int each : waiting) ::close(each);
  far.progress();  // takes them all off the queue
  EXPECT_TRUE(near.connect(address, 50ms).has_value());
}

TEST(own_transport_connect, to_nobody_fails_at_once) {
  auto near = lading::endpoint::create(std::make_unique<socket_driver>()).value();
  std::vector<std::byte> address;
  {
    auto far = lading::endpoint::create(std::make_unique<socket_driver>()).value();
    address = far.address().value();
  }
  EXPECT_EQ(near.connect(address, std::chrono::nanoseconds::max()).error(), lading::errc::peer_lost);
}

}  // namespace

#endif
