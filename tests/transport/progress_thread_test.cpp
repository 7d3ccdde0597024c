// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transport/progress_thread.hpp>

#include <gtest/gtest.h>

namespace progress_thread_test {
using namespace lading;
using namespace std::chrono_literals;

/// Has as much to do as the test says, and counts how often it is asked.
struct counted {
  std::size_t progress() noexcept {
    awake.clear();
    std::size_t left = work.load();
    while (left != 0 && !work.compare_exchange_weak(left, left - 1)) {}
    looks.fetch_add(1);
    return left != 0 ? 1 : 0;
  }
  [[nodiscard]] int event_fd() const noexcept { return has_descriptor ? awake.fd() : -1; }
  /// Returns when it has been asked as often, and a moment later says how often it was.
  [[nodiscard]] std::size_t looks_after(std::size_t expected) const {
    while (looks.load() < expected) std::this_thread::yield();
    std::this_thread::sleep_for(10ms);
    return looks.load();
  }

  explicit counted(bool descriptor = true) : has_descriptor(descriptor) {
    static_cast<void>(awake.fd());
    awake.clear();
  }
  bool has_descriptor;
  mutable wakeup awake;
  std::atomic<std::size_t> work{0}, looks{0};
};
static_assert(driven<counted>);

#if defined(__linux__)

TEST(progress_thread, looks_in_vain_as_often_as_it_is_told_and_sleeps) {
  for (const unsigned awake_rounds : {0u, 1u, 50u}) {
    counted one;
    const progress_thread thread(one, 1h, awake_rounds);
    std::size_t expected = awake_rounds + 1;
    EXPECT_EQ(one.looks_after(expected), expected);
    // Woken for nothing, it looks once; after work, as often as at first.
    one.awake.signal();
    EXPECT_EQ(one.looks_after(expected + 1), expected + 1);
    expected += 1;
    one.work.store(3);
    one.awake.signal();
    expected += 3 + awake_rounds + 1;
    EXPECT_EQ(one.looks_after(expected), expected);
  }
}

#endif

TEST(progress_thread, looks_by_itself_where_there_is_no_descriptor) {
  for (const std::chrono::microseconds longest : {100us, 20'000us}) {
    counted one(false);
    const progress_thread thread(one, longest);
    EXPECT_GE(one.looks_after(5), 5u);
  }
}

TEST(progress_thread, ends_while_it_sleeps) {
  counted with, without(false);
  {
    const progress_thread one(with, std::chrono::microseconds::max());
    const progress_thread other(without, std::chrono::microseconds::max());
    EXPECT_GE(with.looks_after(1), 1u);
    EXPECT_GE(without.looks_after(1), 1u);
  }
  const std::size_t looks = with.looks.load() + without.looks.load();
  EXPECT_EQ(with.looks_after(0) + without.looks_after(0), looks) << "nobody looks any more";
}

}  // namespace progress_thread_test
