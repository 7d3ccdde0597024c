// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <lading/codec/types.hpp>

// Values of any encodable type, made of a seed: fill(rng, value). A failure that names the seed can be had again with LADING_TEST_SEED.

namespace lading_test {

/// splitmix64: the same numbers everywhere, and a state that can be printed.
class random_source {
 public:
  explicit random_source(std::uint64_t seed) noexcept : state_(seed) {}

  [[nodiscard]] std::uint64_t seed() const noexcept { return state_; }
  std::uint64_t next() noexcept {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15ULL;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return mixed ^ (mixed >> 31);
  }
  std::size_t below(std::size_t bound) noexcept { return static_cast<std::size_t>(next() % bound); }
  bool one_in(std::size_t chance) noexcept { return below(chance) == 0; }

  /// How many elements: mostly few, sometimes none, rarely many.
  std::size_t count() noexcept {
    if (made_ > 200) return 0;  // enough for one value
    const std::size_t chosen = choose_count();
    made_ += chosen;
    return chosen;
  }

 private:
  std::size_t choose_count() noexcept {
    switch (below(16)) {
      case 0:
      case 1:
      case 2: return 0;
      case 3: return below(70);
      default: return 1 + below(5);
    }
  }

  std::uint64_t state_;
  std::size_t made_ = 0;
};

/// LADING_TEST_SEED, or `otherwise`.
inline std::uint64_t test_seed(std::uint64_t otherwise) {
  const char* const text = std::getenv("LADING_TEST_SEED");  // NOLINT(concurrency-mt-unsafe): tests set no environment
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

inline constexpr int default_random_depth = 4;

template <class T>
void fill(random_source& random, T& value, int depth = default_random_depth);

template <class T>
T random_value(random_source& random, int depth = default_random_depth) {
  T value{};
  fill(random, value, depth);
  return value;
}

namespace detail {

using lading::detail::kind;

/// Any bits, but often those where something changes.
template <class Number>
void fill_number(random_source& random, Number& value) {
  if constexpr (std::is_same_v<Number, long double>) {
    value = static_cast<long double>(static_cast<std::int64_t>(random.next())) / 3;
  } else if constexpr (std::is_floating_point_v<Number>) {
    const std::uint64_t bits = random.next();
    if (random.one_in(4))
      value = static_cast<Number>(static_cast<std::int64_t>(bits % 9) - 4) / 2;
    else
      std::memcpy(&value, &bits, sizeof(value));  // NaN with any payload among them
  } else {
    switch (random.below(4)) {
      case 0: value = static_cast<Number>(random.below(3)); break;
      case 1: value = static_cast<Number>(static_cast<Number>(0) - static_cast<Number>(1)); break;
      default: value = static_cast<Number>(random.next());
    }
  }
}

template <class Variant, class... Alternatives>
void fill_variant(random_source& random, Variant& value, int depth, lading::detail::type_list<Alternatives...>) {
  const std::size_t chosen = random.below(sizeof...(Alternatives));
  [&]<std::size_t... Index>(std::index_sequence<Index...>) {
    (void)((chosen == Index && (fill(random, value.template emplace<Index>(), depth - 1), true)) || ...);
  }(std::index_sequence_for<Alternatives...>{});
}

template <class T>
void fill_associative(random_source& random, T& value, int depth) {
  value.clear();
  const std::size_t count = depth > 0 ? random.count() : 0;
  for (std::size_t i = 0; i < count; ++i) {
    auto key = random_value<typename T::key_type>(random, depth - 1);
    if constexpr (std::is_floating_point_v<typename T::key_type>) {
      if (key != key) continue;  // NaN has no place in an order
    }
    if constexpr (lading::detail::map_shaped<T>)
      value.emplace(std::move(key), random_value<typename T::mapped_type>(random, depth - 1));
    else
      value.emplace(std::move(key));
  }
}

template <class T>
void fill_sequence(random_source& random, T& value, int depth) {
  using element = typename T::value_type;
  value.clear();
  const std::size_t count = depth > 0 ? random.count() : 0;
  for (std::size_t i = 0; i < count; ++i) {
    if constexpr (requires { value.push_back(std::declval<element>()); })
      value.push_back(random_value<element>(random, depth - 1));
    else
      value.push_front(random_value<element>(random, depth - 1));
  }
}

inline lading::tensor random_tensor(random_source& random, std::size_t rank) {
  constexpr lading::dtype types[]{lading::dtype::uint8,   lading::dtype::boolean, lading::dtype::bfloat16,
                                  lading::dtype::float32, lading::dtype::int64,   lading::dtype::complex128};
  const lading::dtype type = types[random.below(std::size(types))];
  std::vector<std::int64_t> shape(rank);
  std::size_t items = 1;
  for (auto& dimension : shape) {
    dimension = static_cast<std::int64_t>(random.below(4));
    items *= static_cast<std::size_t>(dimension);
  }
  std::vector<std::byte> bytes(items * lading::item_size(type));
  for (auto& byte : bytes) byte = static_cast<std::byte>(type == lading::dtype::boolean ? random.below(2) : random.next());
  return lading::tensor::from_bytes(type, shape, bytes).value();
}

}  // namespace detail

template <class T>
void fill(random_source& random, T& value, int depth) {
  using detail::kind;
  constexpr kind family = lading::detail::kind_of<T>();
  if constexpr (family == kind::boolean) {
    value = random.one_in(2);
  } else if constexpr (family == kind::number) {
    detail::fill_number(random, value);
  } else if constexpr (family == kind::enumeration) {
    value = static_cast<T>(random_value<std::underlying_type_t<T>>(random));
  } else if constexpr (family == kind::array) {
    for (auto& item : value) fill(random, item, depth);
  } else if constexpr (family == kind::product) {
    lading::detail::visit_product(value, [&](auto&... fields) { (fill(random, fields, depth), ...); });
  } else if constexpr (family == kind::sequence) {
    detail::fill_sequence(random, value, depth);
  } else if constexpr (family == kind::map || family == kind::set) {
    detail::fill_associative(random, value, depth);
  } else if constexpr (family == kind::optional) {
    value.reset();
    if (depth > 0 && random.one_in(2)) value.emplace(random_value<typename T::value_type>(random, depth - 1));
  } else if constexpr (family == kind::pointer) {
    value.reset();
    if (depth > 0 && random.one_in(2)) value = T(new typename T::element_type(random_value<typename T::element_type>(random, depth - 1)));
  } else if constexpr (family == kind::expected) {
    if (random.one_in(2)) {
      value = typename T::unexpected_type(random_value<typename T::error_type>(random, depth - 1));
    } else if constexpr (std::is_void_v<typename T::value_type>) {
      value = T{};
    } else {
      value = random_value<typename T::value_type>(random, depth - 1);
    }
  } else if constexpr (family == kind::variant) {
    detail::fill_variant(random, value, depth, typename lading::detail::wire<T>::parts{});
  } else if constexpr (family == kind::complex) {
    value = T(random_value<typename T::value_type>(random), random_value<typename T::value_type>(random));
  } else if constexpr (family == kind::duration) {
    value = T(random_value<typename T::rep>(random));
  } else if constexpr (family == kind::time_point) {
    value = T(random_value<typename T::duration>(random));
  } else if constexpr (family == kind::bitset) {
    for (std::size_t i = 0; i < value.size(); ++i) value.set(i, random.one_in(2));
  } else if constexpr (family == kind::path) {
    value = random_value<typename T::string_type>(random, depth);
  } else if constexpr (std::is_same_v<T, lading::tensor>) {
    value = detail::random_tensor(random, random.below(5));
  } else if constexpr (std::is_same_v<T, lading::jagged>) {
    const lading::tensor values = detail::random_tensor(random, 1 + random.below(3));
    std::vector<std::int64_t> offsets{0};
    while (offsets.back() < values.shape()[0])
      offsets.push_back(offsets.back() + static_cast<std::int64_t>(random.below(static_cast<std::size_t>(values.shape()[0] - offsets.back()) + 1)));
    value = lading::jagged::copy_of(lading::jagged_view::from(values.view(), offsets).value()).value();
  } else {
    static_assert(family == kind::hook, "no random values of this type");
    do {
      auto made = lading::codec<T>::from(random_value<lading::detail::representation<T>>(random, depth));
      if (made) {
        value = std::move(*made);
        return;
      }
    } while (true);
  }
}

}  // namespace lading_test
