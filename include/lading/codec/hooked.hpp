// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <lading/codec/dispatch.hpp>

// Types with a lading::codec<T>: on the wire they are their representation.

namespace lading::detail {

template <class T>
struct wire<T, kind::hook> {
  using inner = representation<T>;
  static_assert(!std::is_same_v<inner, T>, "lading: codec<T>::to must return another type than T");
  using parts = type_list<inner>;
  static constexpr bool fixed = wire<inner>::fixed;
  static consteval std::size_t least() { return min_wire_size<inner>(); }
  static consteval std::size_t alignment() {
    if constexpr (fixed)
      return wire<inner>::wire_align;
    else
      return 1;
  }
  static constexpr std::size_t wire_size = least(), min_size = least(), wire_align = alignment();  // wire_size, wire_align: where fixed
  static constexpr bool image = false, dense = false;                                              // the type's own invariant has to see every value
  static constexpr bool solid = detail::solid<inner>;
  static consteval void tag(auto&) {}
  static constexpr void mask(unsigned char*) noexcept {}

  /// A representation that is a temporary and holds what frames would point to cannot lend them to frames.
  static constexpr bool lends =
      std::is_lvalue_reference_v<decltype(codec<T>::to(std::declval<const T&>()))> || (!detail::owns_payload<inner> && !detail::gathers<inner>);

  LADING_ALWAYS_INLINE static void store(std::byte* to, const T& value) { store_fixed(to, static_cast<const inner&>(codec<T>::to(value))); }

  [[nodiscard]] LADING_ALWAYS_INLINE static bool load(const std::byte* from, const reader& in, T& value) {
    const auto consume = [&](T&& made) { return value = std::move(made), true; };
    if constexpr (std::default_initializable<inner>) {
      inner wire_value{};
      return load_fixed(from, in, wire_value) && convert(from, in, std::move(wire_value), consume);
    } else {
      return get_new(from, in, consume) != nullptr;
    }
  }

  template <class Planner>
  LADING_ALWAYS_INLINE static std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
    if constexpr (lends)
      return detail::measure(offset, plan, static_cast<const inner&>(codec<T>::to(value)));
    else
      return detail::measure(offset, plan.unframed(), static_cast<const inner&>(codec<T>::to(value)));
  }
  template <class Writer>
  LADING_ALWAYS_INLINE static std::byte* put(std::byte* at, const Writer& out, const T& value) {
    if constexpr (lends)
      return detail::put(at, out, static_cast<const inner&>(codec<T>::to(value)));
    else
      return detail::put(at, out.unframed(), static_cast<const inner&>(codec<T>::to(value)));
  }
  [[nodiscard]] LADING_ALWAYS_INLINE static const std::byte* get(const std::byte* at, const reader& in, T& value) {
    return get_new(at, in, [&](T&& made) { return value = std::move(made), true; });
  }

  /// Reads a T that does not exist yet and hands it to consume(T&&).
  template <class Consume>
  [[nodiscard]] LADING_ALWAYS_INLINE static const std::byte* get_new(const std::byte* at, const reader& in, Consume&& consume) {
    return detail::get_new<inner>(at, in, [&](inner&& wire_value) { return convert(at, in, std::move(wire_value), consume); });
  }

 private:
  /// `at` is where the representation begins.
  template <class Consume>
  [[nodiscard]] LADING_ALWAYS_INLINE static bool convert(const std::byte* at, const reader& in, inner&& wire_value, Consume&& consume) {
    static_assert(decodable_by_hook<T>,
                  "lading: codec<T> has no `static lading::result<T> from(representation)`, so T can be encoded but not decoded");
    result<T> made = codec<T>::from(std::move(wire_value));
    if (!made) [[unlikely]] {
      in.state->fail(made.error().with_offset(in.offset(at)));
      return false;
    }
    return consume(std::move(*made));
  }
};

}  // namespace lading::detail
