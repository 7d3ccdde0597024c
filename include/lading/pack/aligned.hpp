// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <lading/core/endian.hpp>
#include <lading/pack/checksum.hpp>
#include <lading/pack/layout.hpp>

namespace lading::layout {

/// The default layout: 64-bit sizes, payloads at multiples of 64, checksums, a schema fingerprint.
///
///    0 magic "LADG"      4 version u16 = 1     6 flags u16, bit 0 = checksums     8 count u64     16 size of the buffer u64
///   24 schema u64       32 XXH3-64 of bytes 0..31 and the table, or 0            40 zero
///   64 + 32 i           offset u64, size u64, XXH3-64 of the payload u64 or 0, zero u64
/// All little-endian. Strict in every mode: each offset follows from the sizes.
struct aligned {
  static constexpr std::size_t header_size = 64;
  static constexpr std::size_t entry_size = 32;
  static constexpr std::size_t payload_alignment = 64;
  static constexpr std::uint64_t max_size = ~std::uint64_t{0};
  static constexpr bool has_checksum = true;
  static constexpr bool has_schema = true;
  static constexpr bool always_strict = true;

  static constexpr std::uint32_t magic = 0x4744414C;  // "LADG"
  static constexpr std::uint16_t version = 1;

  static void write_entry(std::byte* place, const packed_entry& entry) noexcept {
    detail::store_little<std::uint64_t>(place, entry.offset);
    detail::store_little<std::uint64_t>(place + 8, entry.size);
    detail::store_little<std::uint64_t>(place + 16, entry.hash);
    detail::store_little<std::uint64_t>(place + 24, 0);
  }

  static void write_header(std::byte* buffer, const packed_header& header) noexcept {
    detail::store_little<std::uint32_t>(buffer, magic);
    detail::store_little<std::uint16_t>(buffer + 4, version);
    detail::store_little<std::uint16_t>(buffer + 6, header.checked ? 1 : 0);
    detail::store_little<std::uint64_t>(buffer + 8, header.count);
    detail::store_little<std::uint64_t>(buffer + 16, header.size);
    detail::store_little<std::uint64_t>(buffer + 24, header.schema);
    const std::uint64_t hash = header.checked ? table_hash(buffer, static_cast<std::size_t>(header.count)) : 0;
    detail::store_little<std::uint64_t>(buffer + 32, hash);
    std::memset(buffer + 40, 0, 24);
  }

  [[nodiscard]] static result<packed_header> read_header(const std::byte* place, std::size_t) {
    if (detail::load_little<std::uint32_t>(place) != magic) {
      return fail(errc::bad_magic, {.offset = 0, .what = "the buffer does not start with LADG: was it packed in another layout?"});
    }
    if (const auto found = detail::load_little<std::uint16_t>(place + 4); found != version) {
      return fail(errc::unsupported_version, {.needed = found, .available = version, .offset = 4, .what = "read it with the version that wrote it"});
    }
    const auto flags = detail::load_little<std::uint16_t>(place + 6);
    if (flags > 1) return fail(errc::bad_header, {.offset = 6, .what = "an unknown flag is set"});
    for (std::size_t at = 40; at < header_size; at += 8) {
      if (detail::load_little<std::uint64_t>(place + at) != 0) return fail(errc::bad_header, {.offset = at, .what = "a reserved byte is not zero"});
    }
    packed_header header{.count = detail::load_little<std::uint64_t>(place + 8),
                         .size = detail::load_little<std::uint64_t>(place + 16),
                         .schema = detail::load_little<std::uint64_t>(place + 24),
                         .hash = detail::load_little<std::uint64_t>(place + 32),
                         .checked = flags == 1};
    if (!header.checked && header.hash != 0) {
      return fail(errc::bad_header, {.offset = 32, .what = "there is a checksum, but the flags say that there is none"});
    }
    return header;
  }

  [[nodiscard]] static bool read_entry(const std::byte* place, packed_entry& entry) noexcept {
    entry = {detail::load_little<std::uint64_t>(place), detail::load_little<std::uint64_t>(place + 8),
             detail::load_little<std::uint64_t>(place + 16)};
    return detail::load_little<std::uint64_t>(place + 24) == 0;
  }

  /// Moves the hashed half of the header next to the table, so that one hash covers both.
  [[nodiscard]] static std::uint64_t table_hash(std::byte* buffer, std::size_t count) noexcept {
    std::memcpy(buffer + 32, buffer, 32);
    return checksum_of(buffer + 32, 32 + entry_size * count);
  }
};

static_assert(packed_layout<aligned>);

}  // namespace lading::layout
