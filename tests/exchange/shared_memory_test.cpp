// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/shared_memory.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace lading {
namespace shared_memory_test {

TEST(reachable_memory, lets_nobody_in_once_it_is_closed) {
  std::byte some[64]{};
  detail::reachable_memory memory{bytes_span(some)};
  EXPECT_TRUE(memory.enter());
  memory.leave();
  memory.close();
  EXPECT_FALSE(memory.enter());
}

/// Its owner closes it while another thread enters, both at a slightly different time in each round.
struct alignas(128) round {
  std::unique_ptr<detail::reachable_memory> memory;
  alignas(64) std::atomic<int> stage{0};  // 1 = the other is about to enter, 2 = it has been closed: its owner may free the bytes
};

void wait_for(const std::atomic<int>& stage, int wanted) {
  for (unsigned spins = 0; stage.load(std::memory_order_acquire) < wanted; ++spins) {
    if (spins % 4096 == 4095) std::this_thread::yield();
  }
}
void linger(std::size_t steps) {
  for (volatile std::size_t done = 0; done < steps;) done = done + 1;
}

/// How often the owner went on while the other was inside.
std::size_t violations(std::vector<round>& rounds, std::size_t shift) {
  std::byte some[64]{};
  for (round& each : rounds) {
    each.memory = std::make_unique<detail::reachable_memory>(bytes_span(some));
    each.stage.store(0);
  }
  std::thread owner([&] {
    for (std::size_t i = 0; i < rounds.size(); ++i) {
      wait_for(rounds[i].stage, 1);
      linger((shift * 7 + i * 13) % 24);
      rounds[i].memory->close();
      rounds[i].stage.store(2, std::memory_order_release);
    }
  });
  std::size_t violated = 0;
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    round& each = rounds[i];
    static_cast<void>(each.memory->bytes());
    each.stage.store(1, std::memory_order_release);
    linger((shift * 11 + i * 5) % 24);
    if (each.memory->enter()) {
      bool closed = false;
      for (int looks = 0; looks < 200 && !closed; ++looks) closed = each.stage.load(std::memory_order_acquire) == 2;
      violated += closed ? 1 : 0;
      each.memory->leave();
    }
    wait_for(each.stage, 2);
  }
  owner.join();
  return violated;
}

TEST(reachable_memory, is_not_closed_while_somebody_is_inside) {
  std::vector<round> rounds(1000);
  std::size_t violated = 0;
  for (std::size_t i = 0; i < 30; ++i) violated += violations(rounds, i);
  EXPECT_EQ(violated, 0u);
}

}  // namespace shared_memory_test
}  // namespace lading
