// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/memory/thread.hpp>

#include <gtest/gtest.h>

namespace {

using namespace lading::detail;

TEST(Thread, HandsOverWorkUnderAMutexAndACondition) {
  struct shared_state {
    mutex lock;
    condition changed;
    int turn = 0, sum = 0;
  } shared;
  thread other;
  ASSERT_TRUE(other.start(
      [](void* context) -> void* {
        auto& state = *static_cast<shared_state*>(context);
        const lock_guard held(state.lock);
        for (int i = 0; i < 100; ++i) {
          while (state.turn % 2 == 0) state.changed.wait(state.lock);
          state.sum += state.turn++;
          state.changed.notify_all();
        }
        return nullptr;
      },
      &shared));
  {
    const lock_guard held(shared.lock);
    for (int i = 0; i < 100; ++i) {
      while (shared.turn % 2 == 1) shared.changed.wait(shared.lock);
      shared.sum += shared.turn++;
      shared.changed.notify_one();
    }
  }
  other.join();
  EXPECT_EQ(shared.turn, 200);
  EXPECT_EQ(shared.sum, 199 * 200 / 2);
}

TEST(Thread, CountersAreShared) {
  shared_counter counter(5);
  thread threads[4];
  for (thread& each : threads) {
    ASSERT_TRUE(each.start(
        [](void* context) -> void* {
          for (int i = 0; i < 10'000; ++i) static_cast<shared_counter*>(context)->fetch_add(2);
          return nullptr;
        },
        &counter));
  }
  for (thread& each : threads) each.join();
  EXPECT_EQ(counter.load(), 80'005U);
  counter.store(1);
  EXPECT_EQ(counter.fetch_add(1), 1U);
}

TEST(Thread, TheHostHasAProcessor) {
  EXPECT_GE(hardware_threads(), 1U);
  EXPECT_EQ(fork_generation(), fork_generation());
}

}  // namespace
