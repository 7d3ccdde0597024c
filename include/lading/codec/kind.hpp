// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <lading/reflect/hook.hpp>

namespace lading::detail {

/// The families of types; each has one header with both directions. Standard types are recognised by their shape, so that no standard header
/// is compiled that the user did not include, and so that types of the same shape from other libraries work as well.
enum class kind : unsigned char {
  custom,  ///< a type of lading's own (tensors): wire<T, kind::custom> is specialised for it
  hook,    ///< has a lading::codec<T>
  boolean,
  number,  ///< integers, floating point, characters, __int128
  enumeration,
  array,     ///< std::array and C arrays
  product,   ///< aggregates, std::pair, std::tuple
  sequence,  ///< owning containers without keys, strings included
  view,      ///< borrowed contiguous ranges: std::span, std::string_view
  map,
  set,
  optional,
  expected,
  variant,
  pointer,  ///< std::unique_ptr
  bitset,
  complex,
  duration,
  time_point,
  path,
  unknown,
};

/// Specialised for lading's own types.
template <class T>
inline constexpr bool is_custom = false;

#if defined(__SIZEOF_INT128__)
__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;
template <class T>
inline constexpr bool is_int128 = std::is_same_v<T, int128> || std::is_same_v<T, uint128>;
#else
template <class T>
inline constexpr bool is_int128 = false;
#endif

template <class T>
concept tuple_like = requires { std::tuple_size<T>::value; };

template <class T>
concept path_shaped = requires(const T& value) {
  typename T::string_type;
  T::preferred_separator;
  value.native();
};

template <class T>
concept key_shaped = requires(const T& value) {
  typename T::key_type;
  value.begin();
  value.end();
  value.size();
};

template <class T>
concept map_shaped = key_shaped<T> && requires { typename T::mapped_type; };

template <class T>
concept contiguous_shaped = requires(const T& value) {
  typename T::value_type;
  { value.data() } -> std::convertible_to<const typename T::value_type*>;
  { value.size() } -> std::convertible_to<std::size_t>;
};

template <class T>
concept sequence_shaped = requires(T& value) {
  typename T::value_type;
  value.begin();
  value.end();
  value.clear();
};

template <class T>
concept optional_shaped = requires(T& value) {
  typename T::value_type;
  value.has_value();
  *value;
  value.reset();
  value.emplace();
} || requires(T& value) {
  typename T::value_type;
  value.has_value();
  *value;
  value.reset();
  requires !std::default_initializable<typename T::value_type>;
};

template <class T>
concept expected_shaped = requires(T& value) {
  typename T::value_type;
  typename T::error_type;
  value.has_value();
  value.error();
};

template <class T>
concept variant_shaped = requires(const T& value) {
  value.index();
  value.valueless_by_exception();
};

template <class T>
concept unique_pointer_shaped = requires(T& value) {
  typename T::element_type;
  typename T::deleter_type;
  value.get();
  value.release();
};

template <class T>
concept shared_pointer_shaped = requires(T& value) {
  typename T::element_type;
  value.use_count();
};

template <class T>
concept complex_shaped = requires(const T& value) {
  typename T::value_type;
  requires std::is_floating_point_v<typename T::value_type>;
  requires sizeof(T) == 2 * sizeof(typename T::value_type);
  { value.real() } -> std::same_as<typename T::value_type>;
  { value.imag() } -> std::same_as<typename T::value_type>;
};

template <class T>
concept duration_shaped = requires(const T& value) {
  typename T::rep;
  typename T::period;
  { value.count() } -> std::same_as<typename T::rep>;
};

template <class T>
concept time_point_shaped = requires(const T& value) {
  typename T::clock;
  typename T::duration;
  { value.time_since_epoch() } -> std::same_as<typename T::duration>;
};

template <class T>
concept bitset_shaped = requires(T& value, std::size_t position) {
  { value.test(position) } -> std::same_as<bool>;
  value.flip();
  value.to_ullong();
  value.set(position, true);
};

template <class T>
consteval kind kind_of() {
  if constexpr (is_custom<T>)
    return kind::custom;
  else if constexpr (hooked<T>)
    return kind::hook;
  else if constexpr (std::is_same_v<T, bool>)
    return kind::boolean;
  else if constexpr (std::is_arithmetic_v<T> || is_int128<T>)
    return kind::number;
  else if constexpr (std::is_enum_v<T>)
    return kind::enumeration;
  else if constexpr (std::is_array_v<T>)
    return kind::array;
  else if constexpr (!std::is_class_v<T>)
    return kind::unknown;
  else if constexpr (std::is_aggregate_v<T> && !tuple_like<T>)  // also with the members of a container: its fields are all that it holds
    return kind::product;
  else if constexpr (requires { typename T::value_type; }) {
    if constexpr (path_shaped<T>)
      return kind::path;
    else if constexpr (map_shaped<T>)
      return kind::map;
    else if constexpr (key_shaped<T>)
      return kind::set;
    else if constexpr (tuple_like<T>)
      return kind::array;
    else if constexpr (sequence_shaped<T>)
      return kind::sequence;
    else if constexpr (contiguous_shaped<T>)
      return kind::view;
    else if constexpr (expected_shaped<T>)
      return kind::expected;
    else if constexpr (optional_shaped<T>)
      return kind::optional;
    else if constexpr (complex_shaped<T>)
      return kind::complex;
    else if constexpr (std::is_aggregate_v<T>)
      return kind::product;
    else
      return kind::unknown;
  } else if constexpr (std::is_aggregate_v<T>)
    return kind::product;
  else if constexpr (tuple_like<T>)
    return kind::product;
  else if constexpr (variant_shaped<T>)
    return kind::variant;
  else if constexpr (unique_pointer_shaped<T>)
    return kind::pointer;
  else if constexpr (duration_shaped<T>)
    return kind::duration;
  else if constexpr (time_point_shaped<T>)
    return kind::time_point;
  else if constexpr (bitset_shaped<T>)
    return kind::bitset;
  else
    return kind::unknown;
}

}  // namespace lading::detail
