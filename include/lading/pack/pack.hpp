// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>
#include <lading/memory/copy.hpp>
#include <lading/pack/aligned.hpp>
#include <lading/pack/checksum.hpp>
#include <lading/pack/layout.hpp>

namespace lading {

namespace detail {

template <frame_range Items>
[[nodiscard]] LADING_ALWAYS_INLINE bytes_view frame_of(const Items& items, std::size_t index) {
  return static_cast<bytes_view>(std::begin(items)[static_cast<std::ptrdiff_t>(index)]);
}

LADING_COLD inline failure packed_size_overflow(std::uint64_t size, std::uint64_t limit, std::uint64_t item) {
  return fail(errc::size_overflow, {.needed = size,
                                    .available = limit,
                                    .item = item,
                                    .what = "the buffer would outgrow the layout: pack fewer items, or in a layout with larger fields"});
}

/// A range that gives an item another size when it is asked again would have the writer leave the target.
LADING_COLD inline failure size_changed(std::uint64_t item) {
  return fail(errc::invalid_argument, {.item = item, .what = "an item changed its size while it was being packed"});
}

/// Whether two ranges share a byte. Compared as numbers, because pointers into different objects have no order.
[[nodiscard]] inline bool ranges_overlap(const std::byte* left, std::size_t left_size, const std::byte* right, std::size_t right_size) noexcept {
  // Safety: nothing is accessed through the addresses.
  const auto a = reinterpret_cast<std::uintptr_t>(left), b = reinterpret_cast<std::uintptr_t>(right);
  return a < b ? b - a < left_size && right_size != 0 : a - b < right_size && left_size != 0;
}

/// What every writer checks before the first byte: that the target holds `size` bytes and that no item lies in them.
template <frame_range Items>
[[nodiscard]] result<void> check_target(bytes_span target, const Items& items, std::size_t size) {
  if (target.size() < size) {
    return fail(errc::buffer_too_small, {.needed = size, .available = target.size(), .what = "pass a target of calc_packed_size(items) bytes"});
  }
  const std::size_t count = std::size(items);
  for (std::size_t i = 0; i < count; ++i) {
    const bytes_view item = frame_of(items, i);
    if (ranges_overlap(item.data(), item.size(), target.data(), size)) {
      return fail(errc::invalid_argument, {.item = i, .what = "an item lies inside the target: pack into other memory"});
    }
  }
  return {};
}

/// Payloads of buffers from this size on are written past the caches ...
inline constexpr std::size_t streaming_pack_size = streaming_threshold;
/// ... where they are at least this large.
inline constexpr std::size_t streaming_payload_size = std::size_t{4} << 10;

[[nodiscard]] constexpr copy_mode pack_copy_mode(std::size_t packed_size, std::size_t payload_size) noexcept {
  return packed_size >= streaming_pack_size && payload_size >= streaming_payload_size ? copy_mode::streaming : copy_mode::cached;
}

}  // namespace detail

/// The bytes that pack_into would write.
///
/// Errors: size_overflow, naming the item that no longer fits.
template <packed_layout Layout = layout::aligned, frame_range Items>
[[nodiscard]] result<std::size_t> calc_packed_size(const Items& items) {
  const std::size_t count = std::size(items);
  using cursor_type = payload_cursor<Layout>;
  if (!cursor_type::fits(count)) return detail::packed_size_overflow(count, cursor_type::limit / Layout::entry_size, error_details::unset);
  cursor_type cursor(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t size = detail::frame_of(items, i).size();
    std::size_t offset;
    if (!cursor.place(size, offset)) return detail::packed_size_overflow(size, cursor_type::limit - cursor.end(), i);
  }
  return cursor.end();
}

/// Copies `items` and their table into `target`; returns the bytes written, calc_packed_size(items). What lies behind them stays as it is.
///
/// Errors:     buffer_too_small (with both sizes), size_overflow, invalid_argument for an item that overlaps the bytes to be written;
///             then nothing has been written. (Also invalid_argument, later, where an item changes its size meanwhile.)
/// Lifetime:   borrows nothing after it returns.
/// Complexity: one pass over the payloads; never allocates.
template <packed_layout Layout = layout::aligned, frame_range Items>
[[nodiscard]] result<std::size_t> pack_into(bytes_span target, const Items& items, const pack_options& options = {}) {
  const auto packed_size = calc_packed_size<Layout>(items);
  if (!packed_size) return packed_size;
  if (const auto fine = detail::check_target(target, items, *packed_size); !fine) return fail(fine.error());

  const std::size_t count = std::size(items);
  const bool checked = Layout::has_checksum && options.checksum;
  std::byte* const base = target.data();
  std::byte* entry_place = base + Layout::header_size;
  payload_cursor<Layout> cursor(count);
  for (std::size_t i = 0; i < count; ++i) {
    const bytes_view item = detail::frame_of(items, i);
    const std::size_t gap = cursor.end();
    std::size_t offset = 0;
    if (!cursor.place(item.size(), offset) || cursor.end() > *packed_size) [[unlikely]]
      return detail::size_changed(i);
    if (offset != gap) std::memset(base + gap, 0, offset - gap);
    const copy_mode mode = detail::pack_copy_mode(*packed_size, item.size());
    std::uint64_t hash = 0;
    if (checked) {
      hash = copy_with_checksum(base + offset, item.data(), item.size(), mode);
    } else {
      copy_bytes(base + offset, item.data(), item.size(), mode);
    }
    Layout::write_entry(entry_place, {offset, item.size(), hash});
    entry_place += Layout::entry_size;
  }
  if (cursor.end() != *packed_size) [[unlikely]]
    return detail::size_changed(count - 1);
  Layout::write_header(base, {.count = count, .size = *packed_size, .schema = Layout::has_schema ? options.schema : 0, .checked = checked});
  return packed_size;
}

}  // namespace lading
