// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/metrics.hpp>

#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lading/exchange/prometheus.hpp>

namespace lading {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

static_assert(sizeof(exchange_meter<>) < 16'384);

TEST(exchange_meter, counts_a_stage_by_strategy) {
  exchange_meter<> meter;
  meter.ended(stage::transfer, strategy::local, 700ns, 64);
  meter.ended(stage::transfer, strategy::local, 3us, 100);
  meter.ended(stage::post, strategy::transport, -1ns);
  const exchange_metrics seen = meter.read();
  const stage_metrics& local = seen.at(stage::transfer, strategy::local);
  EXPECT_EQ(local.count, 2u);
  EXPECT_EQ(local.bytes, 164u);
  EXPECT_EQ(local.total, 3700ns);
  EXPECT_EQ(local.buckets[10], 1u) << "512 to 1023 ns";
  EXPECT_EQ(local.buckets[12], 1u);
  EXPECT_EQ(local.quantile(0.5), 1024ns);
  EXPECT_EQ(local.quantile(1), 4096ns);
  EXPECT_EQ(seen.at(stage::transfer, strategy::transport).count, 0u);
  EXPECT_EQ(seen.at(stage::transfer, strategy::transport).quantile(0.9), 0ns);
  EXPECT_EQ(seen.at(stage::post, strategy::transport).buckets[0], 1u);
}

TEST(exchange_meter, a_duration_beyond_all_buckets_is_in_the_last) {
  exchange_meter<> meter;
  meter.ended(stage::queue, strategy::transport, std::chrono::nanoseconds::max());
  EXPECT_EQ(meter.read().at(stage::queue, strategy::transport).buckets.back(), 1u);
}

TEST(exchange_meter, counts_errors_by_code_and_copies_by_path) {
  exchange_meter<> meter;
  meter.failed(errc::not_found, 3);
  meter.failed(errc::peer_lost);
  meter.succeeded(5);
  meter.retried(2);
  meter.took_path(payload_path::put_encoded, 1);
  meter.took_path(payload_path::put_in_place, 0, 4);
  const exchange_metrics seen = meter.read();
  EXPECT_EQ(seen.failed(errc::not_found), 3u);
  EXPECT_EQ(seen.failed(errc::peer_lost), 1u);
  EXPECT_EQ(seen.failed(errc::timed_out), 0u);
  EXPECT_EQ(seen.failed(), 4u);
  EXPECT_EQ(seen.succeeded, 5u);
  EXPECT_EQ(seen.retried, 2u);
  EXPECT_EQ(seen.at(payload_path::put_encoded).copies, 1u);
  EXPECT_EQ(seen.at(payload_path::put_in_place).values, 4u);
  EXPECT_EQ(seen.at(payload_path::put_in_place).copies, 0u);
}

TEST(exchange_meter, loses_nothing_between_threads) {
  exchange_meter<> meter;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 10'000; ++n) meter.ended(stage::decode, strategy::transport, std::chrono::nanoseconds(n), 1);
    });
  }
  for (auto& each : threads) each.join();
  EXPECT_EQ(meter.read().at(stage::decode, strategy::transport).count, 40'000u);
  EXPECT_EQ(meter.read().at(stage::decode, strategy::transport).bytes, 40'000u);
}

struct recording {
  std::vector<std::uint64_t>* seen;
  void ended(stage, strategy, std::chrono::nanoseconds, std::uint64_t bytes) noexcept { seen->push_back(bytes); }
};

TEST(exchange_meter, tells_an_observer) {
  std::vector<std::uint64_t> seen;
  exchange_meter<recording> meter(recording{&seen});
  { stage_timer timer(meter, stage::verify, strategy::local, 7); }
  EXPECT_THAT(seen, ::testing::ElementsAre(7u));
}

TEST(exchange_metrics, describe_names_what_happened_and_nothing_else) {
  exchange_meter<> meter;
  meter.failed(errc::no_space);
  meter.ended(stage::encode, strategy::transport, 100ns, 5);
  const std::string text = meter.read().describe();
  EXPECT_THAT(text, HasSubstr("no_space 1"));
  EXPECT_THAT(text, HasSubstr("transport encode: 1 times, mean 100 ns"));
  EXPECT_THAT(text, Not(HasSubstr("local")));
}

TEST(prometheus_text, is_cumulative_and_typed) {
  exchange_meter<> meter;
  meter.failed(errc::no_space, 2);
  meter.ended(stage::encode, strategy::transport, 900ns, 5);
  meter.ended(stage::encode, strategy::transport, 3s, 6);
  const std::string text = prometheus_text(meter.read(), "a\"b");
  EXPECT_THAT(text, HasSubstr("# TYPE lading_exchange_stage_seconds histogram\n"));
  EXPECT_THAT(text, HasSubstr("lading_exchange_failed_total{role=\"a\\\"b\",code=\"no_space\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("stage=\"encode\",strategy=\"transport\",le=\"1.024e-06\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("stage=\"encode\",strategy=\"transport\",le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("lading_exchange_stage_bytes_total{role=\"a\\\"b\",stage=\"encode\",strategy=\"transport\"} 11\n"));
  EXPECT_THAT(text, HasSubstr("lading_exchange_stage_seconds_count{role=\"a\\\"b\",stage=\"encode\",strategy=\"transport\"} 2\n"));
  for (std::size_t at = 0; at < text.size();) {  // every line is a comment, or a sample: name{labels} value
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    if (line[0] != '#') {
      EXPECT_EQ(line.compare(0, 16, "lading_exchange_"), 0) << line;
      EXPECT_NE(line.find("} "), std::string::npos) << line;
    }
    at = end + 1;
  }
}

TEST(strategy, is_never_guessed_from_a_word) {
  EXPECT_EQ(strategy_of("local").value(), strategy::local);
  EXPECT_EQ(strategy_of("transport").value(), strategy::transport);
  for (const char* wrong : {"", "Local", "on", "1", "local "}) EXPECT_EQ(strategy_of(wrong).error(), errc::invalid_argument) << wrong;
}

TEST(strategy, goes_by_process_and_not_by_anything_else) {
  const select_by_process choose;
  const endpoint_identity here{1, 10}, beside{1, 11}, elsewhere{2, 11};
  EXPECT_EQ(choose({.self = here, .peer = beside, .addressable = true}), strategy::local);
  EXPECT_EQ(choose({.self = here, .peer = elsewhere, .addressable = true}), strategy::transport);
  EXPECT_EQ(choose({.self = here, .peer = beside, .addressable = false}), strategy::transport);
}

}  // namespace
}  // namespace lading
