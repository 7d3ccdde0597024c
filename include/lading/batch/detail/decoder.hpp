// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <lading/batch/detail/sharing.hpp>
#include <lading/batch/options.hpp>
#include <lading/codec/decode.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/checked.hpp>
#include <lading/core/result.hpp>
#include <lading/pack/pack.hpp>
#include <lading/pack/unpack.hpp>

namespace lading::detail {

/// Packed buffers of any range, so that decoding is compiled once for each type and layout.
struct buffer_list {
  const void* range = nullptr;
  bytes_view (*at)(const void* range, std::size_t index) = nullptr;
  std::size_t count = 0;
};

/// The std::vector that values of any type are decoded into, so that all but their own decoding is compiled once for each layout.
struct value_list {
  void* values = nullptr;
  void (*reserve)(void* values, std::size_t count) = nullptr;
  void (*resize)(void* values, std::size_t count) = nullptr;
  bool (*append)(void* values, decode_state& state) = nullptr;  ///< decodes one more
  bool (*set)(void* values, std::size_t index, decode_state& state) = nullptr;
  std::uint64_t schema = 0;
  std::size_t least_size = 0;  ///< of a value's head, in bytes
  bool borrows = false;
  bool by_one_thread = false;  ///< bits of a std::vector<bool> cannot be written by several
};

/// The steps of batch_decode_from.
template <packed_layout Layout>
class batch_decoder {
 public:
  batch_decoder(const buffer_list& buffers, const value_list& values, const batch_options& options)
      : buffers_(buffers),
        values_(values),
        limits_(options.limits),
        unpack_{.verify_checksum = options.verify_checksum, .strict = options.strict, .expected_schema = Layout::has_schema ? values.schema : 0},
        count_(buffers.count) {}

  [[nodiscard]] result<void> decode(const batch_options& options) {
    // A buffer too short for any T ends the batch before memory is set aside for those behind it.
    const std::size_t least_size = Layout::header_size + Layout::entry_size + values_.least_size;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const std::size_t size = buffer_at(i).size();
      if (!checked_add(bytes, size, bytes)) bytes = PTRDIFF_MAX;  // buffers may share memory
      if (size < least_size) count_ = i + 1;
    }
    // Views that are not verified take time for their structure alone.
    const bool touches_all = !values_.borrows || (Layout::has_checksum && unpack_.verify_checksum);
    const work_sharing sharing(options, touches_all ? bytes : count_ * decoding_cost);
    if (!sharing.alone() && !values_.by_one_thread) return decode_shared(sharing);
    std::uint64_t item = 0;
    return guarded_item(item, [&]() -> result<void> {
      values_.reserve(values_.values, count_);
      unpacked items = unpacker::none();
      for (std::size_t i = 0; i < count_; ++i) {
        item = i;
        if (const auto fine = unpack_one(i, items); !fine) [[unlikely]]
          return fine;
        decode_state state = state_for(items, limits_);
        if (!values_.append(values_.values, state)) [[unlikely]]
          return fail(state.failed.with_item(i));
      }
      return {};
    });
  }

 private:
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

  [[nodiscard]] result<void> unpack_one(std::size_t index, unpacked& items) const {
    if (const auto fine = unpacker::unpack<Layout>(buffer_at(index), unpack_, items); !fine) [[unlikely]]
      return fail(fine.error().with_item(index));
    return {};
  }

  [[nodiscard]] result<void> set_one(std::size_t index, const unpacked& items) const {
    decode_state state = state_for(items, limits_);
    if (!values_.set(values_.values, index, state)) [[unlikely]]
      return fail(state.failed.with_item(index));
    return {};
  }

  [[nodiscard]] result<void> decode_shared(const work_sharing& sharing) {
    return guarded_item(no_item, [&]() -> result<void> {
      result<void> verified = verify_large(sharing);
      if (!verified) count_ = static_cast<std::size_t>(verified.error().details().item);  // an object before it may fail as well
      values_.resize(values_.values, count_);
      const std::vector<piece> pieces = cut(sharing);
      const auto done = sharing.run(pieces.size(), [&](std::size_t index) -> result<void> {
        const piece& todo = pieces[index];
        std::uint64_t item = todo.first;
        return guarded_item(item, [&]() -> result<void> {
          if (todo.large != nullptr) {
            unpacker::view_payloads<Layout>(buffer_at(todo.first), todo.large->buffer, todo.large->items);
            return set_one(todo.first, todo.large->items);
          }
          unpacked items = unpacker::none();
          for (std::size_t i = todo.first; i < todo.last; ++i) {
            item = i;
            if (auto one = unpack_one(i, items); !one) return one;
            if (auto one = set_one(i, items); !one) return one;
          }
          return {};
        });
      });
      if (!done) return done;
      return verified;
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
    const bool by_count = values_.borrows && !unpack_.verify_checksum;
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

  const buffer_list& buffers_;
  const value_list& values_;
  decode_limits limits_;
  unpack_options unpack_;
  std::size_t count_;
  std::vector<large_buffer> large_;
};

}  // namespace lading::detail
