// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <lading/codec/counted.hpp>
#include <lading/codec/sequence.hpp>
#include <lading/codec/tensor/jagged.hpp>
#include <lading/codec/tensor/strided_list.hpp>
#include <lading/codec/tensor/tensor.hpp>
#include <lading/codec/tensor/tensor_view.hpp>

// Tensors on the wire: dtype u8, rank u8, each dimension u64; then the items as a counted array aligned to 8, in row-major order, which may be a
// frame of its own. A jagged tensor has its offsets, a counted array of i64, between the two.

namespace lading::detail {

template <>
inline constexpr bool is_custom<tensor> = true;
template <>
inline constexpr bool is_custom<tensor_view> = true;
template <>
inline constexpr bool is_custom<jagged> = true;
template <>
inline constexpr bool is_custom<jagged_view> = true;
template <class Tensor>
inline constexpr bool is_custom<basic_strided_list<Tensor>> = true;

inline constexpr std::size_t tensor_align = 8;

/// Numbers of more than one byte are copied as they are, so hosts of the other byte order cannot take part.
[[nodiscard]] inline bool sendable(const tensor_view& value) noexcept { return little_endian_host || value.item_size() == 1; }

inline constexpr const char* foreign_byte_order = "tensors of items larger than a byte need a little-endian host";

template <class Planner>
LADING_ALWAYS_INLINE std::size_t measure_shape(std::size_t offset, const Planner&, const tensor_view& value) {
  return offset + 2 + 8 * value.rank();
}

template <class Writer>
LADING_ALWAYS_INLINE std::byte* put_shape(std::byte* at, const Writer& out, const tensor_view& value) {
  const std::size_t rank = value.rank();
  if (out.room(at) < 2 + 8 * rank) [[unlikely]]
    return out.full(at);
  at[0] = static_cast<std::byte>(value.dtype());
  at[1] = static_cast<std::byte>(rank);
  at += 2;
  for (const std::int64_t dimension : value.shape()) {
    store_little(at, static_cast<std::uint64_t>(dimension));
    at += 8;
  }
  return at;
}

/// The memory between a tensor's lowest and highest byte.
[[nodiscard]] inline bytes_view span_of(const tensor_view& value) noexcept {
  std::uint64_t below = 0, above = 1;
  for (std::size_t i = 0; i < value.rank(); ++i) {
    const std::int64_t stride = value.strides()[i];
    (void)add_reach(value.shape()[i], stride, stride < 0 ? below : above);  // both fit, or there were no view
  }
  const auto before = static_cast<std::size_t>(below) * value.item_size();
  return {value.data() - before, before + static_cast<std::size_t>(above) * value.item_size()};
}

template <class Planner>
LADING_ALWAYS_INLINE std::size_t measure_items(std::size_t offset, const Planner& plan, const tensor_view& value) {
  const std::size_t bytes = value.size_bytes();
  if (!sendable(value)) [[unlikely]]
    plan.fail(errc::unsupported, {.what = foreign_byte_order});
  if constexpr (Planner::framed) {
    if (bytes != 0 && bytes >= plan.state->options.out_of_band_threshold) {
      if (plan.state->payloads != nullptr) {
        if (value.contiguous())
          plan.state->payloads->push_back({.data = value.data(), .size = bytes});
        else
          plan.state->payloads->push_back({.size = bytes,
                                           .source = &value,
                                           .gather = [](const void* source, std::byte* target, std::size_t begin,
                                                        std::size_t end) { static_cast<const tensor_view*>(source)->gather_to(target, begin, end); },
                                           .span_of = [](const void* source) { return span_of(*static_cast<const tensor_view*>(source)); }});
      }
      return offset + count_size;
    }
  }
  return measure_count<tensor_align>(offset, plan, static_cast<std::size_t>(value.item_count())) + bytes;
}

template <class Writer>
LADING_ALWAYS_INLINE std::byte* put_items(std::byte* at, const Writer& out, const tensor_view& value) {
  const std::size_t bytes = value.size_bytes();
  if (!sendable(value)) [[unlikely]]
    return out.fail(errc::unsupported, {.what = foreign_byte_order});
  if constexpr (Writer::framed) {
    if (bytes != 0 && bytes >= out.state->options.out_of_band_threshold) {
      if (out.room(at) < count_size) [[unlikely]]
        return out.full(at);
      store_little(at, out_of_band_mark);
      return at + count_size;
    }
  }
  at = put_count<tensor_align>(at, out, static_cast<std::size_t>(value.item_count()), bytes);
  if (at == nullptr) [[unlikely]]
    return nullptr;
  value.gather_to(at, 0, bytes);
  return at + bytes;
}

/// Dimensions as they arrived: nothing about them has been checked.
struct wire_shape {
  dtype type{};
  std::size_t rank = 0;
  std::array<std::int64_t, max_rank> dimensions;

  [[nodiscard]] std::span<const std::int64_t> shape() const noexcept { return {dimensions.data(), rank}; }
};

[[nodiscard]] LADING_ALWAYS_INLINE const std::byte* get_shape(const std::byte* at, const reader& in, wire_shape& shape) {
  if (in.left(at) < 2) [[unlikely]]
    return in.truncated(at, 2);
  const auto number = static_cast<std::uint8_t>(at[0]);
  if (!is_valid_dtype(number)) [[unlikely]]
    return in.fail(errc::invalid_value, at, "no dtype has this number");
  shape.type = static_cast<dtype>(number);
  shape.rank = static_cast<std::size_t>(at[1]);
  if (shape.rank > max_rank) [[unlikely]]
    return in.fail(errc::invalid_value, at + 1, "a tensor has at most 64 dimensions");
  at += 2;
  if (in.left(at) < 8 * shape.rank) [[unlikely]]
    return in.truncated(at, 8 * shape.rank);
  for (std::size_t i = 0; i < shape.rank; ++i) {
    shape.dimensions[i] = static_cast<std::int64_t>(load_little<std::uint64_t>(at));
    at += 8;
  }
  return at;
}

/// Finds the bytes of a counted array of items of `item_size`, here or in the next frame.
[[nodiscard]] LADING_ALWAYS_INLINE const std::byte* get_items(const std::byte* at, const reader& in, std::size_t item_size, bytes_view& items) {
  std::uint32_t count;
  const std::byte* const begin = at;
  at = get_count<tensor_align, 1>(at, in, count);
  if (at == nullptr) [[unlikely]]
    return nullptr;
  if (count == out_of_band_mark) [[unlikely]] {
    if (!in.take_frame(at, items)) return nullptr;
    if (items.empty()) return in.fail(errc::not_canonical, begin, "an empty array does not travel out of band");
    return at;
  }
  const std::size_t bytes = std::size_t{count} * item_size;
  if (in.left(at) < bytes) [[unlikely]]
    return in.truncated(at, bytes);
  items = {at, bytes};
  return at + bytes;
}

/// Passes the error of a tensor's own check on, with where it was: what would be the caller's mistake is the input's here.
[[nodiscard]] inline const std::byte* refuse_tensor(const std::byte* at, const reader& in, const error& cause) {
  error_details details = cause.details();
  details.offset = in.offset(at);
  const bool of_input = cause.code() != errc::truncated && cause.code() != errc::trailing_bytes && cause.code() != errc::invalid_argument;
  in.state->fail(error(of_input ? cause.code() : errc::invalid_value, details));
  return nullptr;
}

template <class T>
struct wire_tensor {
  using parts = type_list<>;
  static constexpr bool fixed = false;
  static constexpr std::size_t min_size = 2 + count_size;
  static consteval void tag(auto& hash) { hash.add('T'); }

  static const tensor_view& view_of(const T& value) noexcept {
    if constexpr (std::is_same_v<T, tensor_view>)
      return value;
    else
      return value.view();
  }
  template <class Planner>
  LADING_ALWAYS_INLINE static std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
    return measure_items(measure_shape(offset, plan, view_of(value)), plan, view_of(value));
  }
  template <class Writer>
  LADING_ALWAYS_INLINE static std::byte* put(std::byte* at, const Writer& out, const T& value) {
    at = put_shape(at, out, view_of(value));
    return at == nullptr ? nullptr : put_items(at, out, view_of(value));
  }
  [[nodiscard]] static const std::byte* get(const std::byte* at, const reader& in, T& value) {
    const std::byte* const begin = at;
    wire_shape shape;
    bytes_view items;
    at = get_shape(at, in, shape);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    at = get_items(at, in, item_size(shape.type), items);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    if (!little_endian_host && item_size(shape.type) != 1) return in.fail(errc::unsupported, begin, foreign_byte_order);
    if (const auto assigned = value.assign(shape.type, shape.shape(), items); !assigned) [[unlikely]]
      return refuse_tensor(begin, in, assigned.error());
    return at;
  }
};

template <>
struct wire<tensor_view, kind::custom> : wire_tensor<tensor_view> {
  static constexpr bool borrows = true, gathers = true;
};
template <>
struct wire<tensor, kind::custom> : wire_tensor<tensor> {
  static constexpr bool owns_payload = true;
};

template <class T>
struct wire_jagged {
  using offsets = wire<std::span<const std::int64_t>>;
  using parts = type_list<>;
  static constexpr bool fixed = false;
  static constexpr std::size_t min_size = 2 + 2 * count_size;
  static consteval void tag(auto& hash) { hash.add('J'); }

  template <class Planner>
  static std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
    offset = measure_shape(offset, plan, value.values());
    offset = offsets::measure(offset, plan, value.offsets());
    return measure_items(offset, plan, value.values());
  }
  template <class Writer>
  static std::byte* put(std::byte* at, const Writer& out, const T& value) {
    at = put_shape(at, out, value.values());
    if (at != nullptr) at = offsets::put(at, out, value.offsets());
    return at == nullptr ? nullptr : put_items(at, out, value.values());
  }
  [[nodiscard]] static const std::byte* get(const std::byte* at, const reader& in, T& value) {
    const std::byte* const begin = at;
    wire_shape shape;
    bytes_view rows, items;
    at = get_shape(at, in, shape);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    at = get_items(at, in, sizeof(std::int64_t), rows);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    at = get_items(at, in, item_size(shape.type), items);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    if (!little_endian_host) return in.fail(errc::unsupported, begin, foreign_byte_order);
    if (const auto assigned = assign(value, shape, items, rows); !assigned) [[unlikely]]
      return refuse_tensor(begin, in, assigned.error());
    return at;
  }

 private:
  static result<void> assign(jagged& value, const wire_shape& shape, bytes_view items, bytes_view rows) {
    return value.assign(shape.type, shape.shape(), items, rows);
  }
  static result<void> assign(jagged_view& value, const wire_shape& shape, bytes_view items, bytes_view rows) {
    if (!is_aligned(alignof(std::int64_t), rows.data())) return fail(errc::misaligned, {.needed = alignof(std::int64_t), .what = misaligned_view});
    if (rows.size() % sizeof(std::int64_t) != 0) return fail(errc::invalid_value, {.available = rows.size(), .what = "offsets are 8 bytes each"});
    tensor_view values;
    if (auto assigned = values.assign(shape.type, shape.shape(), items); !assigned) return assigned;
    // Safety: aligned, and every bit pattern is a number.
    return value.assign(values, {reinterpret_cast<const std::int64_t*>(rows.data()), rows.size() / sizeof(std::int64_t)});
  }
};

template <>
struct wire<jagged_view, kind::custom> : wire_jagged<jagged_view> {
  static constexpr bool borrows = true, gathers = true;
};
template <>
struct wire<jagged, kind::custom> : wire_jagged<jagged> {
  static constexpr bool owns_payload = true;
};

/// A count, then the components.
template <class Tensor>
struct wire<basic_strided_list<Tensor>, kind::custom> {
  using list = std::vector<Tensor>;
  using value_type = basic_strided_list<Tensor>;
  using parts = type_list<Tensor>;
  static constexpr bool fixed = false;
  static constexpr std::size_t min_size = count_size;
  static consteval void tag(auto& hash) { hash.add('L'); }

  template <class Planner>
  static std::size_t measure(std::size_t offset, const Planner& plan, const value_type& value) {
    return wire<list>::measure(offset, plan, value.components());
  }
  template <class Writer>
  static std::byte* put(std::byte* at, const Writer& out, const value_type& value) {
    return wire<list>::put(at, out, value.components());
  }
  [[nodiscard]] static const std::byte* get(const std::byte* at, const reader& in, value_type& value) {
    list components = std::move(value).components();
    const std::byte* const begin = at;
    at = detail::get(at, in, components);
    if (at == nullptr) return nullptr;
    auto made = value_type::from(std::move(components));
    if (!made) return refuse_tensor(begin, in, made.error());
    value = std::move(*made);
    return at;
  }
};

}  // namespace lading::detail
