// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include <lading/codec/dispatch.hpp>

// Structs (aggregates), std::pair and std::tuple. One whose fields all have a fixed size is a record: laid out as C would, each field at a multiple
// of its alignment, padding zero. Any other is its fields one after another.

namespace lading::detail {

template <class T>
struct product_types {
  static_assert(diagnose_aggregate<T>());
  using list = field_types<T>;
};
template <class T>
  requires(tuple_like<T>)
struct product_types<T> {
  using list = decltype([]<std::size_t... Index>(std::index_sequence<Index...>) {
    return type_list<std::tuple_element_t<Index, T>...>{};
  }(std::make_index_sequence<std::tuple_size_v<T>>{}));
};

template <class T, class Visitor>
LADING_ALWAYS_INLINE constexpr decltype(auto) visit_product(T& value, Visitor&& use) {
  if constexpr (tuple_like<std::remove_cv_t<T>>) {
    return [&]<std::size_t... Index>(std::index_sequence<Index...>) LADING_FLATTEN_LAMBDA -> decltype(auto) {
      using std::get;
      return use(get<Index>(value)...);
    }(std::make_index_sequence<std::tuple_size_v<std::remove_cv_t<T>>>{});
  } else {
    return visit_fields(value, use);
  }
}

/// Where the fields of a record lie, and which runs of fixed fields a struct of variable size has.
template <class List>
struct field_layout;

template <class... Fields>
struct field_layout<type_list<Fields...>> {
  static_assert(!(std::is_volatile_v<Fields> || ...), "lading: volatile objects cannot be copied as bytes: copy the value to a plain one first");
  static constexpr std::size_t count = sizeof...(Fields);
  static constexpr bool fixed = (wire_of<Fields>::fixed && ...);

  static consteval auto compute_offsets() {
    std::array<std::size_t, count + 1> begins{};
    if constexpr (fixed) {
      std::size_t at = 0, index = 0;
      const auto place = [&](std::size_t bytes, std::size_t multiple) {
        at = (at + multiple - 1) / multiple * multiple;
        begins[index++] = at;
        at += bytes;
      };
      (place(wire_of<Fields>::wire_size, wire_of<Fields>::wire_align), ...);
      begins[count] = (at + align() - 1) / align() * align();
    }
    return begins;
  }
  static consteval std::size_t align() {
    std::size_t largest = 1;
    if constexpr (fixed) ((largest = wire_of<Fields>::wire_align > largest ? wire_of<Fields>::wire_align : largest), ...);
    return largest;
  }
  /// offsets[count] is the record's size.
  static constexpr auto offsets = compute_offsets();

  template <class Field>
  static consteval std::size_t fixed_size() {
    if constexpr (wire_of<Field>::fixed)
      return wire_of<Field>::wire_size;
    else
      return 0;
  }
  /// runs[i]: the bytes of the fixed fields from i on, where i begins such a run; else 0. One bounds check serves the run.
  static consteval auto compute_runs() {
    constexpr std::array<bool, count + 1> is_fixed{wire_of<Fields>::fixed...};
    constexpr std::array<std::size_t, count + 1> sizes{fixed_size<Fields>()...};
    std::array<std::size_t, count + 1> lengths{};
    for (std::size_t i = 0; i < count; ++i) {
      if (!is_fixed[i] || (i != 0 && is_fixed[i - 1])) continue;
      for (std::size_t j = i; j < count && is_fixed[j]; ++j) lengths[i] += sizes[j];
    }
    return lengths;
  }
  static constexpr auto runs = compute_runs();
  static constexpr std::size_t least = (std::size_t{0} + ... + min_wire_size<Fields>());
  /// behind[i]: the fewest bytes that the fields after field i take.
  static consteval auto compute_behind() {
    constexpr std::array<std::size_t, count + 1> sizes{min_wire_size<Fields>()...};
    std::array<std::size_t, count + 1> sums{};
    for (std::size_t i = count; i-- > 1;) sums[i - 1] = sums[i] + sizes[i];
    return sums;
  }
  static constexpr auto behind = compute_behind();
};

template <class T>
struct wire<T, kind::product> {
  using parts = typename product_types<T>::list;
  using layout = field_layout<parts>;
  static constexpr std::size_t count = parts::size;
  static constexpr bool fixed = layout::fixed;
  static constexpr std::size_t wire_size = layout::offsets[count], wire_align = layout::align();  // where fixed
  static constexpr std::size_t min_size = layout::least;

  static consteval bool all_images() {
    return []<class... Fields>(type_list<Fields...>) { return (whole<std::remove_cv_t<Fields>> && ...); }(parts{});
  }
  static consteval bool all_dense() {
    return []<class... Fields>(type_list<Fields...>) {
      return ((detail::dense<std::remove_cv_t<Fields>> && ...) && (std::size_t{0} + ... + sizeof(Fields)) == sizeof(T));
    }(parts{});
  }
  static consteval bool is_image() {
    if constexpr (!fixed || count == 0 || !std::is_trivially_copyable_v<T>)
      return false;
    else
      return sizeof(T) == wire_size && all_images();
  }
  static constexpr bool image = is_image();
  static consteval bool is_dense_image() {
    if constexpr (is_image())
      return all_dense();
    else
      return false;
  }
  static constexpr bool dense = is_dense_image();
  static constexpr bool solid = []<class... Fields>(type_list<Fields...>) {
    return wire_size != 0 && (detail::solid<Fields> && ...) && (std::size_t{0} + ... + min_wire_size<Fields>()) == wire_size;
  }(parts{});

  static constexpr void mask(unsigned char* bytes) noexcept {
    [&]<class... Fields, std::size_t... Index>(type_list<Fields...>, std::index_sequence<Index...>) {
      (wire_of<Fields>::mask(bytes + layout::offsets[Index]), ...);
    }(parts{}, std::make_index_sequence<count>{});
  }

  LADING_ALWAYS_INLINE static bool offsets_match(const T& value) noexcept {
    const auto* base = reinterpret_cast<const char*>(__builtin_addressof(value));  // Safety: only addresses are compared
    return visit_product(value, [&](const auto&... fields) LADING_FLATTEN_LAMBDA {
      [[maybe_unused]] std::size_t index = 0;
      return ((static_cast<std::size_t>(reinterpret_cast<const char*>(&fields) - base) == layout::offsets[index++] &&
               layout_matches<std::remove_cvref_t<decltype(fields)>>()) &&
              ...);
    });
  }

  LADING_ALWAYS_INLINE static void store(std::byte* to, const T& value) {
    visit_product(value, [&](const auto&... fields) LADING_FLATTEN_LAMBDA {
      [&]<std::size_t... Index>(std::index_sequence<Index...>)
          LADING_FLATTEN_LAMBDA { (store_field<Index>(to, fields), ...); }(std::make_index_sequence<count>{});
    });
  }
  [[nodiscard]] LADING_ALWAYS_INLINE static bool load(const std::byte* from, const reader& in, T& value) {
    return visit_product(value, [&](auto&... fields) LADING_FLATTEN_LAMBDA {
      return [&]<std::size_t... Index>(std::index_sequence<Index...>)
                 LADING_FLATTEN_LAMBDA { return (load_field<Index>(from, in, fields) && ...); }(std::make_index_sequence<count>{});
    });
  }

  template <class Planner>
  LADING_ALWAYS_INLINE static std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
    visit_product(value, [&](const auto&... fields) LADING_FLATTEN_LAMBDA { ((offset = detail::measure(offset, plan, fields)), ...); });
    return offset;
  }

  template <class Writer>
  LADING_ALWAYS_INLINE static std::byte* put(std::byte* at, const Writer& out, const T& value) {
    visit_product(value, [&](const auto&... fields) LADING_FLATTEN_LAMBDA {
      [&]<std::size_t... Index>(std::index_sequence<Index...>)
          LADING_FLATTEN_LAMBDA { (void)(((at = put_field<Index>(at, out, fields)) != nullptr) && ...); }(std::make_index_sequence<count>{});
    });
    return at;
  }

  template <std::size_t Rest>
  [[nodiscard]] LADING_ALWAYS_INLINE static const std::byte* get_within(const std::byte* at, const reader& in, T& value) {
    visit_product(value, [&](auto&... fields) LADING_FLATTEN_LAMBDA {
      [&]<std::size_t... Index>(std::index_sequence<Index...>) LADING_FLATTEN_LAMBDA {
        (void)(((at = detail::get_within<Rest + layout::behind[Index]>(at, in, fields)) != nullptr) && ...);
      }(std::make_index_sequence<count>{});
    });
    return at;
  }

 private:
  /// The end of field `Index` and of the padding after it.
  template <std::size_t Index, class Field>
  static constexpr std::size_t end_of = layout::offsets[Index] + wire_of<Field>::wire_size;

  template <std::size_t Index, class Field>
  LADING_ALWAYS_INLINE static void store_field(std::byte* to, const Field& field) {
    store_fixed(to + layout::offsets[Index], field);
    constexpr std::size_t end = end_of<Index, Field>, gap = layout::offsets[Index + 1] - end;
    if constexpr (gap != 0) std::memset(to + end, 0, gap);
  }
  template <std::size_t Index, class Field>
  LADING_ALWAYS_INLINE static bool load_field(const std::byte* from, const reader& in, Field& field) {
    constexpr std::size_t end = end_of<Index, Field>, gap = layout::offsets[Index + 1] - end;
    for (std::size_t i = 0; i < gap; ++i) {
      if (from[end + i] != std::byte{0}) return false;
    }
    return load_fixed(from + layout::offsets[Index], in, field);
  }

  template <std::size_t Index, class Writer, class Field>
  LADING_ALWAYS_INLINE static std::byte* put_field(std::byte* at, const Writer& out, const Field& field) {
    if constexpr (wire_of<Field>::fixed) {
      if constexpr (layout::runs[Index] != 0) {
        if (out.room(at) < layout::runs[Index]) [[unlikely]]
          return out.full(at);
      }
      store_fixed(at, field);
      return at + wire_of<Field>::wire_size;
    } else {
      return detail::put(at, out, field);
    }
  }
};

}  // namespace lading::detail
