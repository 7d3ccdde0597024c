// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <lading/codec/dispatch.hpp>

// std::optional and std::unique_ptr (a byte 0, or 1 and the value), std::expected (0 and the error, or 1 and the value), std::variant (the
// alternative's index as a byte, then its value).

namespace lading::detail {

template <class Planner>
LADING_ALWAYS_INLINE std::byte* put_choice(std::byte* at, const Planner& out, std::size_t choice) {
  if (out.room(at) < 1) [[unlikely]]
    return out.full(at);
  *at = static_cast<std::byte>(choice);
  return at + 1;
}

/// Reads a choice below `count`.
template <std::size_t Count>
[[nodiscard]] LADING_ALWAYS_INLINE const std::byte* get_choice(const std::byte* at, const reader& in, std::size_t& choice) {
  if (in.depth == 0) [[unlikely]]
    return in.too_deep(at);
  if (in.left(at) < 1) [[unlikely]]
    return in.truncated(at, 1);
  choice = static_cast<std::size_t>(*at);
  if (choice >= Count) [[unlikely]]
    return in.fail(errc::invalid_value, at, "no alternative of an optional, expected or variant has this number");
  return at + 1;
}

/// std::optional and std::unique_ptr. Derived gives it a value: engage(value, arguments...).
template <class T, class Value, class Derived>
struct wire_maybe {
  using parts = type_list<Value>;
  static constexpr bool fixed = false;
  static constexpr std::size_t min_size = 1;
  static consteval void tag(auto& hash) { hash.add('?'); }

  template <class Planner>
  LADING_ALWAYS_INLINE static std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
    return static_cast<bool>(value) ? detail::measure(offset + 1, plan, *value) : offset + 1;
  }
  template <class Writer>
  LADING_ALWAYS_INLINE static std::byte* put(std::byte* at, const Writer& out, const T& value) {
    at = put_choice(at, out, static_cast<bool>(value) ? 1 : 0);
    return at != nullptr && static_cast<bool>(value) ? detail::put(at, out, *value) : at;
  }
  [[nodiscard]] LADING_ALWAYS_INLINE static const std::byte* get(const std::byte* at, const reader& in, T& value) {
    std::size_t choice;
    at = get_choice<2>(at, in, choice);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    if (choice == 0) {
      value.reset();
      return at;
    }
    if constexpr (std::default_initializable<Value>) {
      if (!static_cast<bool>(value)) Derived::engage(value);
      return detail::get(at, in.deeper(), *value);
    } else {
      return get_new<Value>(at, in.deeper(), [&](Value&& item) { return Derived::engage(value, std::move(item)), true; });
    }
  }
};

template <class T>
struct wire<T, kind::optional> : wire_maybe<T, typename T::value_type, wire<T, kind::optional>> {
  template <class... Item>
  static void engage(T& value, Item&&... item) {
    value.emplace(std::forward<Item>(item)...);
  }
};

/// Pointer<E, Deleter> as Pointer<E>: with the default deleter, found without compiling <memory>.
template <class T>
struct with_default_deleter {
  using type = void;
};
template <template <class...> class Pointer, class Element, class Deleter>
struct with_default_deleter<Pointer<Element, Deleter>> {
  using type = Pointer<Element>;
};

template <class T>
struct wire<T, kind::pointer> : wire_maybe<T, typename T::element_type, wire<T, kind::pointer>> {
  using element = typename T::element_type;
  static_assert(
      requires(T& value) { *value; } && std::is_same_v<typename with_default_deleter<T>::type, T>,
      "lading: only std::unique_ptr with the default deleter to one object is encoded: use std::vector for arrays, or lading::codec<T>");
  static_assert(!std::is_polymorphic_v<element>,
                "lading: polymorphic types are not encoded: use std::variant, or map the type with lading::codec<T>");

  template <class... Item>
  static void engage(T& value, Item&&... item) {
    if constexpr (sizeof...(Item) == 0)
      value = T(new element{});
    else
      value = T(new element(std::forward<Item>(item)...));
  }
};

template <class T>
struct wire<T, kind::expected> {
  using element = typename T::value_type;
  using failure_type = typename T::error_type;
  static constexpr bool has_element = !std::is_void_v<element>;
  using parts = std::conditional_t<has_element, type_list<element, failure_type>, type_list<failure_type>>;
  static constexpr bool fixed = false;
  static constexpr std::size_t min_size = 1;
  static consteval void tag(auto& hash) {
    hash.add('e');
    hash.add(has_element ? '2' : '1');
  }

  template <class Planner>
  LADING_ALWAYS_INLINE static std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
    if (!value.has_value()) return detail::measure(offset + 1, plan, value.error());
    if constexpr (has_element)
      return detail::measure(offset + 1, plan, *value);
    else
      return offset + 1;
  }
  template <class Writer>
  LADING_ALWAYS_INLINE static std::byte* put(std::byte* at, const Writer& out, const T& value) {
    at = put_choice(at, out, value.has_value() ? 1 : 0);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    if (!value.has_value()) return detail::put(at, out, value.error());
    if constexpr (has_element)
      return detail::put(at, out, *value);
    else
      return at;
  }
  [[nodiscard]] static const std::byte* get(const std::byte* at, const reader& in, T& value) {
    std::size_t choice;
    at = get_choice<2>(at, in, choice);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    if (choice == 0) {
      return get_new<failure_type>(at, in.deeper(), [&](failure_type&& item) { return value = typename T::unexpected_type(std::move(item)), true; });
    }
    if constexpr (has_element) {
      return get_new<element>(at, in.deeper(), [&](element&& item) { return value = std::move(item), true; });
    } else {
      value = T{};
      return at;
    }
  }
};

template <class T>
struct alternatives_of;
template <template <class...> class Variant, class... Alternatives>
struct alternatives_of<Variant<Alternatives...>> {
  using list = type_list<Alternatives...>;
};

template <class T>
struct wire<T, kind::variant> {
  using parts = typename alternatives_of<T>::list;
  static constexpr std::size_t count = parts::size;
  static_assert(count <= 256, "lading: a variant with more than 256 alternatives: nest some of them");
  static constexpr bool fixed = false;
  static constexpr std::size_t min_size = 1;
  static consteval void tag(auto& hash) {
    hash.add('v');
    hash.add_number(count);
  }

  template <class Planner>
  LADING_ALWAYS_INLINE static std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
    ++offset;
    visit(value, [&](const auto& alternative) LADING_FLATTEN_LAMBDA { offset = detail::measure(offset, plan, alternative); });
    return offset;
  }
  template <class Writer>
  LADING_ALWAYS_INLINE static std::byte* put(std::byte* at, const Writer& out, const T& value) {
    if (value.valueless_by_exception()) [[unlikely]]
      return out.fail(errc::invalid_value, {.what = "a variant lost its value to an exception"});
    at = put_choice(at, out, value.index());
    if (at == nullptr) [[unlikely]]
      return nullptr;
    visit(value, [&](const auto& alternative) LADING_FLATTEN_LAMBDA { at = detail::put(at, out, alternative); });
    return at;
  }
  [[nodiscard]] LADING_ALWAYS_INLINE static const std::byte* get(const std::byte* at, const reader& in, T& value) {
    std::size_t choice;
    at = get_choice<count>(at, in, choice);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    return [&]<class... Alternatives, std::size_t... Index>(type_list<Alternatives...>, std::index_sequence<Index...>) LADING_FLATTEN_LAMBDA {
      const std::byte* end = nullptr;
      (void)((choice == Index && (end = get_alternative<Index, Alternatives>(at, in.deeper(), value), true)) || ...);
      return end;
    }(parts{}, std::make_index_sequence<count>{});
  }

 private:
  template <class Use>
  LADING_ALWAYS_INLINE static void visit(const T& value, Use&& use) {
    [&]<std::size_t... Index>(std::index_sequence<Index...>)
        LADING_FLATTEN_LAMBDA { (void)((value.index() == Index && (use(*get_if<Index>(&value)), true)) || ...); }(std::make_index_sequence<count>{});
  }
  template <std::size_t Index, class Alternative>
  [[nodiscard]] LADING_ALWAYS_INLINE static const std::byte* get_alternative(const std::byte* at, const reader& in, T& value) {
    if constexpr (std::default_initializable<Alternative>) {
      if (value.index() != Index) value.template emplace<Index>();
      return detail::get(at, in, *get_if<Index>(&value));
    } else {
      return get_new<Alternative>(at, in, [&](Alternative&& item) { return value.template emplace<Index>(std::move(item)), true; });
    }
  }
};

}  // namespace lading::detail
