// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <string_view>
#include <vector>

#include <lading/core/bytes.hpp>
#include <lading/core/endian.hpp>
#include <lading/transport/identity.hpp>
#include <lading/transport/types.hpp>

namespace lading {

/// What an exported region says of itself: all that a peer needs to address it, and nothing that it must trust.
struct region_descriptor {
  std::uint64_t transport = 0;   ///< transport_tag of the transport that registered it
  std::uint64_t endpoint = 0;    ///< endpoint_identity::endpoint of its owner
  std::uint64_t generation = 0;  ///< of this registration; a later one of the same memory has another
  std::uint64_t size = 0;        ///< bytes
  region_id id{};                ///< the owner's handle
  memory_kind kind = memory_kind::host;
  bytes_view key;  ///< the adapter's own bytes (a packed rkey); borrowed
};

/// What an endpoint's address says: who it is, and how the adapter reaches it.
struct endpoint_address {
  std::uint64_t transport = 0;
  endpoint_identity identity;
  bytes_view native;  ///< the adapter's own bytes; borrowed
};

/// The number that stands for a transport's name in descriptors and addresses.
[[nodiscard]] constexpr std::uint64_t transport_tag(std::string_view name) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3u;
  return hash;
}

namespace detail {

// Both blobs, little-endian: magic u32, version u16, kind u16, checksum u64 of all other bytes, then the fields in order, then the adapter's bytes.
inline constexpr std::uint32_t descriptor_magic = 0x5244414cu;  // "LADR"
inline constexpr std::uint32_t address_magic = 0x4144414cu;     // "LADA"
inline constexpr std::uint16_t blob_version = 1;
inline constexpr std::size_t blob_prefix = 16;
inline constexpr std::size_t descriptor_header = blob_prefix + std::size_t{4} * 8 + 4 + 4;
inline constexpr std::size_t address_header = blob_prefix + std::size_t{3} * 8 + 8;
inline constexpr std::size_t blob_limit = std::size_t{1} << 20;

/// Catches accidents, not forgery: whoever may connect may also compute it.
[[nodiscard]] inline std::uint64_t blob_checksum(bytes_view blob) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (std::size_t i = 0; i < blob.size(); ++i) {
    if (i < 8 || i >= blob_prefix) hash = (hash ^ static_cast<std::uint64_t>(blob[i])) * 0x100000001b3u;
  }
  return hash;
}

inline void seal_blob(bytes_span blob, std::uint32_t magic, std::uint16_t kind) noexcept {
  store_little(blob.data(), magic);
  store_little(blob.data() + 4, blob_version);
  store_little(blob.data() + 6, kind);
  store_little(blob.data() + 8, blob_checksum(blob));
}

/// Checks what both blobs share; `tail` is where the adapter's size field is.
[[nodiscard]] inline result<void> check_blob(bytes_view blob, std::uint32_t magic, std::size_t header, std::size_t tail, const char* what) noexcept {
  if (blob.size() < header) return fail(errc::truncated, {.needed = header, .available = blob.size(), .what = what});
  if (load_little<std::uint32_t>(blob.data()) != magic) return fail(errc::bad_magic, {.offset = 0, .what = what});
  if (const auto version = load_little<std::uint16_t>(blob.data() + 4); version != blob_version) {
    return fail(errc::unsupported_version, {.needed = version, .available = blob_version, .offset = 4, .what = what});
  }
  const std::uint64_t native = load_little<std::uint32_t>(blob.data() + tail);
  if (native > blob_limit) return fail(errc::limit_exceeded, {.needed = native, .available = blob_limit, .offset = tail, .what = what});
  if (native > blob.size() - header)
    return fail(errc::truncated, {.needed = header + native, .available = blob.size(), .offset = tail, .what = what});
  if (native < blob.size() - header)
    return fail(errc::trailing_bytes, {.needed = header + native, .available = blob.size(), .offset = tail, .what = what});
  if (load_little<std::uint64_t>(blob.data() + 8) != blob_checksum(blob)) return fail(errc::checksum_mismatch, {.offset = 8, .what = what});
  return {};
}

}  // namespace detail

/// The bytes of a descriptor, to be sent to peers by whatever means the program has.
[[nodiscard]] inline std::vector<std::byte> encode_descriptor(const region_descriptor& described) {
  std::vector<std::byte> blob(detail::descriptor_header + described.key.size());
  std::byte* field = blob.data() + detail::blob_prefix;
  detail::store_little(field, described.transport);
  detail::store_little(field + 8, described.endpoint);
  detail::store_little(field + 16, described.generation);
  detail::store_little(field + 24, described.size);
  detail::store_little(field + 32, static_cast<std::uint32_t>(described.id));
  detail::store_little(field + 36, static_cast<std::uint32_t>(described.key.size()));
  if (!described.key.empty()) std::memcpy(field + 40, described.key.data(), described.key.size());
  detail::seal_blob(blob, detail::descriptor_magic, static_cast<std::uint16_t>(described.kind));
  return blob;
}

/// Reads a descriptor that someone sent. The key borrows from `blob`.
///
/// Errors: truncated, trailing_bytes, bad_magic, unsupported_version, bad_header, checksum_mismatch, limit_exceeded.
[[nodiscard]] inline result<region_descriptor> decode_descriptor(bytes_view blob) noexcept {
  constexpr const char* what = "not a region descriptor as export_region makes it: send it whole and unchanged";
  const std::size_t tail = detail::descriptor_header - 4;
  if (auto checked = detail::check_blob(blob, detail::descriptor_magic, detail::descriptor_header, tail, what); !checked)
    return fail(checked.error());
  const auto kind = detail::load_little<std::uint16_t>(blob.data() + 6);
  if (kind > static_cast<std::uint16_t>(memory_kind::cuda)) return fail(errc::bad_header, {.offset = 6, .what = what});
  const std::byte* field = blob.data() + detail::blob_prefix;
  region_descriptor described{.transport = detail::load_little<std::uint64_t>(field),
                              .endpoint = detail::load_little<std::uint64_t>(field + 8),
                              .generation = detail::load_little<std::uint64_t>(field + 16),
                              .size = detail::load_little<std::uint64_t>(field + 24),
                              .id = region_id{detail::load_little<std::uint32_t>(field + 32)},
                              .kind = memory_kind{static_cast<std::uint8_t>(kind)},
                              .key = blob.subspan(detail::descriptor_header)};
  if (described.id == region_id{} || described.size == 0) return fail(errc::bad_header, {.offset = detail::blob_prefix, .what = what});
  return described;
}

/// The bytes of an address.
[[nodiscard]] inline std::vector<std::byte> encode_address(const endpoint_address& address) {
  std::vector<std::byte> blob(detail::address_header + address.native.size());
  std::byte* field = blob.data() + detail::blob_prefix;
  detail::store_little(field, address.transport);
  detail::store_little(field + 8, address.identity.process);
  detail::store_little(field + 16, address.identity.endpoint);
  detail::store_little(field + 24, std::uint32_t{0});
  detail::store_little(field + 28, static_cast<std::uint32_t>(address.native.size()));
  if (!address.native.empty()) std::memcpy(field + 32, address.native.data(), address.native.size());
  detail::seal_blob(blob, detail::address_magic, 0);
  return blob;
}

/// Reads an address that someone sent. The native part borrows from `blob`.
///
/// Errors: as decode_descriptor.
[[nodiscard]] inline result<endpoint_address> decode_address(bytes_view blob) noexcept {
  constexpr const char* what = "not an address as address() makes it: send it whole and unchanged";
  const std::size_t tail = detail::address_header - 4;
  if (auto checked = detail::check_blob(blob, detail::address_magic, detail::address_header, tail, what); !checked) return fail(checked.error());
  const std::byte* field = blob.data() + detail::blob_prefix;
  if (detail::load_little<std::uint16_t>(blob.data() + 6) != 0 || detail::load_little<std::uint32_t>(field + 24) != 0) {
    return fail(errc::bad_header, {.offset = 6, .what = what});
  }
  return endpoint_address{
      .transport = detail::load_little<std::uint64_t>(field),
      .identity = {.process = detail::load_little<std::uint64_t>(field + 8), .endpoint = detail::load_little<std::uint64_t>(field + 16)},
      .native = blob.subspan(detail::address_header)};
}

}  // namespace lading
