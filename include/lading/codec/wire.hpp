// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <lading/codec/cursor.hpp>
#include <lading/codec/kind.hpp>
#include <lading/reflect/diagnose.hpp>
#include <lading/reflect/fields.hpp>

namespace lading::detail {

/// How values of T are written and read. One specialisation per kind, in the header of its family, with the members
///
///   parts                 type_list of the types directly inside: recursion, schema and borrowing are found by walking it
///   fixed                 whether every value takes the same number of bytes (then it can be a field of a record)
///   tag(hash)             feeds what distinguishes the kind to the schema; the parts follow
///
/// and where fixed:         wire_size, wire_align (inside records and arrays), image (the host's object bytes are the wire bytes, once masked),
///                          solid (its wire bytes hold neither padding nor bools), mask(bytes) (which bits a value may set), store(to, value), load(from, reader, value) -> bool;
/// otherwise:              min_size, measure(offset, planner, value) -> offset, put(to, writer, value), get(from, reader, value).
///
/// Positions are checked by the caller for fixed types and by the type itself otherwise.
template <class T, kind Kind = kind_of<T>()>
struct wire {
  static_assert(diagnose_unknown<T>());
  // What follows only keeps the compiler from saying more.
  using parts = type_list<>;
  static constexpr bool fixed = true, image = false, solid = false, borrows = false, owns_payload = false;
  static constexpr std::size_t wire_size = 1, wire_align = 1, min_size = 1;
  static consteval void tag(auto&) {}
  static constexpr void mask(unsigned char*) noexcept {}
  static void store(std::byte*, const T&) noexcept {}
  static bool load(const std::byte*, const reader&, T&) noexcept { return false; }
};

template <class T>
using wire_of = wire<std::remove_cv_t<T>>;

/// The fewest bytes a value can take: what a declared count is checked against.
template <class T>
consteval std::size_t min_wire_size() {
  if constexpr (wire_of<T>::fixed)
    return wire_of<T>::wire_size;
  else
    return wire_of<T>::min_size;
}

// Properties found by walking the parts.

template <class T>
inline constexpr bool is_product = kind_of<std::remove_cv_t<T>>() == kind::product;

/// What can contain itself through a container or pointer: structs, and types with a codec whose representation holds them.
template <class T>
inline constexpr bool closes_circles = is_product<T> || kind_of<std::remove_cv_t<T>>() == kind::hook;

template <class Wanted, class... Seen>
struct reaches {
  template <class T>
  static consteval bool from() {
    using Type = std::remove_cv_t<T>;
    if constexpr (std::is_same_v<Type, Wanted>)
      return true;
    else if constexpr ((std::is_same_v<Type, Seen> || ...))
      return false;
    else if constexpr (closes_circles<Type>)
      return reaches<Wanted, Type, Seen...>::within(typename wire<Type>::parts{});
    else
      return within(typename wire<Type>::parts{});
  }
  template <class... Parts>
  static consteval bool within(type_list<Parts...>) {
    return (from<Parts>() || ...);
  }
};

/// A T that contains itself.
template <class T>
inline constexpr bool recursive = closes_circles<T> && reaches<T>::within(typename wire_of<T>::parts{});

/// What a type and all its parts have together.
struct part_traits {
  bool borrows = false, owns_payload = false, gathers = false;
  std::size_t borrowed_align = 1;

  constexpr void add(const part_traits& other) noexcept {
    borrows |= other.borrows;
    owns_payload |= other.owns_payload;
    gathers |= other.gathers;
    if (other.borrowed_align > borrowed_align) borrowed_align = other.borrowed_align;
  }
};

template <class... Seen>
struct traits_of {
  template <class T>
  static consteval part_traits whole() {
    using Type = std::remove_cv_t<T>;
    if constexpr ((std::is_same_v<Type, Seen> || ...)) {
      return {};
    } else if constexpr (wire<Type>::fixed) {  // has none of them; and nested ones would be walked by every path
      return {};
    } else {
      part_traits found;
      if constexpr (requires { wire<Type>::borrows; }) found.borrows = wire<Type>::borrows;
      if constexpr (requires { wire<Type>::owns_payload; }) found.owns_payload = wire<Type>::owns_payload;
      if constexpr (requires { wire<Type>::gathers; }) found.gathers = wire<Type>::gathers;
      if constexpr (requires { wire<Type>::borrowed_align; }) found.borrowed_align = wire<Type>::borrowed_align;
      if constexpr (closes_circles<Type>)
        found.add(traits_of<Type, Seen...>::within(typename wire<Type>::parts{}));
      else
        found.add(within(typename wire<Type>::parts{}));
      return found;
    }
  }
  template <class... Parts>
  static consteval part_traits within(type_list<Parts...>) {
    part_traits found;
    (found.add(whole<Parts>()), ...);
    return found;
  }
};

template <class T>
inline constexpr part_traits traits = traits_of<>::template whole<T>();

/// A decoded T points into the buffer that it was decoded from.
template <class T>
inline constexpr bool borrows = traits<T>.borrows;

/// Frames encoded from a T may point into the T.
template <class T>
inline constexpr bool owns_payload = traits<T>.owns_payload;

/// Planning a T keeps pointers to views inside the T (tensors that are gathered later), not only to what they view.
template <class T>
inline constexpr bool gathers = traits<T>.gathers;

/// The alignment that a stream's beginning needs for the views in T. Arrays are aligned from there, so it is checked once.
template <class T>
inline constexpr std::size_t borrowed_align = traits<T>.borrowed_align;

/// How much code one T expands to: fields of variable size, counted through nested structs. Large structs are not merged into their callers.
template <class T, std::size_t Depth = 0>
consteval std::size_t inline_cost() {
  if constexpr (Depth > 6)
    return 100;
  else if constexpr (wire_of<T>::fixed)
    return 0;
  else
    return
        []<class... Parts>(type_list<Parts...>) { return ((inline_cost<Parts, Depth + 1>() + ... + std::size_t{1})); }(typename wire_of<T>::parts{});
}

template <class T>
consteval bool kept_out_of_line() {
  if constexpr (!closes_circles<T> || wire_of<T>::fixed)
    return false;
  else if constexpr (recursive<std::remove_cv_t<T>>)
    return true;
  else if constexpr (!is_product<T>)
    return false;
  else
    return inline_cost<T>() > 24;
}

// Schema: see docs/FORMAT.md.

template <class... Ancestors>
struct describe {
  template <class T, class Hash>
  static consteval void type(Hash& hash) {
    using Type = std::remove_cv_t<T>;
    constexpr std::size_t up = distance_to<Type>();
    if constexpr (up != 0) {
      hash.add('^');
      hash.add_number(up);
    } else if constexpr (is_product<Type> || recursive<Type>) {
      if constexpr (!is_product<Type>) {
        describe<Type, Ancestors...>::parts(hash, typename wire<Type>::parts{});
      } else {
        hash.add('{');
        describe<Type, Ancestors...>::parts(hash, typename wire<Type>::parts{});
        hash.add('}');
      }
    } else {
      wire<Type>::tag(hash);
      parts(hash, typename wire<Type>::parts{});
    }
  }

  template <class Hash, class... Parts>
  static consteval void parts(Hash& hash, type_list<Parts...>) {
    (type<Parts>(hash), ...);
  }

  template <class T>
  static consteval std::size_t distance_to() {
    std::size_t distance = 0, found = 0;
    ((++distance, found == 0 && std::is_same_v<T, Ancestors> ? (found = distance) : 0), ...);
    return found;
  }
};

}  // namespace lading::detail
