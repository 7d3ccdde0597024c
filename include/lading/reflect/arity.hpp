// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>

namespace lading {
namespace detail {

/// Converts to anything, so that it can stand for a field whose type is not known. Never evaluated.
struct any_field {
  template <class Field>
  operator Field() const noexcept;
};

/// Converts to a reference to anything: counts fields that are references, only to tell the user about them.
struct any_reference {
  template <class Field>
  operator Field&() const noexcept;
};

/// Converts to a base class of Derived only: tells a base from a first field.
template <class Derived>
struct any_base_of {
  template <class Base>
    requires(std::is_base_of_v<Base, Derived> && !std::is_same_v<Base, Derived>)
  operator Base() const noexcept;
};

/// braced<N>::accepts<T, Any...>: whether T{ {}, ... N times, Any{}... } compiles.
///
/// `{}` initialises exactly one member whatever its type, where an expression would be spread over the elements of a C array (brace
/// elision) or be ambiguous for an optional. That is why fields are counted this way: the cost depends on the number of fields alone,
/// not on sizeof(T), and arrays count once. A braced list cannot be a pack pattern, hence the ladder.
template <std::size_t Count>
struct braced;

#define LADING_BRACED(count, ...)                                          \
  template <>                                                              \
  struct braced<count> {                                                   \
    template <class T, class... Any>                                       \
    static constexpr bool accepts = requires { T{__VA_ARGS__ Any{}...}; }; \
  };
#define LADING_BRACES_8 {}, {}, {}, {}, {}, {}, {}, {},
#define LADING_BRACES_16 LADING_BRACES_8 LADING_BRACES_8
#define LADING_BRACES_24 LADING_BRACES_16 LADING_BRACES_8
#define LADING_BRACES_32 LADING_BRACES_24 LADING_BRACES_8
#define LADING_BRACES_40 LADING_BRACES_32 LADING_BRACES_8
#define LADING_BRACES_48 LADING_BRACES_40 LADING_BRACES_8
#define LADING_BRACES_56 LADING_BRACES_48 LADING_BRACES_8
#define LADING_BRACES_64 LADING_BRACES_56 LADING_BRACES_8
LADING_BRACED(0, )
LADING_BRACED(1, {}, )
LADING_BRACED(2, {}, {}, )
LADING_BRACED(3, {}, {}, {}, )
LADING_BRACED(4, {}, {}, {}, {}, )
LADING_BRACED(5, {}, {}, {}, {}, {}, )
LADING_BRACED(6, {}, {}, {}, {}, {}, {}, )
LADING_BRACED(7, {}, {}, {}, {}, {}, {}, {}, )
LADING_BRACED(8, LADING_BRACES_8)
LADING_BRACED(9, LADING_BRACES_8{}, )
LADING_BRACED(10, LADING_BRACES_8{}, {}, )
LADING_BRACED(11, LADING_BRACES_8{}, {}, {}, )
LADING_BRACED(12, LADING_BRACES_8{}, {}, {}, {}, )
LADING_BRACED(13, LADING_BRACES_8{}, {}, {}, {}, {}, )
LADING_BRACED(14, LADING_BRACES_8{}, {}, {}, {}, {}, {}, )
LADING_BRACED(15, LADING_BRACES_8{}, {}, {}, {}, {}, {}, {}, )
LADING_BRACED(16, LADING_BRACES_16)
LADING_BRACED(17, LADING_BRACES_16{}, )
LADING_BRACED(18, LADING_BRACES_16{}, {}, )
LADING_BRACED(19, LADING_BRACES_16{}, {}, {}, )
LADING_BRACED(20, LADING_BRACES_16{}, {}, {}, {}, )
LADING_BRACED(21, LADING_BRACES_16{}, {}, {}, {}, {}, )
LADING_BRACED(22, LADING_BRACES_16{}, {}, {}, {}, {}, {}, )
LADING_BRACED(23, LADING_BRACES_16{}, {}, {}, {}, {}, {}, {}, )
LADING_BRACED(24, LADING_BRACES_24)
LADING_BRACED(25, LADING_BRACES_24{}, )
LADING_BRACED(26, LADING_BRACES_24{}, {}, )
LADING_BRACED(27, LADING_BRACES_24{}, {}, {}, )
LADING_BRACED(28, LADING_BRACES_24{}, {}, {}, {}, )
LADING_BRACED(29, LADING_BRACES_24{}, {}, {}, {}, {}, )
LADING_BRACED(30, LADING_BRACES_24{}, {}, {}, {}, {}, {}, )
LADING_BRACED(31, LADING_BRACES_24{}, {}, {}, {}, {}, {}, {}, )
LADING_BRACED(32, LADING_BRACES_32)
LADING_BRACED(33, LADING_BRACES_32{}, )
LADING_BRACED(34, LADING_BRACES_32{}, {}, )
LADING_BRACED(35, LADING_BRACES_32{}, {}, {}, )
LADING_BRACED(36, LADING_BRACES_32{}, {}, {}, {}, )
LADING_BRACED(37, LADING_BRACES_32{}, {}, {}, {}, {}, )
LADING_BRACED(38, LADING_BRACES_32{}, {}, {}, {}, {}, {}, )
LADING_BRACED(39, LADING_BRACES_32{}, {}, {}, {}, {}, {}, {}, )
LADING_BRACED(40, LADING_BRACES_40)
LADING_BRACED(41, LADING_BRACES_40{}, )
LADING_BRACED(42, LADING_BRACES_40{}, {}, )
LADING_BRACED(43, LADING_BRACES_40{}, {}, {}, )
LADING_BRACED(44, LADING_BRACES_40{}, {}, {}, {}, )
LADING_BRACED(45, LADING_BRACES_40{}, {}, {}, {}, {}, )
LADING_BRACED(46, LADING_BRACES_40{}, {}, {}, {}, {}, {}, )
LADING_BRACED(47, LADING_BRACES_40{}, {}, {}, {}, {}, {}, {}, )
LADING_BRACED(48, LADING_BRACES_48)
LADING_BRACED(49, LADING_BRACES_48{}, )
LADING_BRACED(50, LADING_BRACES_48{}, {}, )
LADING_BRACED(51, LADING_BRACES_48{}, {}, {}, )
LADING_BRACED(52, LADING_BRACES_48{}, {}, {}, {}, )
LADING_BRACED(53, LADING_BRACES_48{}, {}, {}, {}, {}, )
LADING_BRACED(54, LADING_BRACES_48{}, {}, {}, {}, {}, {}, )
LADING_BRACED(55, LADING_BRACES_48{}, {}, {}, {}, {}, {}, {}, )
LADING_BRACED(56, LADING_BRACES_56)
LADING_BRACED(57, LADING_BRACES_56{}, )
LADING_BRACED(58, LADING_BRACES_56{}, {}, )
LADING_BRACED(59, LADING_BRACES_56{}, {}, {}, )
LADING_BRACED(60, LADING_BRACES_56{}, {}, {}, {}, )
LADING_BRACED(61, LADING_BRACES_56{}, {}, {}, {}, {}, )
LADING_BRACED(62, LADING_BRACES_56{}, {}, {}, {}, {}, {}, )
LADING_BRACED(63, LADING_BRACES_56{}, {}, {}, {}, {}, {}, {}, )
LADING_BRACED(64, LADING_BRACES_64)
#undef LADING_BRACED
#undef LADING_BRACES_8
#undef LADING_BRACES_16
#undef LADING_BRACES_24
#undef LADING_BRACES_32
#undef LADING_BRACES_40
#undef LADING_BRACES_48
#undef LADING_BRACES_56
#undef LADING_BRACES_64

inline constexpr std::size_t max_braced = 64;
inline constexpr std::size_t max_fields = 256;

/// Grows the list of probes while the type accepts one more. Beyond the ladder, or where a member has no default constructor, fields are
/// counted this way; should it miscount, the structured binding in fields.hpp does not compile: a wrong count is never silent.
template <class T, class Probe, std::size_t Braces, class... Probes>
consteval std::size_t count_by() {
  if constexpr (sizeof...(Probes) > max_fields) {
    return Braces + sizeof...(Probes);
  } else if constexpr (braced<Braces>::template accepts<T, Probes..., Probe>) {
    return count_by<T, Probe, Braces, Probes..., Probe>();
  } else {
    return Braces + sizeof...(Probes);
  }
}

/// For types that some members forbid to initialise partly: the first number of probes that is accepted, then as far as it goes.
template <class T, class Probe, class... Probes>
consteval std::size_t count_from_first_accepted() {
  if constexpr (sizeof...(Probes) > max_braced) {
    return 0;
  } else if constexpr (braced<0>::template accepts<T, Probes...>) {
    return count_by<T, Probe, 0, Probes...>();
  } else {
    return count_from_first_accepted<T, Probe, Probes..., Probe>();
  }
}

template <class T, std::size_t Count = 0>
consteval std::size_t count_fields() {
  if constexpr (std::is_empty_v<T>) {
    return 0;
  } else if constexpr (Count < max_braced && braced<(Count < max_braced ? Count + 1 : 0)>::template accepts<T>) {
    return count_fields<T, Count + 1>();
  } else if constexpr (Count != 0) {
    return count_by<T, any_field, Count>();
  } else {
    constexpr std::size_t by_value = count_from_first_accepted<T, any_field>();
    if constexpr (by_value != 0) {
      return by_value;
    } else {
      return count_from_first_accepted<T, any_reference>();
    }
  }
}

/// Whether some field is a (non-const) reference: nothing but a reference initialises it. Asked only where counting by value fails, because the
/// probe would instantiate copy constructors.
template <class T>
consteval bool needs_reference() {
  if constexpr (std::is_empty_v<T> || braced<1>::template accepts<T>) {
    return false;
  } else if constexpr (count_from_first_accepted<T, any_field>() != 0) {
    return false;
  } else {
    return count_from_first_accepted<T, any_reference>() != 0;
  }
}
template <class T>
inline constexpr bool has_reference = needs_reference<T>();

/// Whether an aggregate has a base class, which structured bindings cannot take apart.
template <class T>
inline constexpr bool has_base = !std::is_empty_v<T> && braced<0>::template accepts<T, any_base_of<T>>;

}  // namespace detail

/// The number of fields of an aggregate. Specialise it where the automatic count cannot be right (a C array after a field without a
/// default constructor, say): `template <> inline constexpr std::size_t lading::field_count<app::odd> = 3;`
template <class T>
inline constexpr std::size_t field_count = detail::count_fields<T>();

}  // namespace lading
