// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <lading/core/bytes.hpp>
#include <lading/core/checked.hpp>
#include <lading/core/result.hpp>

namespace lading {

/// How packed buffers are written.
struct pack_options {
  bool checksum = true;      ///< hash header, table and every payload; a layout without checksums ignores it
  std::uint64_t schema = 0;  ///< fingerprint of the packed type, 0 = untyped; a layout without a schema ignores it
};

/// How packed buffers are read.
struct unpack_options {
  bool verify_checksum = true;        ///< hash the payloads too; header and table are always verified where they carry a checksum
  bool strict = true;                 ///< accept only what pack_into writes; a layout may know no other way
  std::uint64_t expected_schema = 0;  ///< 0 = any; a layout without a schema ignores it
};

/// One payload's place in a packed buffer. Units: bytes, from the buffer's start.
struct packed_entry {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t hash = 0;  ///< 0 in buffers without checksums
};

/// What a packed buffer says of itself before its table.
struct packed_header {
  std::uint64_t count = 0;
  std::uint64_t size = 0;  ///< of the whole buffer; a layout that does not record it takes the buffer's
  std::uint64_t schema = 0;
  std::uint64_t hash = 0;  ///< of header and table; 0 in buffers without checksums
  bool checked = false;    ///< checksums are present
};

/// A form of packed buffers: a header, a table with an entry for each payload, then the payloads in order, each at the next multiple of
/// payload_alignment, with zeros between. The layout says how header and entries are spelled; sizes, places, bounds and checksums are
/// computed for it. layout::aligned and layout::transfer_queue are models to copy; tests/pack/layout_test.cpp has a third.
///
///   header_size, entry_size   bytes of the header and of one table entry, both at least 1
///   payload_alignment         a power of two
///   max_size                  the largest buffer whose sizes and offsets fit the fields
///   has_checksum, has_schema  whether the header has a place for them
///   always_strict             whether unpack_options::strict = false changes nothing
///   write_entry(place, entry)           writes entry_size bytes
///   write_header(buffer, header)        writes header_size bytes, once the table lies behind them
///   read_header(place, buffer_size)     checks and returns what header_size bytes say; count and size need not be plausible yet
///   read_entry(place, entry)            reads entry_size bytes; false where a reserved field is set
///   table_hash(buffer, count)           with has_checksum: the hash of header and table, given that nobody else sees the buffer's
///                                       header, which it may overwrite
template <class Layout>
concept packed_layout = requires(std::byte* place, const std::byte* source, std::size_t size, const packed_header& header, packed_entry& entry) {
  requires(std::size_t{Layout::header_size} != 0 && std::size_t{Layout::entry_size} != 0);
  requires(std::size_t{Layout::payload_alignment} != 0 && (Layout::payload_alignment & (Layout::payload_alignment - 1)) == 0);
  { Layout::max_size } -> std::convertible_to<std::uint64_t>;
  { Layout::has_checksum } -> std::convertible_to<bool>;
  { Layout::has_schema } -> std::convertible_to<bool>;
  { Layout::always_strict } -> std::convertible_to<bool>;
  { Layout::write_entry(place, entry) } noexcept;
  { Layout::write_header(place, header) } noexcept;
  { Layout::read_header(source, size) } -> std::same_as<result<packed_header>>;
  { Layout::read_entry(source, entry) } noexcept -> std::same_as<bool>;
} && (!Layout::has_checksum || requires(std::byte* buffer, std::size_t count) {
                          { Layout::table_hash(buffer, count) } noexcept -> std::same_as<std::uint64_t>;
                        });

/// Places payloads one after another: the arithmetic that writers, readers and batches share.
template <packed_layout Layout>
class payload_cursor {
 public:
  /// The largest buffer: what the layout can say, and no more than an object can have, so that rounding up never wraps.
  static constexpr std::size_t limit = Layout::max_size < PTRDIFF_MAX ? static_cast<std::size_t>(Layout::max_size) : std::size_t{PTRDIFF_MAX};

  /// Whether a header and a table of `count` entries fit the layout.
  [[nodiscard]] static constexpr bool fits(std::size_t count) noexcept { return count <= (limit - Layout::header_size) / Layout::entry_size; }

  /// Stands behind the table of `count` entries, for which fits(count).
  constexpr explicit payload_cursor(std::size_t count) noexcept : end_(Layout::header_size + Layout::entry_size * count) {}

  /// Gives a payload of `size` bytes its offset; false where it does not fit the layout, and the cursor stays.
  [[nodiscard]] constexpr bool place(std::size_t size, std::size_t& offset) noexcept {
    const std::size_t begin = next();
    if (begin > limit || size > limit - begin) return false;
    offset = begin;
    end_ = begin + size;
    return true;
  }

  /// Where the next payload begins.
  [[nodiscard]] constexpr std::size_t next() const noexcept { return align_up<std::size_t>(end_, Layout::payload_alignment); }

  /// The end of the last payload, or of the table where there is none: in the end the buffer's size.
  [[nodiscard]] constexpr std::size_t end() const noexcept { return end_; }

 private:
  std::size_t end_;
};

namespace detail {

/// The index of the first byte that is not zero, `size` where all are. For gaps: short, and nearly always zero.
[[nodiscard]] inline std::size_t first_non_zero(const std::byte* source, std::size_t size) noexcept {
  std::size_t at = 0;
  for (; size - at >= 8; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, source + at, 8);
    if (word != 0) break;
  }
  while (at < size && source[at] == std::byte{0}) ++at;
  return at;
}

}  // namespace detail

/// Writes everything but the payloads of a packed buffer: header, table, and the zeros between.
///
/// `entries` are in order, with the offsets that payload_cursor gave and the payloads' hashes; `target` holds the whole buffer.
template <packed_layout Layout>
void write_table(std::byte* target, std::span<const packed_entry> entries, const pack_options& options = {}) noexcept {
  const bool checked = Layout::has_checksum && options.checksum;
  std::byte* place = target + Layout::header_size;
  std::size_t end = Layout::header_size + Layout::entry_size * entries.size();
  for (const packed_entry& entry : entries) {
    Layout::write_entry(place, {entry.offset, entry.size, checked ? entry.hash : 0});
    place += Layout::entry_size;
    if (entry.offset != end) std::memset(target + end, 0, static_cast<std::size_t>(entry.offset) - end);
    end = static_cast<std::size_t>(entry.offset + entry.size);
  }
  Layout::write_header(target, {.count = entries.size(), .size = end, .schema = Layout::has_schema ? options.schema : 0, .checked = checked});
}

}  // namespace lading
