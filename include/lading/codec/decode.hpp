// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <utility>

#include <lading/codec/frames.hpp>
#include <lading/codec/stream.hpp>

namespace lading {
namespace detail {

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

/// The head, where there is one.
[[nodiscard]] inline bool take_head(decode_state& state, bytes_view& head) {
  if (state.frame_count == 0) {
    state.fail(errc::truncated, {.needed = 1, .available = 0, .what = "there is no frame, so no head"});
    return false;
  }
  head = state.frame_at(state.frames, 0);
  return true;
}

/// Whether the value that was read has used all frames.
[[nodiscard]] inline bool all_frames_taken(decode_state& state) noexcept {
  if (state.next_frame == state.frame_count) return true;
  state.fail(errc::trailing_bytes,
             {.needed = state.next_frame, .available = state.frame_count, .item = state.next_frame, .what = "more frames than the value refers to"});
  return false;
}

/// Reads `value` from all the frames of `state`.
template <class T>
[[nodiscard]] bool decode_frames(T& value, decode_state& state) {
  bytes_view head;
  return take_head(state, head) && decode_whole(value, head, state) && all_frames_taken(state);
}

template <class T>
  requires std::default_initializable<T>
[[nodiscard]] LADING_ALWAYS_INLINE result<T> new_value_of_frames(decode_state& state) {
  return made_by<T>(state, [&](T& value) LADING_FLATTEN_LAMBDA { return decode_frames(value, state); });
}
template <class T>
[[nodiscard]] result<T> new_value_of_frames(decode_state& state) {
  result<T> made = fail(errc::invalid_value);
  bytes_view head;
  if (!take_head(state, head) || !make_whole(made, head, state) || !all_frames_taken(state)) made = fail(state.failed);
  return made;
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
  detail::decode_state state = detail::state_for(source, limits);
  return detail::new_value_of_frames<T>(state);
}

template <class T, class Frames>
  requires(detail::borrows<T> && detail::owning_temporary<Frames> && frame_range<Frames> && !detail::lists_views<Frames>)
result<T> decode(Frames&&, const decode_limits& = {}) = delete;  // lading: the views in T would outlive the temporary that they borrow

}  // namespace lading
