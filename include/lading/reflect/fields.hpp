// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <boost/pfr/core.hpp>

#include <lading/core/config.hpp>
#include <lading/reflect/arity.hpp>
#include <lading/reflect/bind.hpp>

namespace lading::detail {

template <class... Types>
struct type_list {
  static constexpr std::size_t size = sizeof...(Types);
};

/// Calls use(field, ...) with an lvalue of each field of an aggregate, in declaration order, and returns what it returns.
template <class Aggregate, class Visitor>
LADING_ALWAYS_INLINE constexpr decltype(auto) visit_fields(Aggregate& value, Visitor&& use) {
  constexpr std::size_t count = field_count<std::remove_cv_t<Aggregate>>;
  static_assert(count <= max_fields, "lading: a struct with more than 256 fields: nest some of them, or map it with lading::codec<T>");
  if constexpr (count == 0) {
    return use();
  } else if constexpr (count <= 100) {
    // PFR's public functions would count the fields again, which is slow for large members and wrong for C arrays: the count goes
    // straight to the function beneath them. Nothing can tell bit-fields, anonymous unions and anonymous structs before a structured
    // binding refuses them in the compiler's own words: make them plain members, a std::variant, or map the type with lading::codec<T>.
    auto tied = boost::pfr::detail::tie_as_tuple(value, boost::pfr::detail::size_t_<count>{});
    return [&]<std::size_t... Index>(std::index_sequence<Index...>) LADING_FLATTEN_LAMBDA -> decltype(auto) {
      return use(boost::pfr::detail::sequence_tuple::get<Index>(tied)...);
    }(std::make_index_sequence<count>{});
  } else if constexpr (count <= max_fields) {
    return field_binder<count>::visit(value, use);
  }
}

struct list_types {
  template <class... Fields>
  constexpr type_list<Fields...> operator()(Fields&...) const noexcept {
    return {};
  }
};

/// The types of an aggregate's fields, as declared (const and arrays included).
template <class Aggregate>
using field_types = decltype(visit_fields(std::declval<Aggregate&>(), list_types{}));

}  // namespace lading::detail
