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
// The eight numbers after `count`, whose braces are already written.
#define LADING_BRACED_8(count, ...)                                 \
  LADING_BRACED(count + 1, __VA_ARGS__{}, )                         \
  LADING_BRACED(count + 2, __VA_ARGS__{}, {}, )                     \
  LADING_BRACED(count + 3, __VA_ARGS__{}, {}, {}, )                 \
  LADING_BRACED(count + 4, __VA_ARGS__{}, {}, {}, {}, )             \
  LADING_BRACED(count + 5, __VA_ARGS__{}, {}, {}, {}, {}, )         \
  LADING_BRACED(count + 6, __VA_ARGS__{}, {}, {}, {}, {}, {}, )     \
  LADING_BRACED(count + 7, __VA_ARGS__{}, {}, {}, {}, {}, {}, {}, ) \
  LADING_BRACED(count + 8, __VA_ARGS__{}, {}, {}, {}, {}, {}, {}, {}, )
// clang-format off
#define LADING_BRACED_64(count, ...)                                                                                \
  LADING_BRACED_8(count, __VA_ARGS__)                                                                               \
  LADING_BRACED_8(count + 8, __VA_ARGS__ LADING_BRACES_8)                                                           \
  LADING_BRACED_8(count + 16, __VA_ARGS__ LADING_BRACES_16)                                                         \
  LADING_BRACED_8(count + 24, __VA_ARGS__ LADING_BRACES_16 LADING_BRACES_8)                                         \
  LADING_BRACED_8(count + 32, __VA_ARGS__ LADING_BRACES_32)                                                         \
  LADING_BRACED_8(count + 40, __VA_ARGS__ LADING_BRACES_32 LADING_BRACES_8)                                         \
  LADING_BRACED_8(count + 48, __VA_ARGS__ LADING_BRACES_32 LADING_BRACES_16)                                        \
  LADING_BRACED_8(count + 56, __VA_ARGS__ LADING_BRACES_32 LADING_BRACES_16 LADING_BRACES_8)
#define LADING_BRACES_8 {}, {}, {}, {}, {}, {}, {}, {},
#define LADING_BRACES_16 LADING_BRACES_8 LADING_BRACES_8
#define LADING_BRACES_32 LADING_BRACES_16 LADING_BRACES_16
#define LADING_BRACES_64 LADING_BRACES_32 LADING_BRACES_32
LADING_BRACED(0, )
LADING_BRACED_64(0, )
LADING_BRACED_64(64, LADING_BRACES_64)
LADING_BRACED_64(128, LADING_BRACES_64 LADING_BRACES_64)
LADING_BRACED_64(192, LADING_BRACES_64 LADING_BRACES_64 LADING_BRACES_64)
// clang-format on
#undef LADING_BRACED
#undef LADING_BRACED_8
#undef LADING_BRACED_64
#undef LADING_BRACES_8
#undef LADING_BRACES_16
#undef LADING_BRACES_32
#undef LADING_BRACES_64

inline constexpr std::size_t max_braced = 256;
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
