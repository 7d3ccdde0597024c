// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Puts keys of mixed kinds, reads them back, and verifies each; its rates stand beside those of bare transfers of the same sizes.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <lading/codec/tensor/wire.hpp>
#include <lading/exchange/store.hpp>

#include "bare.hpp"
#include "support/meter.hpp"

namespace kv {

/// What a record looks like where it is made ...
struct record {
  std::uint64_t id = 0;
  std::string name;
  std::vector<float> weights;
};
/// ... and where it is read without copying it.
struct record_view {
  std::uint64_t id = 0;
  std::string_view name;
  std::span<const float> weights;
};

inline lading::tensor make_tensor(std::size_t index, std::size_t count) {
  std::vector<float> items(count);
  for (std::size_t i = 0; i < count; ++i) items[i] = static_cast<float>(index + i % 1000);
  return lading::tensor::of(items).value();
}
inline record make_record(std::size_t index) {
  return {index, "record " + std::to_string(index), std::vector<float>(50 + index % 200, static_cast<float>(index))};
}

/// How fast keys of one kind go, of the time only that of the calls: as the median of its batches, because the first ones warm memory up.
class pace {
 public:
  template <class Call>
  auto timed(std::size_t keys, std::size_t bytes, Call&& call) {
    const auto begun = clock::now();
    auto results = call();
    rates_.push_back(static_cast<double>(keys) / std::chrono::duration<double>(clock::now() - begun).count());
    keys_ += keys;
    bytes_ += bytes;
    return results;
  }
  [[nodiscard]] double rate() const {
    auto rates = rates_;
    const auto middle = rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2);
    std::nth_element(rates.begin(), middle, rates.end());
    return *middle;
  }
  void print(const std::string& what, const pace* bare = nullptr) const {
    std::printf("%-28s %8zu keys  %9.1f MB  %10.0f keys/s  %7.2f GB/s", what.c_str(), keys_, static_cast<double>(bytes_) / 1e6, rate(),
                rate() * static_cast<double>(bytes_) / static_cast<double>(keys_) / 1e9);
    if (bare != nullptr) std::printf("  %6.3f of bare", rate() / bare->rate());
    std::printf("\n");
    std::fflush(stdout);
  }

 private:
  using clock = std::chrono::steady_clock;
  std::vector<double> rates_;  // keys per second, by batch
  std::size_t keys_ = 0, bytes_ = 0;
};

/// How far the whole run has come, on the terminal.
class progress {
 public:
  explicit progress(std::size_t keys) : keys_(keys) {}
  void add(std::size_t keys, std::size_t bytes) {
    done_ += keys;
    bytes_ += bytes;
    line_.flow(static_cast<double>(done_) / static_cast<double>(keys_), bytes_);
  }
  void clear() { line_.clear(); }

 private:
  support::meter line_;
  std::size_t keys_, done_ = 0, bytes_ = 0;
};

template <class Results>
std::size_t failures(const Results& results) {
  std::size_t failed = 0;
  for (const auto& each : results) {
    if (each) continue;
    if (failed++ == 0) std::fprintf(stderr, "%s\n", each.error().message().c_str());
  }
  return failed;
}

/// Runs batches of keys of one kind; make(index) gives a value, check(result, index) says whether it came back.
template <class Store, class Make, class Read, class Check>
std::size_t run_kind(Store& store, bare_gets& gets, progress& line, const std::string& kind, std::size_t keys, std::size_t value_bytes, Make&& make,
                     Read&& read, Check&& check) {
  constexpr std::size_t batch = batch_keys;
  std::size_t failed = 0;
  const auto names_of = [&](std::size_t first) {
    std::vector<std::string> names;
    for (std::size_t i = first; i < std::min(first + batch, keys); ++i) names.push_back(kind + '/' + std::to_string(i));
    return names;
  };
  // A step of the run: what is timed, and shown.
  const auto timed = [&](pace& here, std::size_t count, auto&& call) {
    auto results = here.timed(count, count * value_bytes, call);
    line.add(count, count * value_bytes);
    return results;
  };
  pace bare, put, get;
  for (std::size_t first = 0; first < keys; first += batch) {
    const std::size_t count = std::min(batch, keys - first);
    if (!timed(bare, count, [&] { return gets.get(count, value_bytes); })) ++failed;
  }
  for (std::size_t first = 0; first < keys; first += batch) {
    const auto names = names_of(first);
    std::vector<decltype(make(0))> values;
    for (std::size_t i = 0; i < names.size(); ++i) values.push_back(make(first + i));
    failed += failures(timed(put, names.size(), [&] { return store.put_batch(names, values, {.mode = lading::put_mode::replace}); }));
  }
  for (std::size_t first = 0; first < keys; first += batch) {
    const auto names = names_of(first);
    const auto back = timed(get, names.size(), [&] { return read(names); });
    failed += failures(back);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (back[i] && !check(*back[i], first + i)) ++failed;
    }
  }
  line.clear();
  bare.print("bare transfers of that size");
  put.print("put " + kind, &bare);
  get.print("get " + kind, &bare);
  return failed;
}

/// Returns how many keys failed, or came back as something else.
template <class Store>
std::size_t run(Store& store, bare_gets& gets, std::size_t keys) {
  std::size_t failed = 0;
  const std::size_t part = (keys + 3) / 4;
  progress line(part * 4 * 3);  // bare, put, get
  const auto views_of = [&]<class T>(std::type_identity<T>) {
    return [&](const std::vector<std::string>& names) { return store.template view_batch<T>(names); };
  };
  for (const std::size_t count : {std::size_t{256}, std::size_t{16} << 10}) {
    failed += run_kind(
        store, gets, line, count == 256 ? "tensors of 1 KiB" : "tensors of 64 KiB", part, count * sizeof(float),
        [&](std::size_t i) { return make_tensor(i, count); }, views_of(std::type_identity<lading::tensor_view>{}),
        [&](const auto& seen, std::size_t i) { return make_tensor(i, count) == *seen; });
  }
  failed += run_kind(
      store, gets, line, "records, as views", part, 600, [](std::size_t i) { return make_record(i); }, views_of(std::type_identity<record_view>{}),
      [](const auto& seen, std::size_t i) {
        const record wanted = make_record(i);
        return seen->id == wanted.id && seen->name == wanted.name &&
               std::equal(seen->weights.begin(), seen->weights.end(), wanted.weights.begin(), wanted.weights.end());
      });
  failed += run_kind(
      store, gets, line, "bytes", part, 300, [](std::size_t i) { return std::vector<std::byte>(300, static_cast<std::byte>(i)); },
      [&](const std::vector<std::string>& names) { return store.template get_batch<std::vector<std::byte>>(names); },
      [](const auto& seen, std::size_t i) { return seen == std::vector<std::byte>(300, static_cast<std::byte>(i)); });

  std::printf("%s", failed == 0 ? "every value came back as it was put\n" : "");
  return failed;
}

}  // namespace kv
