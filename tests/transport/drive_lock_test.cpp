// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transport/drive_lock.hpp>

#include <mutex>
#include <thread>
#include <vector>

#include <poll.h>

#include <gtest/gtest.h>

namespace drive_lock_test {
using namespace lading;

bool readable(wakeup& awake) {
  ::pollfd watched{.fd = awake.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, 0) == 1;
}

TEST(drive_lock, holds_one_thread_at_a_time) {
  wakeup awake;
  detail::drive_lock lock(awake);
  int counted = 0, tried = 0;  // guarded by the lock
  std::vector<std::thread> threads;
  constexpr int each = 5'000;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < each; ++round) {
        std::lock_guard held(lock);
        ++counted;
      }
    });
  }
  threads.emplace_back([&] {
    for (int round = 0; round < each; ++round) {
      while (!lock.try_lock()) std::this_thread::yield();
      ++tried;
      round % 2 != 0 ? lock.unlock() : lock.unlock_quietly();
    }
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counted, 3 * each);
  EXPECT_EQ(tried, each);
}

TEST(drive_lock, wakes_who_sleeps_for_it) {
  wakeup awake;
  detail::drive_lock lock(awake);
  lock.lock();
  int had = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      std::lock_guard held(lock);
      ++had;
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // they are asleep, most likely
  lock.unlock_quietly();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(had, 3);
  EXPECT_TRUE(lock.try_lock());
}

TEST(drive_lock, tells_by_the_descriptor_who_asked_in_vain) {
  wakeup awake;
  detail::drive_lock lock(awake);
  ASSERT_TRUE(readable(awake));
  awake.clear();
  lock.lock();
  lock.unlock();
  EXPECT_FALSE(readable(awake));  // nobody had asked
  lock.lock();
  ASSERT_FALSE(lock.try_lock());
  lock.ask();
  lock.ask();
  EXPECT_FALSE(readable(awake));
  lock.unlock();
  EXPECT_TRUE(readable(awake));
  awake.clear();
  lock.ask();  // too late: look again at once
  EXPECT_TRUE(readable(awake));
}

}  // namespace drive_lock_test
