// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/metrics.hpp>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lading/exchange/client.hpp>
#include <lading/exchange/prometheus.hpp>
#include <lading/exchange/server.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

static_assert(sizeof(exchange_meter<>) < 16'384);

/// An observer with state: what no_observer has to save.
struct stateful {
  void* state;
  void ended(stage, std::optional<strategy>, std::chrono::nanoseconds, std::uint64_t) noexcept {}
};
static_assert(sizeof(exchange_meter<stateful>) == sizeof(exchange_meter<>) + sizeof(void*), "no_observer takes no room");
static_assert(exchange_observer<stateful>);
struct may_throw {
  void ended(stage, std::optional<strategy>, std::chrono::nanoseconds, std::uint64_t) {}
};
static_assert(!exchange_observer<may_throw>);

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

TEST(exchange_meter, counts_items_by_strategy_and_code) {
  exchange_meter<> meter;
  meter.items_succeeded(strategy::local, 3);
  meter.item_failed(strategy::transport, errc::peer_lost);
  meter.item_failed(strategy::transport, errc::peer_lost);
  meter.item_failed(strategy::local, errc::out_of_range);
  const exchange_metrics seen = meter.read();
  EXPECT_EQ(seen.at(strategy::local).succeeded, 3u);
  EXPECT_EQ(seen.at(strategy::local).failed(), 1u);
  EXPECT_EQ(seen.at(strategy::local).failed(errc::out_of_range), 1u);
  EXPECT_EQ(seen.at(strategy::transport).succeeded, 0u);
  EXPECT_EQ(seen.at(strategy::transport).failed(errc::peer_lost), 2u);
  EXPECT_EQ(seen.succeeded + seen.failed(), 0u) << "they are no keys";
  const std::string text = seen.describe();
  EXPECT_THAT(text, HasSubstr("transport items: ok 0, failed 2\n  peer_lost 2\n"));
  EXPECT_THAT(text, HasSubstr("local items: ok 3, failed 1\n  out_of_range 1\n"));
  const std::string exposed = prometheus_text(seen, "r");
  EXPECT_THAT(exposed, HasSubstr("lading_exchange_items_succeeded_total{role=\"r\",strategy=\"local\"} 3\n"));
  EXPECT_THAT(exposed, HasSubstr("lading_exchange_items_failed_total{role=\"r\",strategy=\"transport\",code=\"peer_lost\"} 2\n"));
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
  void ended(stage, std::optional<strategy>, std::chrono::nanoseconds, std::uint64_t bytes) noexcept { seen->push_back(bytes); }
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

TEST(prometheus_text, has_every_stage_and_strategy) {
  exchange_meter<> meter;
  for (std::size_t how = 0; how < strategy_count; ++how) {
    for (std::size_t what = 0; what < stage_count; ++what) meter.ended(static_cast<stage>(what), static_cast<strategy>(how), 1us, 1);
  }
  const std::string text = prometheus_text(meter.read()), told = meter.read().describe();
  for (const std::string how : {"transport", "local"}) {
    for (const std::string what : {"encode", "pack", "register", "queue", "post", "transfer", "verify", "decode"}) {
      EXPECT_THAT(text, HasSubstr("lading_exchange_stage_seconds_count{role=\"store\",stage=\"" + what + "\",strategy=\"" + how + "\"} 1\n"));
      EXPECT_THAT(told, HasSubstr(how + ' ' + what + ": 1 times"));
    }
  }
}

TEST(exchange_metrics, name_no_strategy_but_that_which_moved_the_bytes) {
  using server_type = store_server<loopback>;
  const auto server = server_type::create(loopback::create().value(), {.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}}).value();
  store_client_options how{.memory = {.capacity = 1 << 20, .slab_size = 1 << 20}, .batch_workers = 1, .serial_workers = 1};
  how.channel.idle = [](void* served) { static_cast<server_type*>(served)->progress(); };
  how.channel.idle_context = server.get();
  const auto one = store_client<loopback>::connect(loopback::create().value(), server->address(), how).value();
  const std::vector<std::string> key{"key"};
  ASSERT_TRUE(one->put_batch(key, std::vector<std::string>{"a value"})[0].has_value());
  ASSERT_EQ(one->get_batch<std::string>(key)[0].value(), "a value");
  for (const exchange_metrics& seen : {one->metrics(), server->metrics()}) {
    EXPECT_NE(seen.at(stage::transfer, strategy::local).count, 0u);
    EXPECT_NE(seen.at(stage::verify).bytes, 0u);
    EXPECT_THAT(seen.describe(), Not(HasSubstr("transport")));
    EXPECT_THAT(seen.describe(), HasSubstr("\nverify: "));
    const std::string text = prometheus_text(seen);
    EXPECT_THAT(text, HasSubstr("lading_exchange_stage_seconds_count{role=\"store\",stage=\"verify\"} "));
    EXPECT_THAT(text, HasSubstr("stage=\"transfer\",strategy=\"local\"} 1\n"));
    EXPECT_THAT(text.substr(text.find("stage_bytes_total")), Not(HasSubstr("strategy=\"transport\"")));
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
