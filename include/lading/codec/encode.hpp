// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include <lading/codec/frames.hpp>
#include <lading/codec/options.hpp>
#include <lading/codec/stream.hpp>
#include <lading/memory/aligned_buffer.hpp>

// One value and frames: the head, and its large arrays where they lie.

namespace lading {
namespace detail {

/// The bytes of `value`'s head; its out-of-band payloads are appended to `payloads`.
///
/// Errors: as encode. On error `payloads` may have grown.
template <class T>
[[nodiscard]] result<std::size_t> plan_frames(const T& value, const encode_options& options, std::vector<payload>& payloads) {
  encode_state state{.options = options, .payloads = &payloads};
  const std::size_t size = measure(0, planner<true>{&state, max_encode_depth}, value);
  if (state.has_failed) [[unlikely]]
    return fail(state.failed);
  return size;
}

/// Whether a write that ended at `end` filled the head.
[[nodiscard]] inline result<void> written_head(const std::byte* end, bytes_span head, const encode_state& state) {
  if (end == head.data() + head.size() && !state.has_failed) [[likely]]
    return {};
  if (end == nullptr && state.failed.code() != errc::buffer_too_small) return fail(state.failed);
  return fail(errc::invalid_argument, {.needed = head.size(), .what = "the value changed while it was being encoded"});
}

/// Writes the head that plan_frames measured with the same options; `head` has its size.
///
/// Errors: invalid_argument where the value no longer is what was measured (another thread, or a codec<T>::to that is not a function of
///         its argument).
template <class T>
[[nodiscard]] result<void> write_head(const T& value, const encode_options& options, bytes_span head) {
  encode_state state{.options = options};
  const writer<true> out{head.data(), head.data() + head.size(), &state, max_encode_depth};
  return written_head(put(head.data(), out, value), head, state);
}

/// encode() for values of any type: all but their own two walks is compiled once.
[[nodiscard]] inline result<frames> make_frames(const void* value, const encode_options& options,
                                                result<std::size_t> (*plan)(const void* value, const encode_options&, std::vector<payload>&),
                                                result<void> (*write)(const void* value, const encode_options&, bytes_span head)) {
  LADING_TRY {
    std::vector<payload> payloads;
    const result<std::size_t> size = plan(value, options, payloads);
    if (!size) return fail(size.error());
    result<frames> made = frames_builder::make(*size, payloads);
    if (!made) return made;
    if (const auto written = write(value, options, frames_builder::head(*made)); !written) return fail(written.error());
    return made;
  }
  LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory, {.what = "the list of frames could not be allocated"}))
}

}  // namespace detail

/// Encodes `value` into a head and frames of its own for contiguous arrays of at least options.out_of_band_threshold bytes, which are not copied.
/// Tensors that are not contiguous are gathered into memory of the frames.
///
/// Errors:     size_overflow, invalid_value, limit_exceeded as encode_into; no_memory. A value nested deeper than decode_limits::max_depth can
///             be encoded, but only a reader who raises that limit decodes it.
/// Lifetime:   the frames borrow from `value`; a temporary that owns arrays is rejected at compile time.
/// Complexity: two passes over the structure, one copy of small data; one allocation for the head, one for the list.
template <class T>
[[nodiscard]] result<frames> encode(const T& value, const encode_options& options = {}) {
  return detail::make_frames(
      __builtin_addressof(value), options,
      [](const void* object, const encode_options& how, std::vector<detail::payload>& payloads) {
        return detail::plan_frames(*static_cast<const T*>(object), how, payloads);
      },
      [](const void* object, const encode_options& how, bytes_span head) { return detail::write_head(*static_cast<const T*>(object), how, head); });
}

template <class T>
  requires(!std::is_lvalue_reference_v<T> && detail::owns_payload<T>)
result<frames> encode(T&&, const encode_options& = {}) = delete;  // lading: frames would outlive the temporary whose arrays they borrow

}  // namespace lading
