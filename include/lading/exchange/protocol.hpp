// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What a store and its clients say to each other: records, encoded as streams, each in a message with a version and a checksum. A message lies in a
// slot of the receiver's; its bytes are the peer's until they have been copied, and checked, in private memory.

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include <lading/codec/stream.hpp>
#include <lading/codec/types.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/endian.hpp>
#include <lading/core/result.hpp>
#include <lading/exchange/store.hpp>
#include <lading/pack/checksum.hpp>

namespace lading::protocol {

inline constexpr std::uint32_t magic = 0x5847444C;  // "LDGX"
inline constexpr std::uint16_t version = 1;
inline constexpr std::size_t head_size = 40;
inline constexpr std::size_t least_slot = std::size_t{16} << 10;    ///< so that the answer for one key always fits
inline constexpr std::size_t largest_slot = std::size_t{16} << 20;  ///< what a server sets aside for a client is bounded
inline constexpr std::size_t most_slots = 256;
inline constexpr std::size_t longest_key = 4096;
inline constexpr std::size_t most_extents = 64;    ///< of one value
inline constexpr std::size_t entry_overhead = 24;  ///< bytes that an element of a list takes at most besides its own: its count and alignment
inline constexpr std::size_t lobby_slot = std::size_t{16} << 10;  ///< for a hello: an address and a descriptor
inline constexpr std::size_t lobby_slots = 32;
inline constexpr std::uint64_t checksum_piece = std::uint64_t{1} << 20;  ///< bytes of a value whose checksum one thread makes

/// What a message is about; an answer has its request's kind.
enum class kind : std::uint16_t { hello = 1, put, find, exists, remove, release, stats, goodbye };

/// How clients reach a store.
struct store_address {
  std::vector<std::byte> endpoint;  ///< address of its endpoint
  std::vector<std::byte> lobby;     ///< descriptor of where a hello is put
  std::uint32_t max_slot = 0;       ///< bytes that a client's slots may have; it does not answer who asks for more
  std::uint32_t max_key = 0;        ///< bytes
};

/// Which request a notification announces: its kind, slot and the low half of its sequence number.
struct announcement {
  static constexpr std::uint64_t hello_bit = std::uint64_t{1} << 63;

  [[nodiscard]] static constexpr std::uint64_t tag(std::size_t slot, std::uint64_t sequence, bool hello = false) noexcept {
    return (hello ? hello_bit : 0) | (std::uint64_t{slot} << 32) | (sequence & 0xffffffffu);
  }
  [[nodiscard]] static constexpr std::size_t slot_of(std::uint64_t tag) noexcept { return static_cast<std::size_t>((tag & ~hello_bit) >> 32); }
  [[nodiscard]] static constexpr std::uint32_t sequence_of(std::uint64_t tag) noexcept { return static_cast<std::uint32_t>(tag); }
};

/// A part of the peer's memory: of one of the regions that the record lists.
struct extent {
  std::uint32_t region = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// What is stored beside a value's bytes.
struct meta {
  value_kind kind = value_kind::bytes;
  std::uint8_t dtype = 0;  ///< of a tensor
  std::vector<std::int64_t> shape{};
  std::uint64_t schema = 0;  ///< of a packed value
  std::uint64_t size = 0;
  /// XXH3-64 of the bytes; of a value larger than checksum_piece that of its pieces' checksums, in their order, little-endian.
  std::uint64_t checksum = 0;
};

struct hello {
  std::vector<std::byte> address;  ///< of the client's endpoint
  std::vector<std::byte> answers;  ///< descriptor of its answer slots: one more than `slots`, the last one for the welcome
  std::uint32_t slots = 0;
  std::uint32_t slot_size = 0;
};
struct welcome {
  std::vector<std::byte> requests;  ///< descriptor of the client's request slots
  std::uint32_t slots = 0;          ///< as many as asked for, or fewer
  std::uint64_t lease_time = 0;     ///< nanoseconds for which what was found stays readable, besides 20 for each of its bytes
  std::uint64_t transfer_time = 0;  ///< nanoseconds, besides 20 for each byte, after which the store no longer reads what a request offered
};

struct put_entry {
  std::string_view key;
  protocol::meta meta;
  std::vector<extent> from;
};
struct put_request {
  put_mode mode = put_mode::insert;
  std::vector<bytes_view> regions{};  ///< descriptors
  std::vector<put_entry> entries;
};
struct keys_request {
  std::vector<std::string_view> keys;
};
struct codes_answer {
  std::vector<std::uint16_t> codes;  ///< errc, or 0; one for each key
};
struct found {
  std::uint16_t code = 0;
  protocol::meta meta;
  std::vector<extent> at;
};
struct find_answer {
  std::uint64_t lease = 0;  ///< to be released; 0 = none was taken
  std::vector<bytes_view> regions{};
  std::vector<found> entries;  ///< of the first keys; the client asks again for those that did not fit
};
struct release_request {
  std::vector<std::uint64_t> leases;
};
struct nothing {
  std::uint8_t zero = 0;
};

/// The first bytes of a message.
struct head {
  protocol::kind kind{};
  std::uint32_t size = 0;      ///< of the body
  std::uint64_t sender = 0;    ///< the client's own random number, in requests and in their answers
  std::uint64_t sequence = 0;  ///< a request's; its answer has the same
  std::uint64_t checksum = 0;
};

namespace detail {

/// Over the head, but for the checksum itself, and the body.
[[nodiscard]] inline std::uint64_t checksum_of_message(const std::byte* message, std::size_t body) noexcept {
  checksum_hasher hasher;
  hasher.update(message, 32);
  hasher.update(message + head_size, body);
  return hasher.digest();
}

}  // namespace detail

/// Writes a message into `slot`; returns its size.
///
/// Errors: buffer_too_small, and those of encoding.
template <class Body>
[[nodiscard]] result<std::size_t> write_message(bytes_span slot, kind what, std::uint64_t sender, std::uint64_t sequence, const Body& body) {
  using lading::detail::store_little;
  if (slot.size() < head_size) return fail(errc::buffer_too_small, {.needed = head_size, .available = slot.size()});
  const auto size = encode_into(body, slot.subspan(head_size));
  if (!size) return size;
  std::byte* const at = slot.data();
  store_little(at, magic);
  store_little(at + 4, version);
  store_little(at + 6, static_cast<std::uint16_t>(what));
  store_little(at + 8, static_cast<std::uint32_t>(*size));
  store_little(at + 12, std::uint32_t{0});
  store_little(at + 16, sender);
  store_little(at + 24, sequence);
  store_little(at + 32, detail::checksum_of_message(at, *size));
  return head_size + *size;
}

/// A message in private memory.
struct message {
  protocol::head head;
  std::vector<std::byte> bytes;  ///< head and body

  [[nodiscard]] bytes_view body() const noexcept { return bytes_view(bytes).subspan(head_size); }
};

/// Copies a message out of a slot that a peer may be writing, and checks the copy. The vector of `into` is used again.
///
/// Errors: truncated, bad_magic, unsupported_version, bad_header, limit_exceeded, checksum_mismatch; std::bad_alloc of at most the slot's size.
[[nodiscard]] inline result<void> read_message(bytes_view slot, message& into) {
  using lading::detail::load_little;
  if (slot.size() < head_size)
    return fail(errc::truncated, {.needed = head_size, .available = slot.size(), .what = "a slot too small for any message"});
  into.bytes.resize(head_size);
  std::memcpy(into.bytes.data(), slot.data(), head_size);
  const std::byte* at = into.bytes.data();
  if (load_little<std::uint32_t>(at) != magic) return fail(errc::bad_magic, {.offset = 0, .what = "not a message of a store"});
  if (const auto found = load_little<std::uint16_t>(at + 4); found != version) {
    return fail(errc::unsupported_version, {.needed = found, .available = version, .offset = 4, .what = "the peer speaks another version"});
  }
  const auto what = load_little<std::uint16_t>(at + 6);
  if (what < static_cast<std::uint16_t>(kind::hello) || what > static_cast<std::uint16_t>(kind::goodbye) ||
      load_little<std::uint32_t>(at + 12) != 0) {
    return fail(errc::bad_header, {.offset = 6, .what = "no message has this kind, or a reserved field is set"});
  }
  into.head = {.kind = static_cast<kind>(what),
               .size = load_little<std::uint32_t>(at + 8),
               .sender = load_little<std::uint64_t>(at + 16),
               .sequence = load_little<std::uint64_t>(at + 24),
               .checksum = load_little<std::uint64_t>(at + 32)};
  if (into.head.size > slot.size() - head_size) {
    return fail(errc::limit_exceeded, {.needed = into.head.size, .available = slot.size() - head_size, .offset = 8, .what = "longer than its slot"});
  }
  into.bytes.resize(head_size + into.head.size);
  std::memcpy(into.bytes.data() + head_size, slot.data() + head_size, into.head.size);
  if (detail::checksum_of_message(into.bytes.data(), into.head.size) != into.head.checksum) {
    return fail(errc::checksum_mismatch, {.offset = 32, .what = "the message is not the one that was sent"});
  }
  return {};
}

/// The bytes of a store's address.
[[nodiscard]] inline result<std::vector<std::byte>> write_address(const store_address& said) {
  std::vector<std::byte> bytes(head_size + encoded_size(said));
  const auto written = write_message(bytes, kind::hello, 0, 0, said);
  if (!written) return fail(written.error());
  return bytes;
}

/// Reads a store's address that someone sent.
///
/// Errors: as read_message and decode_from; trailing_bytes.
[[nodiscard]] inline result<store_address> read_address(bytes_view bytes) {
  message said;
  if (auto read = read_message(bytes, said); !read) return fail(read.error());
  if (said.bytes.size() != bytes.size()) {
    return fail(errc::trailing_bytes,
                {.needed = said.bytes.size(), .available = bytes.size(), .what = "not the address of a store: send it whole and unchanged"});
  }
  return decode_from<store_address>(said.body());
}

/// Whether the extents lie in regions that the record lists, and are together as long as the value.
[[nodiscard]] inline bool covers(std::span<const extent> extents, std::size_t regions, std::uint64_t size) noexcept {
  std::uint64_t sum = 0;
  for (const extent& each : extents) {
    if (each.region >= regions || each.size == 0 || each.size > size - sum) return false;
    sum += each.size;
  }
  return sum == size;
}

}  // namespace lading::protocol
