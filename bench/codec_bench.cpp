// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Encoding and decoding beside code written by hand for the same types (workloads.hpp), which checks nothing. vs_floor is the ratio of times.

#include <cstddef>
#include <vector>

#include <benchmark/benchmark.h>

#include <lading/codec/stream.hpp>

#include "paired.hpp"
#include "workloads.hpp"

namespace {

namespace by_hand = workload::by_hand;

template <class T>
struct encoded {
  T value;
  std::vector<std::byte> stream;
  std::vector<char> plain;

  explicit encoded(T made) : value(std::move(made)), stream(lading::encoded_size(value)), plain(stream.size() + 4096) {
    (void)lading::encode_into(value, stream);
    plain.resize(by_hand::encode(value, plain.data()));
  }
};

template <class T>
void encode(benchmark::State& state, T (*make)()) {
  encoded<T> data(make());
  paired::compare(
      state,
      [&] {
        auto wrote = lading::encode_into(data.value, data.stream);
        if (!wrote) state.SkipWithError("encode_into failed");
        benchmark::DoNotOptimize(wrote);
      },
      [&] {
        auto wrote = by_hand::encode(data.value, data.plain.data());
        benchmark::DoNotOptimize(wrote);
      });
}

template <class T, class Target = T>
void decode_fresh(benchmark::State& state, T (*make)()) {
  const encoded<T> data(make());
  paired::compare(
      state,
      [&] {
        auto decoded = lading::decode_from<Target>(lading::bytes_view(data.stream));
        if (!decoded) state.SkipWithError("decode_from failed");
        benchmark::DoNotOptimize(decoded);
      },
      [&] {
        Target decoded;
        by_hand::decode(data.plain.data(), decoded);
        benchmark::DoNotOptimize(decoded);
      });
}

template <class T, class Target = T>
void decode_again(benchmark::State& state, T (*make)()) {
  const encoded<T> data(make());
  Target mine{}, theirs{};
  paired::compare(
      state,
      [&] {
        auto decoded = lading::decode_into(mine, lading::bytes_view(data.stream));
        if (!decoded) state.SkipWithError("decode_into failed");
        benchmark::DoNotOptimize(mine);
      },
      [&] {
        by_hand::decode(data.plain.data(), theirs);
        benchmark::DoNotOptimize(theirs);
      });
}

using namespace workload;

BENCHMARK_CAPTURE(encode, W1, make_w1)->UseManualTime()->Iterations(80);
BENCHMARK_CAPTURE(encode, W2, make_w2)->UseManualTime()->Iterations(80);
BENCHMARK_CAPTURE(encode, W5, make_w5)->UseManualTime()->Iterations(13);
BENCHMARK_CAPTURE(encode, W6, make_w6)->UseManualTime()->Iterations(80);
BENCHMARK_CAPTURE(decode_fresh, W1, make_w1)->UseManualTime()->Iterations(80);
BENCHMARK_CAPTURE(decode_fresh, W2, make_w2)->UseManualTime()->Iterations(80);
BENCHMARK_CAPTURE(decode_fresh, W5, make_w5)->UseManualTime()->Iterations(13);
BENCHMARK_CAPTURE(decode_fresh, W6, make_w6)->UseManualTime()->Iterations(80);
BENCHMARK_CAPTURE(decode_again, W1, make_w1)->UseManualTime()->Iterations(80);
BENCHMARK_CAPTURE(decode_again, W2, make_w2)->UseManualTime()->Iterations(80);
BENCHMARK_CAPTURE(decode_again, W5, make_w5)->UseManualTime()->Iterations(13);
BENCHMARK_CAPTURE(decode_again, W6, make_w6)->UseManualTime()->Iterations(80);
void views_w1(benchmark::State& state) { decode_fresh<w1, w1_view>(state, make_w1); }
void views_w5(benchmark::State& state) { decode_fresh<w5, w5_view>(state, make_w5); }
void views_w6(benchmark::State& state) { decode_fresh<w6, w6_view>(state, make_w6); }
BENCHMARK(views_w1)->Name("views/W1")->UseManualTime()->Iterations(80);
BENCHMARK(views_w5)->Name("views/W5")->UseManualTime()->Iterations(80);
BENCHMARK(views_w6)->Name("views/W6")->UseManualTime()->Iterations(80);

}  // namespace
