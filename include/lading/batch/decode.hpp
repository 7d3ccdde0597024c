// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <vector>

#include <lading/batch/detail/decoder.hpp>
#include <lading/batch/options.hpp>
#include <lading/codec/decode.hpp>
#include <lading/codec/schema.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>
#include <lading/pack/unpack.hpp>

// Many packed buffers and as many values.

namespace lading {

namespace detail {

/// Empty vectors of T, as the decoder fills them.
template <class T>
[[nodiscard]] value_list list_of(std::vector<T>& values) {
  using list = std::vector<T>;
  return {.values = &values,
          .reserve = [](void* into, std::size_t count) { static_cast<list*>(into)->reserve(count); },
          .resize = [](void* into, std::size_t count) { static_cast<list*>(into)->resize(count); },
          .append =
              [](void* into, decode_state& state) {
                if constexpr (std::is_same_v<T, bool>) {
                  bool value = false;
                  const bool done = decode_frames(value, state);
                  static_cast<list*>(into)->push_back(value);
                  return done;
                } else {
                  return decode_frames(static_cast<list*>(into)->emplace_back(), state);
                }
              },
          .set =
              [](void* into, std::size_t index, decode_state& state) {
                if constexpr (std::is_same_v<T, bool>)
                  return false;
                else
                  return decode_frames((*static_cast<list*>(into))[index], state);
              },
          .schema = schema_of<T>(),
          .least_size = min_wire_size<T>(),
          .borrows = borrows<T>,
          .by_one_thread = std::is_same_v<T, bool>};
}

template <class T, class Layout>
[[nodiscard]] result<std::vector<T>> decode_batch(const buffer_list& buffers, const batch_options& options) {
  static_assert(packed_layout<Layout>, "lading: the layout does not satisfy packed_layout; layout::aligned is one to copy");
  static_assert(
      std::default_initializable<T>,
      "lading: a batch is decoded into a vector of Ts made first, so T needs a default constructor: add one, or decode each buffer by itself");
  result<std::vector<T>> values;
  if constexpr (std::default_initializable<T>) {
    const value_list list = list_of(*values);
    if (const auto done = batch_decoder<Layout>(buffers, list, options).decode(options); !done) values = fail(done.error());
  }
  return values;
}

}  // namespace detail

/// Unpacks every buffer and decodes a T from it. Each element of `buffers` is exactly one packed buffer.
///
/// Errors:     of the first buffer that fails, with its index as item: as unpack_from and decode; schema_mismatch where the layout records
///             the type and it was another; no_memory and invalid_value for an exception of T's. The same for any number of workers.
/// Lifetime:   a T with views borrows the buffers' bytes, not the range itself; a temporary that owns the bytes is rejected at compile time.
/// Threads:    options.num_workers threads make T's at once. May itself run in a task of the same pool.
/// Complexity: one pass over the bytes that are verified or owned; constant allocations a batch besides those of the T's.
template <class T, class Layout = layout::aligned, class Buffers>
  requires frame_range<Buffers>
[[nodiscard]] result<std::vector<T>> batch_decode_from(const Buffers& buffers, const batch_options& options = {}) {
  const auto at = [](const void* range, std::size_t index) { return detail::frame_of(*static_cast<const Buffers*>(range), index); };
  return detail::decode_batch<T, Layout>({&buffers, at, std::size(buffers)}, options);
}

/// The same for what batch_encode_into returned.
///
/// Errors:   also invalid_argument where `batch` has not a size for each buffer, or one that the buffer does not have.
/// Lifetime: a T with views borrows the slots.
template <class T, class Layout = layout::aligned>
[[nodiscard]] result<std::vector<T>> batch_decode_from(const packed_batch& batch, const batch_options& options = {}) {
  if (batch.buffers.size() != batch.sizes.size()) {
    return fail(errc::invalid_argument,
                {.needed = batch.buffers.size(), .available = batch.sizes.size(), .what = "a batch has one size for each buffer"});
  }
  for (std::size_t i = 0; i < batch.sizes.size(); ++i) {
    if (batch.sizes[i] > batch.buffers[i].size()) {
      return fail(errc::invalid_argument,
                  {.needed = batch.sizes[i], .available = batch.buffers[i].size(), .item = i, .what = "a buffer is shorter than its size"});
    }
  }
  const auto at = [](const void* range, std::size_t index) -> bytes_view {
    const auto& exact = *static_cast<const packed_batch*>(range);
    return exact.buffers[index].first(exact.sizes[index]);
  };
  return detail::decode_batch<T, Layout>({&batch, at, batch.buffers.size()}, options);
}

template <class T, class Layout = layout::aligned, class Buffers>
  requires(detail::borrows<T> && detail::owning_temporary<Buffers> && frame_range<Buffers> && !detail::lists_views<Buffers>)
result<std::vector<T>> batch_decode_from(Buffers&&, const batch_options& = {}) = delete;  // lading: the views in T would outlive the temporary

}  // namespace lading
