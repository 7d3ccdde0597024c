// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// What a prepared batch must not do when it is submitted again: allocate. (rdma-core's own memory is C's, and not counted.)

#include "rig.hpp"
#include "support/counting_new.hpp"

namespace {
using namespace lading;

class verbs_allocations : public verbs_test::on_device {};

TEST_F(verbs_allocations, a_prepared_batch_makes_none) {
  if (!counts_new) GTEST_SKIP() << "the sanitizer has operators of its own";
  conformance::connected_pair pair(conformance::any_rig::of<verbs_test::rig>(), 1 << 20);
  std::vector<slice> slices;
  for (std::size_t i = 0; i < 700; ++i) slices.push_back(pair.one(i * 1000, i * 1000, i % 2 == 0 ? 100 : 1000));
  for (const op direction : {op::put, op::get}) {
    const prepared_batch prepared = pair.near->prepare(pair.to_far, direction, slices).value();
    const auto run = [&](int times) {
      for (int i = 0; i < times; ++i) {
        transfer running = pair.near->submit(prepared).value();
        if (!pair.finish(running).ok()) ADD_FAILURE();
      }
    };
    const int times = conformance::quick ? 2 : 5;
    run(times);
    const std::size_t before = allocations.load();
    run(times);
    EXPECT_EQ(allocations.load() - before, 0u);
    // The count counts: preparing does allocate.
    const std::size_t then = allocations.load();
    EXPECT_TRUE(pair.near->prepare(pair.to_far, direction, slices).has_value());
    EXPECT_NE(allocations.load(), then);
  }
}

}  // namespace
