// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// How a store keeps a T: as what kind of value, under which schema, and whether what is read borrows.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <lading/codec/schema.hpp>
#include <lading/codec/tensor/tensor.hpp>
#include <lading/codec/tensor/tensor_view.hpp>
#include <lading/codec/wire.hpp>
#include <lading/core/bytes.hpp>
#include <lading/exchange/store.hpp>

namespace lading::detail {

template <class T>
concept stored_as_bytes = std::same_as<T, bytes_view> || std::same_as<T, bytes_span> || std::same_as<T, std::vector<std::byte>>;
template <class T>
concept stored_as_tensor = std::same_as<T, tensor> || std::same_as<T, tensor_view>;

template <class T>
consteval value_kind stored_kind_of() {
  return stored_as_bytes<T> ? value_kind::bytes : stored_as_tensor<T> ? value_kind::tensor : value_kind::packed;
}
template <class T>
consteval bool borrows_when_stored() {
  if constexpr (stored_as_bytes<T>) {
    return !std::same_as<T, std::vector<std::byte>>;
  } else if constexpr (stored_as_tensor<T>) {
    return std::same_as<T, tensor_view>;
  } else {
    return borrows<T>;
  }
}
template <class T>
consteval std::uint64_t stored_schema_of() {
  if constexpr (stored_kind_of<T>() == value_kind::packed) {
    return schema_of<T>();
  } else {
    return 0;
  }
}

}  // namespace lading::detail
