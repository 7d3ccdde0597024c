// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <lading/batch/detail/sharing.hpp>
#include <lading/batch/options.hpp>
#include <lading/codec/decode.hpp>
#include <lading/codec/schema.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>
#include <lading/pack/pack.hpp>
#include <lading/pack/unpack.hpp>

// Many packed buffers and as many values.

namespace lading {

namespace detail {

/// Packed buffers of any range, so that decoding is compiled once for each type and layout.
struct buffer_list {
  const void* range = nullptr;
  bytes_view (*at)(const void* range, std::size_t index) = nullptr;
  std::size_t count = 0;
};

/// The steps of batch_decode_from.
template <class T, packed_layout Layout>
class batch_decoder {
 public:
  batch_decoder(const buffer_list& buffers, const batch_options& options)
      : buffers_(buffers),
        limits_(options.limits),
        unpack_{.verify_checksum = options.verify_checksum, .strict = options.strict, .expected_schema = Layout::has_schema ? schema_of<T>() : 0},
        count_(buffers.count) {}

  [[nodiscard]] result<std::vector<T>> decode(const batch_options& options) {
    // A buffer too short for any T ends the batch before memory is set aside for those behind it.
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const std::size_t size = buffer_at(i).size();
      if (!checked_add(bytes, size, bytes)) bytes = PTRDIFF_MAX;  // buffers may share memory
      if (size < least_size) count_ = i + 1;
    }
    // Views that are not verified take time for their structure alone.
    const bool touches_all = !borrows<T> || (Layout::has_checksum && unpack_.verify_checksum);
    const work_sharing sharing(options, touches_all ? bytes : count_ * decoding_cost);
    if constexpr (!std::is_same_v<T, bool>) {  // bits of a std::vector<bool> cannot be written by several threads
      if (!sharing.alone()) return decode_shared(sharing);
    }
    std::uint64_t item = 0;
    return guarded_item(item, [&]() -> result<std::vector<T>> {
      result<std::vector<T>> values;
      values->reserve(count_);
      unpacked items = unpacker::none();
      for (std::size_t i = 0; i < count_; ++i) {
        item = i;
        if constexpr (std::is_same_v<T, bool>) {
          bool value = false;
          if (const auto done = decode_one(i, value, items); !done) return fail(done.error());
          values->push_back(value);
        } else {
          if (const auto done = decode_one(i, values->emplace_back(), items); !done) return fail(done.error());
        }
      }
      return values;
    });
  }

 private:
  static constexpr std::size_t least_size = Layout::header_size + Layout::entry_size + min_wire_size<T>();
  static constexpr std::size_t decoding_cost = 512;  ///< bytes that could be copied while one object's structure is read

  /// A buffer whose payloads are verified by several threads.
  struct large_buffer {
    std::size_t index = 0;
    unpacked items = unpacker::none();
    unpacker::opened buffer{};
  };
  /// What one thread does at a time: objects, or the verification of payloads of a large one.
  struct piece {
    std::size_t first = 0;
    std::size_t last = 0;
    large_buffer* large = nullptr;
  };

  [[nodiscard]] bytes_view buffer_at(std::size_t index) const { return buffers_.at(buffers_.range, index); }

  [[nodiscard]] result<void> decode_one(std::size_t index, T& value, unpacked& items) const {
    if (const auto fine = unpacker::unpack<Layout>(buffer_at(index), unpack_, items); !fine) [[unlikely]]
      return fail(fine.error().with_item(index));
    return decode_items(index, value, items);
  }

  [[nodiscard]] result<void> decode_items(std::size_t index, T& value, const unpacked& items) const {
    decode_state state = state_for(items, limits_);
    if (!decode_frames(value, state)) [[unlikely]]
      return fail(state.failed.with_item(index));
    return {};
  }

  [[nodiscard]] result<std::vector<T>> decode_shared(const work_sharing& sharing) {
    return guarded_item(no_item, [&]() -> result<std::vector<T>> {
      result<void> verified = verify_large(sharing);
      if (!verified) count_ = static_cast<std::size_t>(verified.error().details().item);  // an object before it may fail as well
      std::vector<T> values(count_);
      const std::vector<piece> pieces = cut(sharing);
      const auto done = sharing.run(pieces.size(), [&](std::size_t index) -> result<void> {
        const piece& todo = pieces[index];
        std::uint64_t item = todo.first;
        return guarded_item(item, [&]() -> result<void> {
          if (todo.large != nullptr) {
            unpacker::view_payloads<Layout>(buffer_at(todo.first), todo.large->buffer, todo.large->items);
            return decode_items(todo.first, values[todo.first], todo.large->items);
          }
          unpacked items = unpacker::none();
          for (std::size_t i = todo.first; i < todo.last; ++i) {
            item = i;
            if (auto one = decode_one(i, values[i], items); !one) return one;
          }
          return {};
        });
      });
      if (!done) return fail(done.error());
      if (!verified) return fail(verified.error());
      return values;
    });
  }

  [[nodiscard]] bool is_large(std::size_t index, const work_sharing& sharing) const {
    return Layout::has_checksum && unpack_.verify_checksum && buffer_at(index).size() > 2 * sharing.piece();
  }

  /// Opens the large buffers and shares out their payloads.
  [[nodiscard]] result<void> verify_large(const work_sharing& sharing) {
    std::size_t larges = 0;
    for (std::size_t i = 0; i < count_; ++i)
      if (is_large(i, sharing)) ++larges;
    if (larges == 0) return {};
    large_.reserve(larges);
    result<void> opened_all;
    std::vector<piece> pieces;
    for (std::size_t i = 0; i < count_ && opened_all; ++i) {
      if (!is_large(i, sharing)) continue;
      large_buffer& large = large_.emplace_back();
      large.index = i;
      const auto opened = unpacker::open<Layout>(buffer_at(i), unpack_, large.items);
      if (!opened) {
        opened_all = fail(opened.error().with_item(i));
        break;
      }
      large.buffer = *opened;
      std::size_t taken = 0;
      for (std::size_t payload = 0; payload < large.buffer.header.count; ++payload) {
        packed_entry entry;
        (void)Layout::read_entry(large.buffer.table + payload * Layout::entry_size, entry);
        if (payload == 0 || taken + entry.size > sharing.piece()) {
          pieces.push_back({.first = payload, .large = &large});
          taken = 0;
        }
        pieces.back().last = payload + 1;
        taken += static_cast<std::size_t>(entry.size);
      }
    }
    auto verified = sharing.run(pieces.size(), [&](std::size_t index) -> result<void> {
      const piece& todo = pieces[index];
      auto fine = unpacker::verify_payloads<Layout>(buffer_at(todo.large->index), todo.large->buffer, todo.first, todo.last);
      if (!fine) return fail(fine.error().with_item(todo.large->index));
      return fine;
    });
    if (!verified) return verified;
    return opened_all;
  }

  /// Cuts the objects into pieces of about as many bytes each; a large one is a piece.
  [[nodiscard]] std::vector<piece> cut(const work_sharing& sharing) {
    std::vector<piece> pieces;
    const bool by_count = borrows<T> && !unpack_.verify_checksum;
    std::size_t taken = 0;
    std::size_t next_large = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const bool large = next_large < large_.size() && large_[next_large].index == i;
      const std::size_t cost = by_count ? decoding_cost : buffer_at(i).size();
      if (large || taken == 0 || taken + cost > sharing.piece() + sharing.piece() / 2) {
        pieces.push_back({.first = i});
        taken = 0;
      }
      pieces.back().last = i + 1;
      taken += cost;
      if (large) {
        pieces.back().large = &large_[next_large++];
        taken = 0;
      }
    }
    return pieces;
  }

  static constexpr std::uint64_t no_item = error_details::unset;

  buffer_list buffers_;
  decode_limits limits_;
  unpack_options unpack_;
  std::size_t count_;
  std::vector<large_buffer> large_;
};

template <class T, class Layout>
[[nodiscard]] result<std::vector<T>> decode_batch(const buffer_list& buffers, const batch_options& options) {
  static_assert(packed_layout<Layout>, "lading: the layout does not satisfy packed_layout; layout::aligned is one to copy");
  static_assert(
      std::default_initializable<T>,
      "lading: a batch is decoded into a vector of Ts made first, so T needs a default constructor: add one, or decode each buffer by itself");
  if constexpr (std::default_initializable<T>) return batch_decoder<T, Layout>(buffers, options).decode(options);
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
