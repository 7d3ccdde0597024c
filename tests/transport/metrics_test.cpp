// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transport/metrics.hpp>

#include <gtest/gtest.h>

namespace metrics_test {
using namespace lading;
using namespace std::chrono_literals;

TEST(transport_metrics, count_each_end_by_its_status) {
  detail::metrics_counters counters;
  counters.count_submitted();
  counters.count_refused();
  counters.count_refused();
  counters.count(op::put, {.status = {}, .bytes = 100, .done = 2, .posted = 3ns, .finished = 10ns});
  counters.count(op::get, {.status = {}, .bytes = 30, .done = 1, .posted = 4ns, .finished = 20ns});
  for (const errc code : {errc::cancelled, errc::timed_out, errc::peer_lost, errc::peer_stalled, errc::closed, errc::backend_failure})
    counters.count(op::put, {.status = fail(code), .bytes = 1, .done = 1, .failed = 1});
  counters.count(op::get, {.status = fail(errc::timed_out), .failed = 1, .quarantined = true});
  EXPECT_EQ(counters.read().released, 0u);
  counters.count_released();
  const transport_metrics all = counters.read();
  EXPECT_EQ(all.submitted, 1u);
  EXPECT_EQ(all.refused, 2u);
  EXPECT_EQ(all.completed, 2u);
  EXPECT_EQ(all.failed, 7u);
  EXPECT_EQ(all.cancelled, 1u);
  EXPECT_EQ(all.timed_out, 2u);
  EXPECT_EQ(all.peer_lost, 2u) << "stalled ones too";
  EXPECT_EQ(all.quarantined, 1u);
  EXPECT_EQ(all.released, 1u);
  EXPECT_EQ(all.slices, 9u) << "that arrived, of failed batches too";
  EXPECT_EQ(all.bytes_put, 106u);
  EXPECT_EQ(all.bytes_get, 30u);
  EXPECT_EQ(all.posting, 7ns);
  EXPECT_EQ(all.transferring, 30ns);
}

}  // namespace metrics_test
