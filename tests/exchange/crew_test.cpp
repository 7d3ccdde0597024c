// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/detail/crew.hpp>

#include <atomic>
#include <new>
#include <vector>

#include <gtest/gtest.h>

namespace lading {
namespace crew_test {

using detail::crew;

TEST(crew, does_each_task_once_with_any_number_of_threads) {
  worker_pool none(0), some(2);
  for (worker_pool* pool : {&none, &some}) {
    for (const std::size_t size : {0u, 1u, 2u, 8u}) {
      std::vector<std::atomic<int>> done(100);
      crew{pool, size}.run(done.size(), [&](std::size_t i) { ++done[i]; });
      for (const auto& each : done) EXPECT_EQ(each.load(), 1) << size << " of " << pool->size() + 1;
      crew{pool, size}.run(0, [](std::size_t) { FAIL() << "there was nothing to do"; });
    }
  }
}

TEST(crew, ends_a_run_of_which_a_task_throws) {
  worker_pool pool(1);
  std::atomic<int> begun{0};
  const auto task = [&](std::size_t i) {
    ++begun;
    if (i == 0) throw std::bad_alloc();
  };
  EXPECT_THROW((crew{&pool, 1}.run(1000, task)), std::bad_alloc) << "alone";
  EXPECT_EQ(begun, 1);
  EXPECT_NO_THROW((crew{&pool, 2}.run(1000, task))) << "with others, whose caller learns it by what was not done";
}

}  // namespace crew_test
}  // namespace lading
