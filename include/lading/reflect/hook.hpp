// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include <lading/core/result.hpp>

namespace lading {

/// Maps a type that lading cannot take apart by itself (private state, invariants) onto one that it can. Specialise it:
///
///     template <> struct lading::codec<app::port> {
///       static std::uint16_t to(const app::port& port) noexcept { return port.number(); }
///       static lading::result<app::port> from(std::uint16_t number);   // the type's own invariant: fail(errc::invalid_value)
///     };
///
/// A codec never sees bytes, so bounds checks stay in one place. On the wire T is exactly its representation.
///
/// Errors:   what `from` returns is what decoding returns.
/// Lifetime: `to` may return by value, or a reference or view into its argument; `from` may keep no view of its parameter unless T itself
///           borrows.
/// Threads:  both may be called from several threads at once (batches).
template <class T>
struct codec;

namespace detail {

/// What codec<T>::to returns, as a value type.
template <class T>
using representation = std::remove_cvref_t<decltype(codec<T>::to(std::declval<const T&>()))>;

}  // namespace detail

/// A type whose codec<T> can write it.
template <class T>
concept hooked = requires(const T& value) { codec<T>::to(value); };

/// A type whose codec<T> can also read it.
template <class T>
concept decodable_by_hook = hooked<T> && requires(detail::representation<T>&& wire_value) {
  { codec<T>::from(std::move(wire_value)) } -> std::convertible_to<result<T>>;
};

}  // namespace lading
