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

template <class T>
LADING_COLD failure encode_failure(const encode_state& state, const T& value, std::size_t available);

/// Runs a read; an allocation that fails becomes no_memory.
template <class Read>
[[nodiscard]] LADING_ALWAYS_INLINE bool guarded(decode_state& state, Read&& read) {
  LADING_TRY { return read(); }
  LADING_CATCH_BAD_ALLOC(state.fail(errc::no_memory, {.what = "a container could not allocate"}))
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

/// Reads `value` from a whole stream or head.
template <class T>
[[nodiscard]] LADING_ALWAYS_INLINE bool decode_whole(T& value, bytes_view source, decode_state& state) {
  const reader in{source.data(), source.data() + source.size(), &state, state.limits.max_depth};
  if (!is_aligned<borrowed_align<T>>(source.data())) [[unlikely]] {
    state.fail(errc::misaligned, {.needed = borrowed_align<T>, .offset = 0, .what = misaligned_view});
    return false;
  }
  return guarded(state, [&]() LADING_FLATTEN_LAMBDA { return consumed(get(source.data(), in, value), in); });
}

/// Whether `source` is the bytes of one T that is copied whole.
template <class T>
[[nodiscard]] LADING_ALWAYS_INLINE bool holds_one(bytes_view source) noexcept {
  return source.size() == sizeof(T) && all_valid<T>(source.data());
}

/// The error for which holds_one was false.
template <class T>
[[nodiscard]] LADING_COLD error why_not(bytes_view source, const decode_limits& limits) {
  if (source.size() < sizeof(T))
    return error(errc::truncated, {.needed = sizeof(T), .available = source.size(), .offset = 0, .what = "the input ends inside a value"});
  decode_state state{.limits = limits};
  if (source.size() > sizeof(T))
    state.fail(errc::trailing_bytes, {.needed = sizeof(T), .available = source.size(), .what = "the input goes on after the value"});
  else
    state.fail_at(errc::invalid_value, 0, "a bool, padding byte or other field has bits that no value sets");
  return state.failed;
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
  if (end == nullptr) [[unlikely]]
    return detail::encode_failure(state, value, target.size());
  return static_cast<std::size_t>(end - begin);
}

/// Reads a T from `source`, which must hold exactly one.
///
/// Errors:     truncated, trailing_bytes, invalid_value, not_canonical, misaligned (views), limit_exceeded, no_memory (std::bad_alloc and
///             std::length_error of containers; other exceptions of user types pass through).
/// Lifetime:   a T with views (std::string_view, std::span, tensor_view) borrows `source`; a temporary one is rejected at compile time.
/// Complexity: one pass. Memory: within a factor that follows from T alone of source.size(), checked before it is allocated.
template <class T>
[[nodiscard]] result<T> decode_from(bytes_view source, const decode_limits& limits = {}) {
  if constexpr (detail::whole<T> && std::is_trivially_default_constructible_v<T>) {
    if (detail::layout_matches<T>()) [[likely]] {
      if (detail::holds_one<T>(source)) [[likely]]
        return detail::copy_whole<T>(source.data());
      return fail(detail::why_not<T>(source, limits));
    }
  }
  detail::decode_state state{.limits = limits};
  if constexpr (std::default_initializable<T>) {
    result<T> decoded{T{}};
    if (!detail::decode_whole(*decoded, source, state)) [[unlikely]]
      decoded = fail(state.failed);
    return decoded;
  } else {
    result<T> decoded = fail(errc::invalid_value);
    const detail::reader in{source.data(), source.data() + source.size(), &state, limits.max_depth};
    const bool done = detail::guarded(state, [&] {
      return detail::consumed(detail::get_new<T>(source.data(), in, [&](T&& made) { return decoded = std::move(made), true; }), in);
    });
    if (!done) return fail(state.failed);
    return decoded;
  }
}

/// As decode_from, into an existing object: what it has allocated is used again. On error `value` is valid but unspecified.
template <class T>
[[nodiscard]] result<void> decode_into(T& value, bytes_view source, const decode_limits& limits = {}) {
  if constexpr (detail::whole<T>) {
    if (detail::layout_matches<T>()) [[likely]] {
      if (!detail::holds_one<T>(source)) [[unlikely]]
        return fail(detail::why_not<T>(source, limits));
      // Safety: whole implies trivially copyable, and the bytes have been checked.
      std::memcpy(static_cast<void*>(&value), source.data(), sizeof(T));
      return {};
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

template <class T>
failure detail::encode_failure(const encode_state& state, const T& value, std::size_t available) {
  if (state.failed.code() != errc::buffer_too_small) return failure(state.failed);
  return fail(errc::buffer_too_small, {.needed = encoded_size(value),
                                       .available = available,
                                       .offset = state.failed.details().offset,
                                       .what = "pass a target of encoded_size(value) bytes"});
}

}  // namespace lading
