// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What every store does with the keys and results of a batch.

#include <concepts>
#include <iterator>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lading/codec/tensor/tensor_view.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>

namespace lading::detail {

/// What each key's result is until something else is known.
template <class T>
[[nodiscard]] std::vector<result<T>> undone(std::size_t count) {
  std::vector<result<T>> results;
  results.reserve(count);
  while (results.size() < count) results.emplace_back(fail(errc::no_memory, {.what = "an allocation failed before the key's turn"}));
  return results;
}

/// An Item for each key, which has its index and itself.
template <class Item, class Keys>
[[nodiscard]] std::vector<Item> items_of(const Keys& keys) {
  using reference = decltype(std::begin(keys)[0]);
  static_assert(std::is_lvalue_reference_v<reference> || std::is_convertible_v<reference, const char*> ||
                    std::is_same_v<std::remove_cvref_t<reference>, std::string_view>,
                "lading: keys are read in place while the batch runs: pass a container of strings or string views, not a range that makes strings");
  std::vector<Item> all;
  all.reserve(std::size(keys));
  for (std::size_t i = 0; i < std::size(keys); ++i) {
    Item& fresh = all.emplace_back();
    fresh.index = i;
    fresh.key = std::string_view(std::begin(keys)[static_cast<std::ptrdiff_t>(i)]);
  }
  return all;
}

/// The same such that no key is twice in one wave, and equal ones are in their order: what is tried again never overtakes what was given after it.
template <class Item, class Keys>
[[nodiscard]] std::vector<std::vector<Item>> waves_of(const Keys& keys) {
  std::vector<std::vector<Item>> waves(1);
  std::unordered_map<std::string_view, std::size_t> times;
  for (const Item& each : items_of<Item>(keys)) {
    const std::size_t wave = times[each.key]++;
    if (wave == waves.size()) waves.emplace_back();
    waves[wave].push_back(each);
  }
  return waves;
}

/// What the values of a batch are.
template <class Values>
struct values_in {
  using reference = decltype(std::begin(std::declval<const Values&>())[0]);
  using type = std::remove_cvref_t<reference>;
  static_assert(
      std::is_reference_v<reference> || std::same_as<type, bytes_view> || std::same_as<type, bytes_span> || std::same_as<type, tensor_view>,
      "lading: values are read in place while the batch runs: pass a container of them, or a range of views, not a range that makes values");
};

/// Counts how each key ended.
template <class Meter, class T>
[[nodiscard]] std::vector<result<T>> counted(Meter& meter, std::vector<result<T>> results) noexcept {
  for (const result<T>& each : results) each ? meter.succeeded() : meter.failed(each.error().code());
  return results;
}

}  // namespace lading::detail
