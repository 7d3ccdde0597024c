// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include <lading/core/endian.hpp>
#include <lading/pack/layout.hpp>

namespace lading::layout {

/// Byte-compatible with the packed objects of Ascend/TransferQueue: u32 count, count x (u32 offset, u32 size), payloads back to back.
///
/// Little-endian, below 4 GiB, without checksums or a schema. Read strictly by default; unpack_options{.strict = false} also accepts
/// payloads in any order, sharing bytes, with gaps, or followed by others, as long as each lies behind the table and inside the buffer.
struct transfer_queue {
  static constexpr std::size_t header_size = 4;
  static constexpr std::size_t entry_size = 8;
  static constexpr std::size_t payload_alignment = 1;
  static constexpr std::uint64_t max_size = 0xFFFFFFFF;
  static constexpr bool has_checksum = false;
  static constexpr bool has_schema = false;
  static constexpr bool always_strict = false;

  static void write_entry(std::byte* place, const packed_entry& entry) noexcept {
    detail::store_little<std::uint32_t>(place, static_cast<std::uint32_t>(entry.offset));
    detail::store_little<std::uint32_t>(place + 4, static_cast<std::uint32_t>(entry.size));
  }

  static void write_header(std::byte* buffer, const packed_header& header) noexcept {
    detail::store_little<std::uint32_t>(buffer, static_cast<std::uint32_t>(header.count));
  }

  [[nodiscard]] static result<packed_header> read_header(const std::byte* place, std::size_t buffer_size) {
    return packed_header{.count = detail::load_little<std::uint32_t>(place), .size = buffer_size};
  }

  [[nodiscard]] static bool read_entry(const std::byte* place, packed_entry& entry) noexcept {
    entry = {detail::load_little<std::uint32_t>(place), detail::load_little<std::uint32_t>(place + 4), 0};
    return true;
  }
};

static_assert(packed_layout<transfer_queue>);

}  // namespace lading::layout
