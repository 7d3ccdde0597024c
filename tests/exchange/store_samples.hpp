// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Values that the tests of stores put.

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <lading/codec/tensor/wire.hpp>

namespace lading::store_conformance {

struct record {
  std::uint32_t number = 0;
  std::string name;
  std::vector<double> weights;
  std::vector<std::string> tags;
  friend bool operator==(const record&, const record&) = default;
};

inline std::vector<std::string> keys(std::size_t count, const std::string& prefix = "key/") {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(prefix + std::to_string(i));
  return all;
}
inline tensor numbers(std::size_t count, float first) {
  std::vector<float> items(count);
  std::iota(items.begin(), items.end(), first);
  return tensor::of(items).value();
}
inline tensor numbers(shape_ref shape, std::size_t count) {
  std::vector<float> items(count);
  std::iota(items.begin(), items.end(), 0.5f);
  return tensor::of(items, shape).value();
}
inline record sample(std::uint32_t number) {
  return {number, "record " + std::to_string(number), std::vector<double>(number % 2000, number * 0.5), {"a", std::to_string(number)}};
}
template <class Results>
std::size_t count_ok(const Results& results) {
  std::size_t ok = 0;
  for (const auto& each : results) ok += each.has_value() ? 1u : 0u;
  return ok;
}

}  // namespace lading::store_conformance
