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

/// Shows how far a kind has come, and in the end how fast it was: of the time, only that of the calls counts.
class meter {
 public:
  explicit meter(const char* what) : what_(what) {}

  template <class Call>
  auto timed(Call&& call) {
    const auto begun = clock::now();
    auto results = call();
    spent_ += clock::now() - begun;
    return results;
  }
  void add(std::size_t keys, std::size_t bytes) {
    keys_ += keys;
    bytes_ += bytes;
    std::printf("\r%-28s %8zu keys", what_, keys_);
    std::fflush(stdout);
  }
  [[nodiscard]] double rate() const { return static_cast<double>(keys_) / std::chrono::duration<double>(spent_).count(); }
  void end(const meter* bare = nullptr) const {
    std::printf("\r%-28s %8zu keys  %9.1f MB  %10.0f keys/s  %7.2f GB/s", what_, keys_, static_cast<double>(bytes_) / 1e6, rate(),
                rate() * static_cast<double>(bytes_) / static_cast<double>(keys_) / 1e9);
    if (bare != nullptr) std::printf("  %6.3f of bare", rate() / bare->rate());
    std::printf("\n");
  }

 private:
  using clock = std::chrono::steady_clock;
  const char* what_;
  clock::duration spent_{0};
  std::size_t keys_ = 0, bytes_ = 0;
};

template <class Results>
std::size_t failures(const Results& results) {
  std::size_t failed = 0;
  for (const auto& each : results) {
    if (each) continue;
    if (failed++ == 0) std::fprintf(stderr, "\n%s\n", each.error().message().c_str());
  }
  return failed;
}

/// Runs batches of keys of one kind; make(index) gives a value, check(result, index) says whether it came back.
template <class Store, class Make, class Read, class Check>
std::size_t run_kind(Store& store, bare_gets& gets, const char* kind, std::size_t keys, std::size_t value_bytes, Make&& make, Read&& read,
                     Check&& check) {
  constexpr std::size_t batch = batch_keys;
  std::size_t failed = 0;
  const auto names_of = [&](std::size_t first) {
    std::vector<std::string> names;
    for (std::size_t i = first; i < std::min(first + batch, keys); ++i) names.push_back(std::string(kind) + '/' + std::to_string(i));
    return names;
  };
  const std::string putting = std::string("put ") + kind, getting = std::string("get ") + kind;
  meter bare("bare transfers of that size");
  for (std::size_t first = 0; first < keys; first += batch) {
    const std::size_t count = std::min(batch, keys - first);
    if (!bare.timed([&] { return gets.get(count, value_bytes); })) ++failed;
    bare.add(count, count * value_bytes);
  }
  bare.end();
  meter put(putting.c_str());
  for (std::size_t first = 0; first < keys; first += batch) {
    const auto names = names_of(first);
    std::vector<decltype(make(0))> values;
    for (std::size_t i = 0; i < names.size(); ++i) values.push_back(make(first + i));
    failed += failures(put.timed([&] { return store.put_batch(names, values, {.mode = lading::put_mode::replace}); }));
    put.add(names.size(), names.size() * value_bytes);
  }
  put.end(&bare);
  meter get(getting.c_str());
  for (std::size_t first = 0; first < keys; first += batch) {
    const auto names = names_of(first);
    const auto back = get.timed([&] { return read(names); });
    failed += failures(back);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (back[i] && !check(*back[i], first + i)) ++failed;
    }
    get.add(names.size(), names.size() * value_bytes);
  }
  get.end(&bare);
  return failed;
}

/// Returns how many keys failed, or came back as something else.
template <class Store>
std::size_t run(Store& store, bare_gets& gets, std::size_t keys) {
  std::size_t failed = 0;
  const std::size_t part = (keys + 3) / 4;
  const auto views_of = [&]<class T>(std::type_identity<T>) {
    return [&](const std::vector<std::string>& names) { return store.template view_batch<T>(names); };
  };
  for (const std::size_t count : {std::size_t{256}, std::size_t{16} << 10}) {
    failed += run_kind(
        store, gets, count == 256 ? "tensors of 1 KiB" : "tensors of 64 KiB", part, count * sizeof(float),
        [&](std::size_t i) { return make_tensor(i, count); }, views_of(std::type_identity<lading::tensor_view>{}),
        [&](const auto& seen, std::size_t i) { return make_tensor(i, count) == *seen; });
  }
  failed += run_kind(
      store, gets, "records, as views", part, 600, [](std::size_t i) { return make_record(i); }, views_of(std::type_identity<record_view>{}),
      [](const auto& seen, std::size_t i) {
        const record wanted = make_record(i);
        return seen->id == wanted.id && seen->name == wanted.name &&
               std::equal(seen->weights.begin(), seen->weights.end(), wanted.weights.begin(), wanted.weights.end());
      });
  failed += run_kind(
      store, gets, "bytes", part, 300, [](std::size_t i) { return std::vector<std::byte>(300, static_cast<std::byte>(i)); },
      [&](const std::vector<std::string>& names) { return store.template get_batch<std::vector<std::byte>>(names); },
      [](const auto& seen, std::size_t i) { return seen == std::vector<std::byte>(300, static_cast<std::byte>(i)); });

  std::printf("%s", failed == 0 ? "every value came back as it was put\n" : "");
  return failed;
}

}  // namespace kv
