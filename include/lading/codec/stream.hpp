// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstring>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <lading/codec/types.hpp>

// One value and one contiguous stream: no table, no checksum, no frames. The fastest path, for small values.

namespace lading {
namespace detail {

[[nodiscard]] LADING_COLD inline failure target_too_small(const encode_state& state, std::size_t needed, std::size_t available) noexcept {
  return fail(
      errc::buffer_too_small,
      {.needed = needed, .available = available, .offset = state.failed.details().offset, .what = "pass a target of encoded_size(value) bytes"});
}

/// The bytes of a stream that did not fit.
template <class T>
[[nodiscard]] LADING_COLD std::size_t missed_size(const T& value) {
  encode_state state;
  return measure(0, planner<false>{&state, max_encode_depth}, value);
}

LADING_COLD inline bool out_of_memory(decode_state& state) noexcept {
  state.fail(errc::no_memory, {.what = "a container could not allocate"});
  return false;
}

/// Whether a read that ended at `end` used up its input.
[[nodiscard]] LADING_ALWAYS_INLINE bool consumed(const std::byte* end, const reader& in) noexcept {
  if (end == in.end) [[likely]]
    return end != nullptr || !in.state->has_failed;
  if (end != nullptr) {
    in.state->fail(errc::trailing_bytes, {.needed = in.offset(end), .available = in.left(in.begin), .what = "the input goes on after the value"});
  }
  return false;
}

/// Whether views of this alignment may point into `source`.
[[nodiscard]] LADING_ALWAYS_INLINE bool can_borrow(std::size_t align, bytes_view source, decode_state& state) noexcept {
  if (is_aligned(align, source.data())) [[likely]]
    return true;
  state.fail(errc::misaligned, {.needed = align, .what = misaligned_view});
  return false;
}

/// Reads `value` from a whole stream or head. One function for all that decode a T: most of a T's code is here.
template <class T>
[[nodiscard]] LADING_NOINLINE bool decode_whole(T& value, bytes_view source, decode_state& state) {
  const reader in{source.data(), source.data() + source.size(), &state, state.limits.max_depth};
  if (!can_borrow(borrowed_align<T>, source, state)) [[unlikely]]
    return false;
  LADING_TRY { return consumed(get(source.data(), in, value), in); }
  LADING_CATCH_BAD_ALLOC(return out_of_memory(state))
}

/// The same for a T without a default constructor, which its codec<T> makes.
template <class T>
[[nodiscard]] LADING_NOINLINE bool make_whole(result<T>& made, bytes_view source, decode_state& state) {
  const reader in{source.data(), source.data() + source.size(), &state, state.limits.max_depth};
  if (!can_borrow(borrowed_align<T>, source, state)) return false;
  LADING_TRY {
    return consumed(get_new<T>(source.data(), in, [&](T&& value) { return made = std::move(value), true; }), in);
  }
  LADING_CATCH_BAD_ALLOC(return out_of_memory(state))
}

/// The T that a whole stream or head holds, made in the result: it may be too large for a second one on the stack. (A function of its own,
/// because g++ constructs only a variable of the outermost block in place.)
template <class T, class Read>
[[nodiscard]] LADING_ALWAYS_INLINE result<T> made_in_place(decode_state& state, Read&& read) {
  result<T> made(in_place);
  if (!read(*made)) [[unlikely]]
    made = fail(state.failed);
  return made;
}
/// made_in_place for a T whose default constructor may allocate, too (std::deque of libstdc++).
template <class T, class Read>
[[nodiscard]] LADING_ALWAYS_INLINE result<T> made_by(decode_state& state, Read&& read) {
  if constexpr (std::is_nothrow_default_constructible_v<T>) {
    return made_in_place<T>(state, read);
  } else {
    LADING_TRY { return made_in_place<T>(state, read); }
    LADING_CATCH_BAD_ALLOC(return (void)out_of_memory(state), fail(state.failed))
  }
}
template <class T>
  requires std::default_initializable<T>
[[nodiscard]] LADING_ALWAYS_INLINE result<T> new_value(decode_state& state, bytes_view source) {
  return made_by<T>(state, [&](T& value) LADING_FLATTEN_LAMBDA { return decode_whole(value, source, state); });
}
template <class T>
[[nodiscard]] result<T> new_value(decode_state& state, bytes_view source) {
  result<T> made = fail(errc::invalid_value);
  if (!make_whole(made, source, state)) made = fail(state.failed);
  return made;
}

/// The error for which `size` bytes that are copied whole are no T of `needed` bytes.
[[nodiscard]] LADING_COLD inline failure not_whole(std::size_t needed, std::size_t size) noexcept {
  if (size < needed) return fail(errc::truncated, {.needed = needed, .available = size, .offset = 0, .what = "the input ends inside a value"});
  if (size > needed) return fail(errc::trailing_bytes, {.needed = needed, .available = size, .what = "the input goes on after the value"});
  return fail(errc::invalid_value, {.offset = 0, .what = "a bool, padding byte or other field has bits that no value sets"});
}

}  // namespace detail

/// The bytes that encode_into needs for `value`.
///
/// Complexity: linear in the parts of variable size; never allocates (but see codec<T>).
template <class T>
[[nodiscard]] std::size_t encoded_size(const T& value) {
  detail::encode_state state;
  return detail::measure(0, detail::planner<false>{&state, detail::max_encode_depth}, value);
}

/// Writes `value` to the beginning of `target`; returns the bytes written, encoded_size(value). Bytes past them are untouched.
///
/// Errors:     buffer_too_small (both sizes), size_overflow for a container of 2^32 - 1 elements or more, invalid_value for a variant without
///             a value, limit_exceeded for a value nested 1,000 deep; the target then holds unspecified bytes.
/// Lifetime:   borrows nothing after it returns.
/// Complexity: one pass, one bounds check per run of fixed-size fields; never allocates.
template <class T>
[[nodiscard]] result<std::size_t> encode_into(const T& value, bytes_span target) {
  if constexpr (detail::whole<T>) {  // nothing but a copy: no state to set up
    if (target.size() >= sizeof(T)) [[likely]] {
      detail::store_fixed(target.data(), value);
      return sizeof(T);
    }
  }
  detail::encode_state state;
  std::byte nothing{};
  std::byte* const begin = target.data() != nullptr ? target.data() : &nothing;  // a null position would stand for an error
  const detail::writer<false> out{begin, begin + target.size(), &state, detail::max_encode_depth};
  const std::byte* const end = detail::put(begin, out, value);
  if (end == nullptr) [[unlikely]] {
    if (state.failed.code() != errc::buffer_too_small) return fail(state.failed);
    return detail::target_too_small(state, detail::missed_size(value), target.size());
  }
  return static_cast<std::size_t>(end - begin);
}

/// Reads a T from `source`, which must hold exactly one.
///
/// Errors:     truncated, trailing_bytes, invalid_value, not_canonical, misaligned (views), limit_exceeded, size_overflow (a tensor whose shape has
///             more items than can be counted), no_memory (std::bad_alloc and std::length_error of containers; other exceptions of user types
///             pass through).
/// Lifetime:   a T with views (std::string_view, std::span, tensor_view) borrows `source`; a temporary one is rejected at compile time.
/// Complexity: one pass. Memory: within a factor that follows from T alone of source.size() (see decode_limits), checked before it is allocated. The T is
///             returned by value, so one with megabytes in std::array lies on the stack: decode_into reads into one that lies elsewhere.
template <class T>
[[nodiscard]] result<T> decode_from(bytes_view source, const decode_limits& limits = {}) {
  if constexpr (detail::whole<T> && std::is_trivially_default_constructible_v<T>) {
    if (detail::layout_matches<T>()) [[likely]] {
      T value;
      if (source.size() == sizeof(T) && detail::copy_whole(source.data(), value)) [[likely]]
        return value;
      return detail::not_whole(sizeof(T), source.size());
    }
  }
  detail::decode_state state{.limits = limits};
  return detail::new_value<T>(state, source);
}

/// As decode_from, into an existing object: what it has allocated is used again. On error `value` is valid but unspecified.
template <class T>
[[nodiscard]] result<void> decode_into(T& value, bytes_view source, const decode_limits& limits = {}) {
  if constexpr (detail::whole<T>) {
    if (detail::layout_matches<T>()) [[likely]] {
      if (source.size() == sizeof(T) && detail::load_whole(source.data(), value)) [[likely]]
        return {};
      return detail::not_whole(sizeof(T), source.size());
    }
  }
  detail::decode_state state{.limits = limits};
  if (!detail::decode_whole(value, source, state)) [[unlikely]]
    return fail(state.failed);
  return {};
}

template <class T, class Source>
  requires(detail::borrows<T> && detail::owning_temporary<Source> && std::convertible_to<Source, bytes_view>)
result<T> decode_from(Source&&, const decode_limits& = {}) = delete;  // lading: the views in T would outlive the temporary that they borrow

template <class T, class Source>
  requires(detail::borrows<T> && detail::owning_temporary<Source> && std::convertible_to<Source, bytes_view>)
result<void> decode_into(T&, Source&&, const decode_limits& = {}) = delete;  // lading: the views in T would outlive the temporary that they borrow

}  // namespace lading
