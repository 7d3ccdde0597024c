// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <lading/codec/frames.hpp>
#include <lading/codec/stream.hpp>

namespace lading {
namespace detail {

/// Frames whose bytes belong to somebody else, so that a temporary list of them may be decoded into views.
template <class Frames>
concept lists_views = std::is_trivially_copyable_v<std::remove_cvref_t<decltype(std::begin(std::declval<const Frames&>())[0])>> &&
                      !std::is_same_v<std::remove_cvref_t<Frames>, frames>;

template <frame_range Frames>
[[nodiscard]] decode_state state_for(const Frames& source, const decode_limits& limits) {
  return {.limits = limits,
          .frames = &source,
          .frame_at =
              [](const void* range, std::size_t index) {
                return static_cast<bytes_view>(std::begin(*static_cast<const Frames*>(range))[static_cast<std::ptrdiff_t>(index)]);
              },
          .frame_count = std::size(source)};
}

/// Reads `value` from all of `source`'s frames.
template <class T, frame_range Frames>
[[nodiscard]] bool decode_frames(T& value, const Frames& source, decode_state& state) {
  if (state.frame_count == 0) {
    state.fail(errc::truncated, {.needed = 1, .available = 0, .what = "there is no frame, so no head"});
    return false;
  }
  if (!decode_whole(value, state.frame_at(&source, 0), state)) return false;
  if (state.next_frame != state.frame_count) {
    state.fail(
        errc::trailing_bytes,
        {.needed = state.next_frame, .available = state.frame_count, .item = state.next_frame, .what = "more frames than the value refers to"});
    return false;
  }
  return true;
}

}  // namespace detail

/// Reads a T from its frames, which must be exactly the T's.
///
/// Errors:     as decode_from; truncated and trailing_bytes also for too few and too many frames, invalid_value for a frame that does not hold
///             a whole number of elements.
/// Lifetime:   a T with views borrows the bytes of the frames, not the range itself; a temporary that owns the bytes is rejected at compile
///             time.
template <class T, class Frames>
[[nodiscard]] result<T> decode(const Frames& source, const decode_limits& limits = {}) {
  static_assert(frame_range<Frames>, "lading: frames are a sized random-access range of bytes_view; decode_from reads a single stream");
  static_assert(std::default_initializable<T>, "lading: decoding needs a default constructor: add one, or wrap the type in a struct that has one");
  detail::decode_state state = detail::state_for(source, limits);
  result<T> decoded{T{}};
  if (!detail::decode_frames(*decoded, source, state)) [[unlikely]]
    decoded = fail(state.failed);
  return decoded;
}

template <class T, class Frames>
  requires(detail::borrows<T> && detail::owning_temporary<Frames> && frame_range<Frames> && !detail::lists_views<Frames>)
result<T> decode(Frames&&, const decode_limits& = {}) = delete;  // lading: the views in T would outlive the temporary that they borrow

}  // namespace lading
