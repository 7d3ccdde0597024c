// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// What a prepared batch must not do when it is submitted again: allocate. (UCX's own memory is C's, and not counted.)

#include <algorithm>

#include "rig.hpp"
#include "support/counting_new.hpp"

namespace allocation_test {
using namespace lading;

template <class Lanes>
class ucx_allocations : public ucx_test::on_lanes<Lanes> {};
using all_lanes = testing::Types<ucx_test::tcp, ucx_test::shared_memory, ucx_test::shared_regions>;
TYPED_TEST_SUITE(ucx_allocations, all_lanes);

TYPED_TEST(ucx_allocations, a_prepared_put_makes_none) {
  if (!counts_new) GTEST_SKIP() << "the sanitizer has operators of its own";
  conformance::connected_pair pair(conformance::any_rig::of<ucx_test::rig<TypeParam>>(), 1 << 20);
  std::vector<slice> slices;
  for (std::size_t i = 0; i < 500; ++i) slices.push_back(pair.one(i * 1000, i * 1000, i % 2 == 0 ? 100 : 1000));
  slices.push_back(pair.one(0, 0, 1 << 20));
  const prepared_batch prepared = pair.near->prepare(pair.to_far, op::put, slices).value();
  const auto put = [&](int times) {
    for (int i = 0; i < times; ++i) {
      transfer running = pair.near->submit(prepared).value();
      if (!pair.finish(running).ok()) ADD_FAILURE();
    }
  };
  // What is kept for reuse may still grow in the first rounds, and on a busy machine in a later one.
  std::size_t fewest = ~std::size_t{0};
  for (int round = 0; round < 5 && fewest != 0; ++round) {
    const std::size_t before = allocations.load();
    put(100);
    fewest = std::min(fewest, allocations.load() - before);
  }
  EXPECT_EQ(fewest, 0u);
  // The count counts: preparing does allocate.
  const std::size_t then = allocations.load();
  EXPECT_TRUE(pair.near->prepare(pair.to_far, op::put, slices).has_value());
  EXPECT_NE(allocations.load(), then);
}

}  // namespace allocation_test
