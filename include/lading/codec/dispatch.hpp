// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include <lading/codec/record.hpp>

// The three walks over a value, for any type: measure, put, get. Families call these for their parts.

namespace lading::detail {

template <class Planner, class T>
std::size_t measure_out_of_line(std::size_t offset, Planner plan, const T& value);
template <class Writer, class T>
std::byte* put_out_of_line(std::byte* at, Writer out, const T& value);
template <class T>
const std::byte* get_out_of_line(const std::byte* at, reader in, T& value);

/// The offset after `value`, were it written at `offset`; errors go to the planner's state.
template <class Planner, class T>
LADING_ALWAYS_INLINE std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
  if constexpr (wire_of<T>::fixed)
    return offset + wire_of<T>::wire_size;
  else if constexpr (kept_out_of_line<T>())
    return measure_out_of_line(offset, plan, value);
  else
    return wire_of<T>::measure(offset, plan, value);
}

/// Writes `value` at `at` and returns the position after it; nullptr after an error.
template <class Writer, class T>
LADING_ALWAYS_INLINE std::byte* put(std::byte* at, const Writer& out, const T& value) {
  if constexpr (wire_of<T>::fixed) {
    if (out.room(at) < wire_of<T>::wire_size) [[unlikely]]
      return out.full(at);
    store_fixed(at, value);
    return at + wire_of<T>::wire_size;
  } else if constexpr (kept_out_of_line<T>()) {
    return put_out_of_line(at, out, value);
  } else {
    return wire_of<T>::put(at, out, value);
  }
}

/// Reads into `value` where the caller has made sure of its fewest bytes and Rest more; leaves Rest bytes sure. So one check at the start of a
/// struct, and one for each of its parts of variable size, serve all its fields.
template <std::size_t Rest, class T>
[[nodiscard]] LADING_ALWAYS_INLINE const std::byte* get_within(const std::byte* at, const reader& in, T& value) {
  using Wire = wire_of<T>;
  static_assert(!std::is_const_v<T>,
                "lading: a const or reference field cannot be decoded: make it a plain value, or map the type with lading::codec<T>");
  if constexpr (Wire::fixed) {
    if (!load_fixed(at, in, value)) [[unlikely]]
      return in.fail(errc::invalid_value, at, "a bool, padding byte or other field has bits that no value sets");
    return at + Wire::wire_size;
  } else {
    if constexpr (kept_out_of_line<T>()) {
      at = get_out_of_line(at, in, value);
    } else if constexpr (requires { Wire::template get_within<Rest>(at, in, value); }) {
      return Wire::template get_within<Rest>(at, in, value);
    } else {
      at = Wire::get(at, in, value);
    }
    if (at == nullptr) [[unlikely]]
      return nullptr;
    if constexpr (Rest != 0) {
      if (in.left(at) < Rest) [[unlikely]]
        return in.truncated(at, Rest);
    }
    return at;
  }
}

/// Reads into `value` from `at` and returns the position after it; nullptr after an error.
template <class T>
[[nodiscard]] LADING_ALWAYS_INLINE const std::byte* get(const std::byte* at, const reader& in, T& value) {
  constexpr std::size_t least = min_wire_size<T>();
  if constexpr (least != 0) {
    if (in.left(at) < least) [[unlikely]]
      return in.truncated(at, least);
  }
  return get_within<0>(at, in, value);
}

template <class Planner, class T>
LADING_NOINLINE std::size_t measure_out_of_line(std::size_t offset, Planner plan, const T& value) {
  if constexpr (recursive<std::remove_cv_t<T>>) {
    if (plan.depth == 0) {
      plan.fail(errc::limit_exceeded, {.available = max_encode_depth, .what = "the value nests too deep to encode"});
      return offset;
    }
    return wire_of<T>::measure(offset, plan.deeper(), value);
  } else {
    return wire_of<T>::measure(offset, plan, value);
  }
}

template <class Writer, class T>
LADING_NOINLINE std::byte* put_out_of_line(std::byte* at, Writer out, const T& value) {
  if constexpr (recursive<std::remove_cv_t<T>>) {
    if (out.depth == 0) return out.fail(errc::limit_exceeded, {.available = max_encode_depth, .what = "the value nests too deep to encode"});
    return wire_of<T>::put(at, out.deeper(), value);
  } else {
    return wire_of<T>::put(at, out, value);
  }
}

template <class T>
LADING_NOINLINE const std::byte* get_out_of_line(const std::byte* at, reader in, T& value) {
  if constexpr (is_product<T>)
    return wire_of<T>::template get_within<0>(at, in, value);
  else
    return wire_of<T>::get(at, in, value);
}

/// Reads a T that does not exist yet and hands it to consume(T&&). Only types with a codec may lack a default constructor.
template <class T, class Consume>
[[nodiscard]] LADING_ALWAYS_INLINE const std::byte* get_new(const std::byte* at, const reader& in, Consume&& consume) {
  if constexpr (kind_of<T>() == kind::hook && !std::default_initializable<T>) {
    return wire<T>::get_new(at, in, consume);
  } else {
    static_assert(std::default_initializable<T>, "lading: decoding needs a default constructor: add one, or map the type with lading::codec<T>");
    T value{};
    at = get(at, in, value);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    return consume(std::move(value)) ? at : nullptr;
  }
}

}  // namespace lading::detail
