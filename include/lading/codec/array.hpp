// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>
#include <tuple>
#include <type_traits>

#include <lading/codec/dispatch.hpp>

// C arrays and std::array: the elements one after another, without a count. Large ones are loops, never unrolled, so that they compile quickly.

namespace lading::detail {

template <class T>
struct array_traits {
  using element = typename T::value_type;
  static constexpr std::size_t count = std::tuple_size_v<T>;
};
template <class Element, std::size_t Count>
struct array_traits<Element[Count]> {
  using element = Element;
  static constexpr std::size_t count = Count;
};

template <class T>
struct wire<T, kind::array> {
  using element = std::remove_cv_t<typename array_traits<T>::element>;
  using parts = type_list<element>;
  static constexpr std::size_t count = array_traits<T>::count;
  static constexpr bool fixed = count == 0 || wire_of<element>::fixed;

  static consteval std::size_t element_size() {
    if constexpr (count != 0 && fixed)
      return wire_of<element>::wire_size;
    else
      return 0;
  }
  static consteval std::size_t element_align() {
    if constexpr (count != 0 && fixed)
      return wire_of<element>::wire_align;
    else
      return 1;
  }
  static constexpr std::size_t wire_size = count * element_size(), wire_align = element_align();
  static constexpr std::size_t min_size = fixed ? wire_size : count * min_wire_size<element>();
  static_assert(wire_size < (std::size_t{1} << 31) && min_size < (std::size_t{1} << 31),
                "lading: an array this large belongs in a std::vector or a tensor");

  static consteval bool is_image() {
    if constexpr (count == 0 || !fixed)
      return false;
    else if constexpr (!wire_of<element>::image)
      return false;
    else
      return sizeof(T) == wire_size && std::is_trivially_copyable_v<T>;
  }
  static constexpr bool image = is_image(), dense = image && detail::dense<element>, solid = count != 0 && detail::solid<element>;

  static consteval void tag(auto& hash) {
    hash.add('a');
    hash.add_number(count);
  }
  static constexpr void mask(unsigned char* bytes) noexcept {
    for (std::size_t i = 0; i < count; ++i) wire_of<element>::mask(bytes + i * element_size());
  }

  LADING_ALWAYS_INLINE static void store(std::byte* to, const T& value) {
    if constexpr (count != 0) {  // else the element may be of any size
      for (const auto& item : elements(value)) {
        store_fixed(to, item);
        to += element_size();
      }
    }
  }
  [[nodiscard]] LADING_ALWAYS_INLINE static bool load(const std::byte* from, const reader& in, T& value) {
    if constexpr (count != 0) {
      for (auto& item : elements(value)) {
        if (!load_fixed(from, in, item)) return false;
        from += element_size();
      }
    }
    return true;
  }

  template <class Planner>
  LADING_ALWAYS_INLINE static std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
    for (const auto& item : elements(value)) offset = detail::measure(offset, plan, item);
    return offset;
  }
  template <class Writer>
  LADING_ALWAYS_INLINE static std::byte* put(std::byte* at, const Writer& out, const T& value) {
    for (const auto& item : elements(value)) {
      at = detail::put(at, out, item);
      if (at == nullptr) [[unlikely]]
        return nullptr;
    }
    return at;
  }
  [[nodiscard]] LADING_ALWAYS_INLINE static const std::byte* get(const std::byte* at, const reader& in, T& value) {
    for (auto& item : elements(value)) {
      at = detail::get(at, in, item);
      if (at == nullptr) [[unlikely]]
        return nullptr;
    }
    return at;
  }

 private:
  template <class Array>
  static constexpr auto& elements(Array& value) noexcept {
    return value;
  }
};

}  // namespace lading::detail
