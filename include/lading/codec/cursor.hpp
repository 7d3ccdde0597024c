// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <lading/codec/options.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/config.hpp>
#include <lading/core/limits.hpp>
#include <lading/core/result.hpp>

// Writing and reading pass a position by value and return the next one, nullptr after an error: positions then live in registers. What is needed
// only after an error, or once per value, is behind a pointer.

namespace lading::detail {

/// The count that stands for "the elements are the next frame".
inline constexpr std::uint32_t out_of_band_mark = 0xffffffffU;
/// The largest count in a stream.
inline constexpr std::size_t max_count = 0xfffffffeU;
/// How deep a value may nest when it is encoded; bounds the stack.
inline constexpr unsigned max_encode_depth = 1000;

/// One out-of-band payload, borrowed from the value: contiguous bytes, or a source that copies any range of them.
struct payload {
  const std::byte* data = nullptr;  ///< null where it has to be gathered
  std::size_t size = 0;
  const void* source = nullptr;
  void (*gather)(const void* source, std::byte* target, std::size_t begin, std::size_t end) = nullptr;
  bytes_view (*span_of)(const void* source) = nullptr;  ///< from the lowest to the highest byte that gather reads

  [[nodiscard]] bool contiguous() const noexcept { return gather == nullptr; }
};

// Errors are noted out of line by functions that return nothing, and `return nullptr` stays where the compiler sees it.

struct encode_state {
  encode_options options{};
  std::vector<payload>* payloads = nullptr;  ///< where planning puts them; null while writing
  error failed{errc::invalid_value};
  bool has_failed = false;

  LADING_COLD void fail(errc code, const error_details& details) noexcept {
    if (!has_failed) failed = error(code, details);
    has_failed = true;
  }
  LADING_COLD void full(std::ptrdiff_t offset) noexcept { fail(errc::buffer_too_small, {.offset = static_cast<std::uint64_t>(offset)}); }
};

/// Where a value is being written. Framed: large arrays are left to frames of their own.
template <bool Framed>
struct writer {
  static constexpr bool framed = Framed;

  std::byte* begin;
  std::byte* end;
  encode_state* state;
  unsigned depth;

  [[nodiscard]] LADING_ALWAYS_INLINE std::size_t room(const std::byte* at) const noexcept { return static_cast<std::size_t>(end - at); }

  /// The target ends here. encode_into adds both sizes.
  [[nodiscard]] LADING_ALWAYS_INLINE std::byte* full(const std::byte* at) const noexcept {
    state->full(at - begin);
    return nullptr;
  }
  [[nodiscard]] LADING_ALWAYS_INLINE std::byte* fail(errc code, const error_details& details) const noexcept {
    state->fail(code, details);
    return nullptr;
  }
  /// The same without frames: for representations that do not outlive the call.
  [[nodiscard]] LADING_ALWAYS_INLINE writer<false> unframed() const noexcept { return {begin, end, state, depth}; }
  [[nodiscard]] LADING_ALWAYS_INLINE writer deeper() const noexcept { return {begin, end, state, depth - 1}; }
};

/// The same walk without writing: counts the bytes of the stream or head and collects the payloads.
template <bool Framed>
struct planner {
  static constexpr bool framed = Framed;

  encode_state* state;
  unsigned depth;

  LADING_COLD void fail(errc code, const error_details& details) const noexcept { state->fail(code, details); }
  [[nodiscard]] LADING_ALWAYS_INLINE planner<false> unframed() const noexcept { return {state, depth}; }
  [[nodiscard]] LADING_ALWAYS_INLINE planner deeper() const noexcept { return {state, depth - 1}; }
};

struct decode_state {
  decode_limits limits{};
  const void* frames = nullptr;  ///< the range of frames, head included; null for a bare stream
  bytes_view (*frame_at)(const void* frames, std::size_t index) = nullptr;
  std::size_t frame_count = 0;
  std::size_t next_frame = 1;
  std::size_t empty_elements = 0;  ///< that took no bytes, so far
  error failed{errc::invalid_value};
  bool has_failed = false;

  LADING_COLD void fail(errc code, const error_details& details) noexcept {
    if (!has_failed) failed = error(code, details);
    has_failed = true;
  }
  LADING_COLD void fail(const error& cause) noexcept {
    if (!has_failed) failed = cause;
    has_failed = true;
  }
  LADING_COLD void fail_at(errc code, std::uint64_t offset, const char* what) noexcept { fail(code, {.offset = offset, .what = what}); }
  LADING_COLD void truncated(std::uint64_t needed, std::uint64_t available, std::uint64_t offset) noexcept {
    fail(errc::truncated, {.needed = needed, .available = available, .offset = offset, .what = "the input ends inside a value"});
  }
  LADING_COLD void too_deep(std::uint64_t offset) noexcept {
    fail(errc::limit_exceeded, {.available = limits.max_depth, .offset = offset, .what = "nested deeper than decode_limits::max_depth"});
  }
};

/// Where a value is being read from.
struct reader {
  const std::byte* begin;
  const std::byte* end;
  decode_state* state;
  std::size_t depth;

  [[nodiscard]] LADING_ALWAYS_INLINE std::size_t left(const std::byte* at) const noexcept { return static_cast<std::size_t>(end - at); }
  [[nodiscard]] LADING_ALWAYS_INLINE reader deeper() const noexcept { return {begin, end, state, depth - 1}; }

  [[nodiscard]] LADING_ALWAYS_INLINE const std::byte* truncated(const std::byte* at, std::uint64_t needed) const noexcept {
    state->truncated(needed, left(at), offset(at));
    return nullptr;
  }
  [[nodiscard]] LADING_ALWAYS_INLINE const std::byte* fail(errc code, const std::byte* at, const char* what) const noexcept {
    state->fail_at(code, offset(at), what);
    return nullptr;
  }
  [[nodiscard]] LADING_ALWAYS_INLINE const std::byte* too_deep(const std::byte* at) const noexcept {
    state->too_deep(offset(at));
    return nullptr;
  }
  [[nodiscard]] std::uint64_t offset(const std::byte* at) const noexcept { return static_cast<std::uint64_t>(at - begin); }

  /// Takes the next frame; false, and the error is set, where there is none.
  [[nodiscard]] LADING_NOINLINE bool take_frame(const std::byte* at, bytes_view& frame) const {
    if (state->next_frame >= state->frame_count) {
      state->fail(errc::truncated, {.needed = state->next_frame + 1,
                                    .available = state->frame_count,
                                    .offset = offset(at),
                                    .what = state->frames == nullptr ? "the stream refers to a frame; decode it with decode()" : "too few frames"});
      return false;
    }
    frame = state->frame_at(state->frames, state->next_frame++);
    return true;
  }
};

}  // namespace lading::detail
