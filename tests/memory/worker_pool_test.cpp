// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/memory/worker_pool.hpp>

#include <atomic>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#if __has_include(<sys/wait.h>)
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace {

using lading::errc;
using lading::result;
using lading::worker_pool;

class WorkerPool : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Threads, WorkerPool, testing::Values(0, 1, 2, 3, 8, 32), [](const auto& test) { return std::to_string(test.param); });

TEST_P(WorkerPool, RunsEveryTaskOnce) {
  worker_pool pool(GetParam());
  EXPECT_EQ(pool.size(), GetParam());
  for (const std::size_t workers : std::initializer_list<std::size_t>{0, 1, 2, 3, 8, 32, 1000}) {
    for (const std::size_t count : std::initializer_list<std::size_t>{0, 1, 2, 3, 7, 64, 1000}) {
      std::vector<int> runs(count);
      const auto done = pool.run(count, workers, [&](std::size_t i) { ++runs[i]; });
      EXPECT_TRUE(done.has_value());
      EXPECT_EQ(runs, std::vector<int>(count, 1));
    }
  }
}

TEST_P(WorkerPool, UsesNoMoreWorkersThanAskedFor) {
  worker_pool pool(GetParam());
  for (const std::size_t workers : std::initializer_list<std::size_t>{1, 2, 3}) {
    std::atomic<std::size_t> inside{0}, most{0};
    const auto done = pool.run(500, workers, [&](std::size_t) {
      const std::size_t now = ++inside;
      for (std::size_t seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) {}
      --inside;
    });
    EXPECT_TRUE(done.has_value());
    EXPECT_GE(most.load(), 1U);
    EXPECT_LE(most.load(), workers);
  }
}

TEST_P(WorkerPool, OneWorkerIsTheCaller) {
  worker_pool pool(GetParam());
  const auto caller = std::this_thread::get_id();
  const auto done = pool.run(50, 1, [&](std::size_t) { EXPECT_EQ(std::this_thread::get_id(), caller); });
  EXPECT_TRUE(done.has_value());
}

TEST_P(WorkerPool, ReturnsTheErrorOfTheLowestFailingIndex) {
  worker_pool pool(GetParam());
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const std::size_t count = 1 + random() % 300, first = random() % count;
    std::vector<std::atomic<int>> runs(count);
    const auto done = pool.run(count, 1 + random() % 9, [&](std::size_t i) -> result<void> {
      ++runs[i];
      if (i == first || (i > first && i % 3 == 0)) return lading::fail(errc::not_canonical, {.item = 1000 + i, .what = "as planned"});
      return {};
    });
    ASSERT_FALSE(done.has_value());
    ASSERT_EQ(done.error().code(), errc::not_canonical);
    ASSERT_EQ(done.error().details().item, 1000 + first);
    for (std::size_t i = 0; i <= first; ++i) ASSERT_EQ(runs[i].load(), 1) << "everything before the failure has run";
    for (std::size_t i = first + 1; i < count; ++i) ASSERT_LE(runs[i].load(), 1);
  }
  EXPECT_TRUE(pool.run(10, 10, [](std::size_t) {}).has_value()) << "the pool works on";
}

TEST_P(WorkerPool, StopsEarlyAfterAFailure) {
  worker_pool pool(GetParam());
  std::atomic<std::size_t> runs{0};
  const auto done = pool.run(1'000'000, 4, [&](std::size_t i) -> result<void> {
    ++runs;
    if (i == 0) return lading::fail(errc::busy);
    return {};
  });
  EXPECT_FALSE(done.has_value());
  EXPECT_LT(runs.load(), 1'000'000U);
}

TEST_P(WorkerPool, ExceptionsBecomeErrors) {
  worker_pool pool(GetParam());
  for (const std::size_t workers : std::initializer_list<std::size_t>{1, 8}) {
    auto done = pool.run(100, workers, [](std::size_t i) {
      if (i == 37) throw std::bad_alloc();
    });
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().message(), "no_memory: item 37: an allocation failed in a task");
    done = pool.run(100, workers, [](std::size_t i) {
      if (i == 3) throw std::length_error("too long");
    });
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().message(), "no_memory: item 3: a container would outgrow its limit in a task");
    done = pool.run(100, workers, [](std::size_t i) {
      if (i == 99) throw 5;
    });
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().message(), "invalid_value: item 99: a task threw an exception: return an error instead");
    EXPECT_TRUE(pool.run(100, workers, [](std::size_t) {}).has_value());
  }
}

TEST_P(WorkerPool, RunsMayBeNested) {
  worker_pool pool(GetParam());
  std::atomic<int> leaves{0};
  const auto done = pool.run(6, 4, [&](std::size_t) -> result<void> {
    return pool.run(5, 4, [&](std::size_t) -> result<void> { return pool.run(4, 4, [&](std::size_t) { ++leaves; }); });
  });
  EXPECT_TRUE(done.has_value());
  EXPECT_EQ(leaves.load(), 120);
  const auto failed = pool.run(6, 4, [&](std::size_t i) -> result<void> {
    return pool.run(5, 4, [&](std::size_t j) -> result<void> {
      if (i >= 2 && j >= 1) return lading::fail(errc::busy, {.item = 10 * i + j});
      return {};
    });
  });
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().details().item, 21U);
}

TEST_P(WorkerPool, ManyThreadsMayRunAtOnce) {
  worker_pool pool(GetParam());
  std::atomic<int> sum{0};
  std::atomic<int> failures{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 6; ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 60; ++round) {
        const auto done = pool.run(40, 4, [&](std::size_t i) -> result<void> {
          ++sum;
          if (caller == 5 && i == 20) return lading::fail(errc::busy);
          return {};
        });
        if (!done) ++failures;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(failures.load(), 60);
  EXPECT_GE(sum.load(), 5 * 60 * 40 + 60 * 21);
}

TEST_P(WorkerPool, WhatTasksWroteIsSeenByTheCaller) {
  worker_pool pool(GetParam());
  std::vector<std::uint64_t> values(5000);
  for (std::uint64_t round = 1; round <= 100; ++round) {
    ASSERT_TRUE(pool.run(values.size(), 8, [&](std::size_t i) { values[i] += round * i; }).has_value());
    ASSERT_EQ(values[4999], 4999 * round * (round + 1) / 2);
  }
}

/// Pools come and go, of every size, while runs nest, fail and overlap: for the thread sanitizer.
TEST(WorkerPoolSchedules, RandomOnesHold) {
  std::mt19937 random(99);
  for (int round = 0; round < 300; ++round) {
    worker_pool pool(std::vector<std::size_t>{0, 1, 2, 3, 8}[random() % 5]);
    const std::size_t outer = random() % 12, inner = random() % 12, workers = 1 + random() % 8, bad = random() % 20;
    std::vector<std::size_t> counts(outer);
    const auto done = pool.run(outer, workers, [&](std::size_t i) -> result<void> {
      std::atomic<std::size_t> mine{0};
      auto part = pool.run(inner, workers, [&](std::size_t) { ++mine; });
      counts[i] = mine.load();
      if (i == bad) return lading::fail(errc::cancelled, {.item = i});
      return part;
    });
    ASSERT_EQ(done.has_value(), bad >= outer);
    for (std::size_t i = 0; i < std::min(outer, bad); ++i) ASSERT_EQ(counts[i], inner);
  }
}

TEST(WorkerPoolTasks, MayBeAnyCallable) {
  worker_pool pool(2);
  static std::atomic<std::size_t> sum{0};
  struct adder {
    void operator()(std::size_t i) const { sum += i; }
  };
  const adder constant;
  EXPECT_TRUE(pool.run(10, 3, constant).has_value());
  EXPECT_TRUE(pool.run(10, 3, adder{}).has_value());
  EXPECT_TRUE(pool.run(
                      10, 3, +[](std::size_t i) { sum += i; })
                  .has_value());
  EXPECT_EQ(sum.load(), 3U * 45U);
}

TEST(WorkerPoolShared, IsOneForTheProcess) {
  worker_pool& pool = worker_pool::shared();
  EXPECT_EQ(&pool, &worker_pool::shared());
  EXPECT_EQ(pool.size() + 1, lading::detail::hardware_threads());
  std::atomic<int> runs{0};
  EXPECT_TRUE(pool.run(100, 100, [&](std::size_t) { ++runs; }).has_value());
  EXPECT_EQ(runs.load(), 100);
}

#if defined(__SANITIZE_THREAD__)
#define LADING_TEST_FORKS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LADING_TEST_FORKS 0
#endif
#endif
#if !defined(LADING_TEST_FORKS)
#define LADING_TEST_FORKS LADING_DETAIL_PTHREADS
#endif

#if LADING_TEST_FORKS  // the thread sanitizer allows no new threads in a child
TEST(WorkerPoolFork, AChildHasNoThreadsButWorks) {
  auto pool = std::make_unique<worker_pool>(3);
  ASSERT_TRUE(pool->run(100, 4, [](std::size_t) {}).has_value());
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(20);           // a hang fails
    std::size_t runs = 0;  // no race: everything runs here
    const bool fine = pool->run(100, 4, [&](std::size_t) { ++runs; }).has_value() && runs == 100;
    pool.reset();  // joins nobody
    worker_pool own(2);
    std::atomic<int> own_runs{0};
    const bool own_fine = own.size() == 2 && own.run(100, 3, [&](std::size_t) { ++own_runs; }).has_value() && own_runs == 100;
    ::_exit(fine && own_fine ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(pool->run(100, 4, [](std::size_t) {}).has_value());
}
#endif

}  // namespace
