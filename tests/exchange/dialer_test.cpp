// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/detail/dialer.hpp>

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

namespace lading {
namespace dialer_test {

/// Reaches no peer before it is told to give up.
struct patient {
  result<peer_id> connect(bytes_view, std::chrono::nanoseconds) {
    ++begun;
    while (!given_up) std::this_thread::yield();
    return fail(errc::timed_out);
  }
  void disconnect(peer_id) noexcept {}
  std::atomic<int> begun{0};
  std::atomic<bool> given_up{false};
};

TEST(dialer, a_call_that_is_dropped_before_its_turn_is_forgotten_at_once) {
  patient transport;
  detail::dialer<patient> dialer(transport, std::chrono::seconds(1));
  const std::vector<std::byte> address(8);
  std::vector<decltype(dialer.start(address, 0))> calls;
  for (int i = 1; i <= 4; ++i) {
    calls.push_back(dialer.start(address, static_cast<std::uint64_t>(i)));
    while (transport.begun != i) std::this_thread::yield();
  }
  auto dropped = dialer.start(address, 5), kept = dialer.start(address, 6);  // no thread is free for them
  const std::weak_ptr watched = dropped, control = kept;
  dialer.drop(*dropped);
  dropped.reset();
  kept.reset();
  EXPECT_TRUE(watched.expired());
  EXPECT_FALSE(control.expired()) << "what is wanted waits";
  kept = control.lock();
  dialer.drop(*calls[0]);
  transport.given_up = true;
  while (!dialer.is_done(*kept)) std::this_thread::yield();
  EXPECT_EQ(transport.begun.load(), 5) << "and is called";
}

TEST(dialer, one_source_keeps_no_other_waiting) {
  patient transport;
  detail::dialer<patient> dialer(transport, std::chrono::seconds(1));
  const std::vector<std::byte> address(8);
  std::vector<decltype(dialer.start(address, 0))> calls;
  for (int i = 0; i < 9; ++i) {
    calls.push_back(dialer.start(address, 1));
    if (i % 2 == 0) dialer.drop(*calls.back());  // as for who says hello again
  }
  for (std::uint64_t other = 2; other <= 4; ++other) calls.push_back(dialer.start(address, other));
  while (transport.begun < 4) std::this_thread::yield();
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  EXPECT_EQ(transport.begun.load(), 4) << "one for each";
  calls.push_back(dialer.start(address, 1));
  transport.given_up = true;
  while (!dialer.is_done(*calls.back())) std::this_thread::yield();
  EXPECT_GE(transport.begun.load(), 8) << "the others have their turn, one after the other";
}

}  // namespace dialer_test
}  // namespace lading
