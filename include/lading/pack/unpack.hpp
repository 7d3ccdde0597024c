// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include <lading/core/bytes.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
#include <lading/pack/aligned.hpp>
#include <lading/pack/checksum.hpp>
#include <lading/pack/layout.hpp>

namespace lading {

namespace detail {

/// Memory of one unpacked buffer: first the private copy of header and table, in the end the views.
class unpacked_block {
 public:
  unpacked_block() noexcept = default;
  unpacked_block(unpacked_block&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  unpacked_block& operator=(unpacked_block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~unpacked_block() { ::operator delete(data_); }

  /// Makes room for `size` bytes, whose values are lost; false where they cannot be allocated.
  [[nodiscard]] bool reserve(std::size_t size) noexcept {
    if (size <= size_) return true;
    ::operator delete(data_);
    data_ = static_cast<std::byte*>(::operator new(size, std::nothrow));
    size_ = data_ == nullptr ? 0 : size;
    return data_ != nullptr;
  }

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] const bytes_view* views() const noexcept {
    // Safety: read only after a bytes_view was constructed at every place.
    return std::launder(reinterpret_cast<const bytes_view*>(data_));
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A count that moves with what it counts.
struct moved_count {
  std::size_t value = 0;
  moved_count() noexcept = default;
  moved_count(moved_count&& other) noexcept : value(std::exchange(other.value, 0)) {}
  moved_count& operator=(moved_count&& other) noexcept {
    value = std::exchange(other.value, 0);
    return *this;
  }
};

struct unpacker;

}  // namespace detail

/// The payloads of a packed buffer, in order: a contiguous range of views into it. Movable, not copyable; a moved-from one is empty.
///
/// Lifetime: the packed buffer must outlive the views. This object owns the places that were validated, never bytes of payloads.
/// Threads:  where a peer may be writing the buffer, places stay those that were validated, while bytes may change at any time.
class unpacked {
 public:
  using value_type = bytes_view;
  using const_iterator = const bytes_view*;
  using iterator = const_iterator;

  [[nodiscard]] std::size_t size() const noexcept { return count_.value; }
  [[nodiscard]] bool empty() const noexcept { return count_.value == 0; }
  [[nodiscard]] const_iterator begin() const noexcept { return count_.value == 0 ? nullptr : block_.views(); }
  [[nodiscard]] const_iterator end() const noexcept { return begin() + count_.value; }
  [[nodiscard]] bytes_view operator[](std::size_t index) const noexcept {
    LADING_ASSERT(index < count_.value);
    return begin()[index];
  }

  /// The fingerprint in the header; 0 where the buffer is untyped or the layout has no place for one.
  [[nodiscard]] std::uint64_t schema() const noexcept { return schema_; }

  /// Whether the buffer carries checksums.
  [[nodiscard]] bool has_checksum() const noexcept { return checked_; }

 private:
  friend struct detail::unpacker;
  unpacked() noexcept = default;

  detail::unpacked_block block_;
  detail::moved_count count_;
  std::uint64_t schema_ = 0;
  bool checked_ = false;
};

namespace detail {

/// The steps of unpack_from. Each checks what the next relies on.
struct unpacker {
  /// Header against buffer: after this, header and table lie inside.
  template <class Layout>
  static result<packed_header> read_header(const std::byte* private_header, std::size_t buffer_size) {
    auto header = Layout::read_header(private_header, buffer_size);
    if (!header) return header;
    if (header->size > buffer_size) {
      return fail(errc::truncated, {.needed = header->size, .available = buffer_size, .what = "the buffer is shorter than its header says"});
    }
    if (header->size < buffer_size) {
      return fail(errc::trailing_bytes,
                  {.needed = header->size, .available = buffer_size, .what = "the buffer is longer than its header says: pass its exact size"});
    }
    const std::size_t entries = (buffer_size - Layout::header_size) / Layout::entry_size;
    if (header->count > entries) {
      return fail(errc::truncated, {.needed = header->count, .available = entries, .what = "there is no room for the table's entries"});
    }
    return header;
  }

  /// Every entry against buffer and layout: in strict mode only the table that pack_into would write passes.
  template <class Layout, bool Strict>
  static result<void> check_entries(bytes_view packed, const std::byte* table, const packed_header& header) {
    const std::size_t size = packed.size();
    const auto count = static_cast<std::size_t>(header.count);
    const std::size_t table_end = payload_cursor<Layout>(count).end();
    const std::uint64_t hash_mask = header.checked ? 0 : ~std::uint64_t{0};  // what must not be set in a hash
    if (Strict && size > payload_cursor<Layout>::limit) [[unlikely]] {
      return fail(errc::trailing_bytes,
                  {.needed = payload_cursor<Layout>::limit, .available = size, .what = "the buffer is larger than any of this layout"});
    }
    std::size_t end = table_end;
    for (std::size_t i = 0; i < count; ++i) {
      packed_entry entry;
      const bool reserved_clear = Layout::read_entry(table + i * Layout::entry_size, entry);
      const std::size_t expected = align_up<std::size_t>(end, Layout::payload_alignment);  // end <= size <= limit
      const bool misplaced = Strict ? entry.offset != expected : entry.offset < table_end;
      // One branch for all that can be wrong; which of them it is, is found out later.
      if (misplaced | !reserved_clear | ((entry.hash & hash_mask) != 0) | (entry.offset > size) | (entry.size > size - entry.offset)) [[unlikely]] {
        return bad_entry(entry, {.needed = size, .available = table_end, .offset = Layout::header_size + i * Layout::entry_size, .item = i},
                         reserved_clear && (entry.hash & hash_mask) == 0);
      }
      if constexpr (Strict) {
        if (Layout::payload_alignment != 1 && expected != end) {
          if (const std::size_t zeros = first_non_zero(packed.data() + end, expected - end); zeros != expected - end) [[unlikely]] {
            return fail(errc::not_canonical, {.offset = end + zeros, .item = i, .what = "a byte before the payload is not zero"});
          }
        }
        end = expected + static_cast<std::size_t>(entry.size);
      }
    }
    if (Strict && end != size) {
      return fail(errc::trailing_bytes, {.needed = end, .available = size, .what = "the buffer goes on after the last payload: pass its exact size"});
    }
    return {};
  }

  /// Says what is wrong with an entry; `where` holds the buffer's size, the table's end, and the entry's own offset and index.
  LADING_COLD static failure bad_entry(const packed_entry& entry, const error_details& where, bool reserved_clear) {
    const std::uint64_t size = where.needed, table_end = where.available;
    if (!reserved_clear) {
      return fail(
          errc::bad_header,
          {.offset = where.offset, .item = where.item, .what = "the entry has a reserved field set, or a checksum in a buffer without checksums"});
    }
    const bool early = entry.offset < table_end;
    if (early || !range_inside(entry.offset, entry.size, size)) {
      return fail(errc::entry_out_of_bounds, {.needed = entry.size,
                                              .available = early || entry.offset > size ? 0 : size - entry.offset,
                                              .offset = entry.offset,
                                              .item = where.item,
                                              .what = early ? "the payload begins inside header or table" : "the payload ends behind the buffer"});
    }
    return fail(errc::not_canonical,
                {.offset = entry.offset, .item = where.item, .what = "the payload does not lie where the sizes before it put it"});
  }

  /// A buffer whose structure and table have been checked, before its payloads are looked at.
  struct opened {
    packed_header header;
    const std::byte* table = nullptr;  ///< the private copy, in the block of `items` until view_payloads
  };

  /// Everything but the payloads' checksums. A block that `items` already has is used again where it is large enough.
  template <class Layout>
  static result<opened> open(bytes_view packed, const unpack_options& options, unpacked& items) {
    items.count_.value = 0;  // a failure leaves nothing of what was there
    // The buffer may be written by a peer meanwhile, so header and table are read once, into private memory, and used from there.
    std::byte first[Layout::header_size];
    if (packed.size() < sizeof(first)) {
      return fail(errc::truncated, {.needed = sizeof(first), .available = packed.size(), .what = "the buffer ends inside the header"});
    }
    std::memcpy(first, packed.data(), sizeof(first));
    const auto header = read_header<Layout>(first, packed.size());
    if (!header) return fail(header.error());

    // One block: the copy lies at its end, the views grow from its start and never reach an entry that is still to be read.
    constexpr std::size_t place_size = Layout::entry_size > sizeof(bytes_view) ? Layout::entry_size : sizeof(bytes_view);
    const auto count = static_cast<std::size_t>(header->count);
    const std::size_t table_size = count * Layout::entry_size;  // at most the buffer's size
    std::size_t block_size = 0;
    if (!checked_multiply(count, place_size, block_size) || !checked_add(block_size, Layout::header_size, block_size)) return no_memory(count);
    if (!items.block_.reserve(block_size)) return no_memory(block_size);
    std::byte* const table = items.block_.data() + block_size - table_size;
    std::byte* const copy = table - Layout::header_size;
    std::memcpy(copy, first, Layout::header_size);
    std::memcpy(table, packed.data() + Layout::header_size, table_size);

    const bool strict = Layout::always_strict || options.strict;
    const auto fine =
        strict ? check_entries<Layout, true>(packed, table, *header) : check_entries<Layout, Layout::always_strict>(packed, table, *header);
    if (!fine) return fail(fine.error());
    if constexpr (Layout::has_checksum) {
      if (header->checked && Layout::table_hash(copy, count) != header->hash) {
        return fail(errc::checksum_mismatch, {.offset = 0, .what = "header and table are not those that were packed"});
      }
    }
    if (Layout::has_schema && options.expected_schema != 0 && header->schema != options.expected_schema) {
      return fail(errc::schema_mismatch,
                  {.needed = options.expected_schema, .available = header->schema, .what = "the buffer was packed from a type of another structure"});
    }
    return opened{*header, table};
  }

  /// The checksums of the payloads [first, last), where the buffer carries them. Threads may share the payloads of one buffer.
  template <class Layout>
  static result<void> verify_payloads(bytes_view packed, const opened& buffer, std::size_t first, std::size_t last) {
    if (!buffer.header.checked) return {};
    for (std::size_t i = first; i < last; ++i) {
      packed_entry entry;
      (void)Layout::read_entry(buffer.table + i * Layout::entry_size, entry);
      if (checksum_of(packed.data() + entry.offset, static_cast<std::size_t>(entry.size)) != entry.hash) [[unlikely]] {
        return fail(errc::checksum_mismatch,
                    {.size = entry.size, .offset = entry.offset, .item = i, .what = "the payload is not the one that was packed"});
      }
    }
    return {};
  }

  /// Makes the views, over the private copy.
  template <class Layout>
  static void view_payloads(bytes_view packed, const opened& buffer, unpacked& items) noexcept {
    const auto count = static_cast<std::size_t>(buffer.header.count);
    for (std::size_t i = 0; i < count; ++i) {
      packed_entry entry;
      (void)Layout::read_entry(buffer.table + i * Layout::entry_size, entry);
      const bytes_view payload(packed.data() + entry.offset, static_cast<std::size_t>(entry.size));
      ::new (static_cast<void*>(items.block_.data() + i * sizeof(bytes_view))) bytes_view(payload);
    }
    items.count_.value = count;
    items.schema_ = buffer.header.schema;
    items.checked_ = buffer.header.checked;
  }

  /// unpack_from into an object that exists.
  template <class Layout>
  static result<void> unpack(bytes_view packed, const unpack_options& options, unpacked& items) {
    const auto buffer = open<Layout>(packed, options, items);
    if (!buffer) return fail(buffer.error());
    if (options.verify_checksum) {
      if (auto fine = verify_payloads<Layout>(packed, *buffer, 0, static_cast<std::size_t>(buffer->header.count)); !fine) return fine;
    }
    view_payloads<Layout>(packed, *buffer, items);
    return {};
  }

  [[nodiscard]] static unpacked none() noexcept { return {}; }

  LADING_COLD static failure no_memory(std::size_t size) {
    return fail(errc::no_memory, {.needed = size, .what = "the copy of header and table could not be allocated"});
  }
};

}  // namespace detail

/// Validates a packed buffer and returns views of its payloads. Without options, only what pack_into writes is accepted.
///
/// `packed` is the exact buffer, at any alignment. Header and table are copied once and validated there: structure first, then their
/// checksum, the schema, and the payloads' checksums.
/// Errors:     truncated, trailing_bytes, bad_magic, unsupported_version, bad_header, entry_out_of_bounds, not_canonical,
///             checksum_mismatch, schema_mismatch, with offsets, sizes and item; no_memory.
/// Lifetime:   the views borrow `packed`; owning temporaries are rejected.
/// Complexity: one allocation, of at most 16 bytes an item or the table's size and thus bounded by the buffer's; one pass over the payloads where
///             checksums are verified.
template <packed_layout Layout = layout::aligned>
[[nodiscard]] result<unpacked> unpack_from(bytes_view packed, const unpack_options& options = {}) {
  result<unpacked> items = detail::unpacker::none();
  if (const auto fine = detail::unpacker::unpack<Layout>(packed, options, *items); !fine) [[unlikely]]
    items = fail(fine.error());
  return items;
}

/// The views would outlive the bytes: keep the buffer in a variable.
template <packed_layout Layout = layout::aligned, class Packed>
  requires detail::owning_temporary<Packed> && std::is_convertible_v<Packed, bytes_view>
result<unpacked> unpack_from(Packed&& packed, const unpack_options& options = {}) = delete;

}  // namespace lading
