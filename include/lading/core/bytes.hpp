// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace lading {

/// Contiguous bytes that are read. Borrows; the owner must outlive it.
using bytes_view = std::span<const std::byte>;

/// Contiguous bytes that are written. Borrows; the owner must outlive it.
using bytes_span = std::span<std::byte>;

/// Items of a packed buffer: any sized random-access range whose elements are, or convert to, bytes_view.
///
/// Spelled with std::size and std::begin because <ranges> would double what a user's translation unit compiles.
template <class Range>
concept frame_range = requires(const Range& items, std::size_t index) {
  { std::size(items) } -> std::convertible_to<std::size_t>;
  { std::begin(items)[index] } -> std::convertible_to<bytes_view>;
};

namespace detail {

/// A temporary that owns its elements: whatever borrows from it would dangle. (Views are trivially copyable; std::array is too, but owns.)
template <class Range>
concept owning_temporary = !std::is_lvalue_reference_v<Range> && (!std::is_trivially_copyable_v<std::remove_cvref_t<Range>> ||
                                                                  requires { std::tuple_size<std::remove_cvref_t<Range>>::value; });

/// Specialised for ranges of views whose bytes are their own.
template <class Range>
inline constexpr bool lists_own_bytes = false;

/// A range of views of bytes that belong to somebody else: a temporary list of them may be borrowed from.
template <class Range>
concept lists_views =
    !owning_temporary<std::remove_cvref_t<decltype(std::begin(std::declval<const Range&>())[0])>> && !lists_own_bytes<std::remove_cvref_t<Range>>;

}  // namespace detail
}  // namespace lading
