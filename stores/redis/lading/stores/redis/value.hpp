// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>

#include <lading/codec/decode.hpp>
#include <lading/codec/encode.hpp>
#include <lading/codec/schema.hpp>
#include <lading/codec/types.hpp>
#include <lading/exchange/detail/stored_types.hpp>
#include <lading/memory/copy.hpp>
#include <lading/pack/gather.hpp>
#include <lading/pack/unpack.hpp>

// A value is stored as a packed buffer of layout::aligned with checksums, so that its kind and sizes travel with it: bytes as the one payload of an
// untyped buffer; a tensor with its schema, its items a payload of their own; anything else with its schema.

namespace lading::detail {

/// A value on its way: a packed buffer that is not put together, for it is sent from where it lies.
///
/// Lifetime: borrows the value's large arrays.
struct planned_value {
  std::optional<frames> parts;
  gather_plan plan;
};

[[nodiscard]] inline result<planned_value> plan_stored(std::optional<frames>&& parts, std::span<const bytes_view> items, std::uint64_t schema,
                                                       std::uint64_t largest) {
  const auto size = calc_packed_size(items);
  if (!size) return fail(size.error());
  if (*size > largest) {
    return fail(errc::size_overflow,
                {.needed = *size, .available = largest, .what = "the value, with its table, is larger than redis_options::largest_value"});
  }
  auto plan = plan_gather(items, {.schema = schema});
  if (!plan) return fail(plan.error());
  return planned_value{std::move(parts), std::move(*plan)};
}

/// Errors: those of encoding; size_overflow, before anything but sizes has been looked at.
template <class T>
[[nodiscard]] result<planned_value> to_stored(const T& value, std::uint64_t largest) {
  if constexpr (stored_kind_of<T>() == value_kind::bytes) {
    const std::array<bytes_view, 1> items{bytes_view(value)};
    return plan_stored(std::nullopt, items, 0, largest);
  } else {
    constexpr bool of_tensor = stored_kind_of<T>() == value_kind::tensor;
    if constexpr (of_tensor) {
      const tensor_view& view = value;
      if (view.size_bytes() > largest) {
        return fail(errc::size_overflow,
                    {.needed = view.size_bytes(), .available = largest, .what = "the tensor is larger than redis_options::largest_value"});
      }
    }
    auto made = encode(value, {.out_of_band_threshold = of_tensor ? 1 : encode_options{}.out_of_band_threshold});
    if (!made) return fail(made.error());
    std::optional<frames> parts(std::move(*made));
    const std::span<const bytes_view> items(parts->begin(), parts->size());
    return plan_stored(std::move(parts), items, schema_of<T>(), largest);
  }
}

/// Opens what a redis had under a key, and verifies its checksums.
[[nodiscard]] inline result<unpacked> open_stored(bytes_view packed) {
  auto items = unpack_from(packed);
  if (items && !items->has_checksum()) items = fail(errc::bad_header, {.what = "the value has no checksum, so no store has put it"});
  return items;
}

template <class T>
[[nodiscard]] result<void> check_stored(const unpacked& items) {
  constexpr std::uint64_t schema = [] {
    if constexpr (stored_kind_of<T>() == value_kind::bytes) {
      return std::uint64_t{0};
    } else {
      return schema_of<T>();
    }
  }();
  if (items.schema() == schema && (schema != 0 || items.size() == 1)) return {};
  return fail(errc::schema_mismatch, {.needed = schema, .available = items.schema(), .what = "the value is of another type"});
}

/// A T that owns what it holds, or borrows from the packed buffer of these items where it is a view.
template <class T>
[[nodiscard]] result<T> from_stored(const unpacked& items) {
  static_assert(!std::same_as<T, bytes_span>, "lading: what was fetched is read through a bytes_view");
  LADING_TRY {
    if (auto fits = check_stored<T>(items); !fits) return fail(fits.error());
    if constexpr (stored_kind_of<T>() == value_kind::bytes) {
      const bytes_view bytes = items[0];
      return T(bytes.begin(), bytes.end());
    } else {
      return lading::decode<T>(items);
    }
  }
  LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory, {.what = "the value could not be allocated"}))
}

/// The bytes that get_batch_into gives out: as they were put, a tensor's items, or the whole packed buffer, of which these are the items.
[[nodiscard]] inline result<std::size_t> copy_stored(bytes_view packed, const unpacked& items, bytes_span target) {
  bytes_view bytes = packed;
  if (items.schema() == schema_of<tensor>()) {
    const auto view = lading::decode<tensor_view>(items);
    if (!view) return fail(view.error());
    bytes = {view->data(), view->size_bytes()};
  } else if (items.schema() == 0) {
    if (items.size() != 1) return fail(errc::schema_mismatch, {.needed = 1, .available = items.size(), .what = "bytes are one payload"});
    bytes = items[0];
  }
  if (bytes.size() > target.size()) {
    return fail(errc::buffer_too_small, {.needed = bytes.size(), .available = target.size(), .what = "the buffer cannot hold the value"});
  }
  if (!bytes.empty()) copy_bytes(target.data(), bytes.data(), bytes.size());
  return bytes.size();
}

/// How much of a value stored_size has to see.
inline constexpr std::size_t stored_beginning = layout::aligned::header_size + 2 * layout::aligned::entry_size;

/// The size of the value that begins so, as copy_stored would give it; nothing where this is no value.
[[nodiscard]] inline std::optional<std::uint64_t> stored_size(bytes_view beginning) {
  using form = layout::aligned;
  if (beginning.size() < form::header_size) return std::nullopt;
  const auto header = form::read_header(beginning.data(), beginning.size());
  if (!header || !header->checked) return std::nullopt;
  const bool of_tensor = header->schema == schema_of<tensor>();
  if (header->schema != 0 && !of_tensor) return header->size;
  const std::size_t last = of_tensor ? 1 : 0;  // the payload that holds all items; an empty tensor has none
  if (header->count <= last) return of_tensor ? std::optional<std::uint64_t>(0) : std::nullopt;
  if (beginning.size() < form::header_size + (last + 1) * form::entry_size) return std::nullopt;
  packed_entry entry;
  if (!form::read_entry(beginning.data() + form::header_size + last * form::entry_size, entry)) return std::nullopt;
  return entry.size;
}

}  // namespace lading::detail
