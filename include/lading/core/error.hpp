// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace lading {

/// What went wrong. The groups say who can mend it: the caller's buffer, the input, the transport, the store, the caller's code.
enum class errc : std::uint16_t {
  // capacity
  buffer_too_small = 1,  ///< the target cannot hold the result; the message names both sizes
  size_overflow,         ///< a size or count does not fit its field on the wire
  no_memory,             ///< an allocation failed
  // input
  truncated = 16,       ///< the input ends before the value does
  bad_magic,            ///< not a buffer of this layout
  unsupported_version,  ///< written by a version that this one does not read
  bad_header,           ///< a header field contradicts another, or a reserved field is set
  entry_out_of_bounds,  ///< a table entry points outside the payload area
  not_canonical,        ///< readable, but not what the writer would have written
  misaligned,           ///< a view would be unaligned; copy the buffer to an aligned one or decode owning values
  trailing_bytes,       ///< the input goes on after the value
  checksum_mismatch,    ///< the bytes are not those that were packed
  schema_mismatch,      ///< packed from a type of another structure
  invalid_value,        ///< no value of the type has these bytes
  limit_exceeded,       ///< a limit of decode_limits was reached
  // transport
  not_registered = 48,  ///< the memory or region is not (or no longer) registered
  out_of_range,         ///< a slice reaches outside its region
  peer_lost,            ///< the peer died or closed the connection
  peer_stalled,         ///< the peer is there but makes no progress
  timed_out,            ///< the deadline passed first
  cancelled,            ///< cancelled by the caller
  would_block,          ///< a queue is full: make progress, then try again
  busy,                 ///< still in use by a running transfer
  closed,               ///< the endpoint has been closed on this side
  unsupported,          ///< this transport, host or build cannot do it
  backend_failure,      ///< the library below failed; native() has its status
  // exchange
  not_found = 80,  ///< no value under this key
  already_exists,  ///< the key is taken
  no_space,        ///< the store is full
  // caller
  invalid_argument = 96,  ///< the call itself makes no sense; the message says why
};

/// The code's name as it is written in source, such as "buffer_too_small"; "unknown" for a value that is none of them.
[[nodiscard]] constexpr std::string_view name_of(errc code) noexcept {
  switch (code) {
    case errc::buffer_too_small: return "buffer_too_small";
    case errc::size_overflow: return "size_overflow";
    case errc::no_memory: return "no_memory";
    case errc::truncated: return "truncated";
    case errc::bad_magic: return "bad_magic";
    case errc::unsupported_version: return "unsupported_version";
    case errc::bad_header: return "bad_header";
    case errc::entry_out_of_bounds: return "entry_out_of_bounds";
    case errc::not_canonical: return "not_canonical";
    case errc::misaligned: return "misaligned";
    case errc::trailing_bytes: return "trailing_bytes";
    case errc::checksum_mismatch: return "checksum_mismatch";
    case errc::schema_mismatch: return "schema_mismatch";
    case errc::invalid_value: return "invalid_value";
    case errc::limit_exceeded: return "limit_exceeded";
    case errc::not_registered: return "not_registered";
    case errc::out_of_range: return "out_of_range";
    case errc::peer_lost: return "peer_lost";
    case errc::peer_stalled: return "peer_stalled";
    case errc::timed_out: return "timed_out";
    case errc::cancelled: return "cancelled";
    case errc::would_block: return "would_block";
    case errc::busy: return "busy";
    case errc::closed: return "closed";
    case errc::unsupported: return "unsupported";
    case errc::backend_failure: return "backend_failure";
    case errc::not_found: return "not_found";
    case errc::already_exists: return "already_exists";
    case errc::no_space: return "no_space";
    case errc::invalid_argument: return "invalid_argument";
  }
  return "unknown";
}

/// What an error can tell besides its code. Sizes and offsets in bytes; a field left at `unset` is not mentioned.
struct error_details {
  static constexpr std::uint64_t unset = ~std::uint64_t{0};

  std::uint64_t needed = unset;     ///< the size or count that was asked for or declared
  std::uint64_t available = unset;  ///< the size, count or limit that there is
  std::uint64_t size = unset;       ///< the size of what the error is about
  std::uint64_t offset = unset;     ///< where in the buffer
  std::uint64_t item = unset;       ///< which item, entry or object
  std::int32_t native = 0;          ///< a transport's own status
  const char* what = nullptr;       ///< one phrase in static storage: what was wrong, and the remedy
};

/// Why a call failed: a code, and the sizes, offset and item that explain it.
///
/// Small, trivially copyable, allocates only in message(). Compares by code.
class [[nodiscard]] error {
 public:
  constexpr error(errc code, const error_details& details = {}) noexcept : details_(details), code_(code) {}

  [[nodiscard]] constexpr errc code() const noexcept { return code_; }
  [[nodiscard]] constexpr const error_details& details() const noexcept { return details_; }

  /// The status of the library below (ucs_status_t, errno); 0 where there is none.
  [[nodiscard]] constexpr std::int32_t native() const noexcept { return details_.native; }

  /// The same error, said of item `index` of a batch.
  [[nodiscard]] constexpr error with_item(std::uint64_t index) const noexcept {
    error copy = *this;
    copy.details_.item = index;
    return copy;
  }

  /// The same error, said of the byte at `offset`, unless it names one already.
  [[nodiscard]] constexpr error with_offset(std::uint64_t offset) const noexcept {
    error copy = *this;
    if (copy.details_.offset == error_details::unset) copy.details_.offset = offset;
    return copy;
  }

  /// One sentence, such as "buffer_too_small: needs 120, has 3, at offset 0: pass a target of encoded_size(value) bytes".
  [[nodiscard]] std::string message() const {
    std::string text{name_of(code_)};
    char separator = ':';
    const auto add = [&](std::string_view label, std::uint64_t number) {
      if (number == error_details::unset) return;
      ((text += separator) += ' ') += label;
      text += std::to_string(number);
      separator = ',';
    };
    add("needs ", details_.needed);
    add("has ", details_.available);
    add("size ", details_.size);
    add("at offset ", details_.offset);
    add("item ", details_.item);
    if (details_.native != 0) {
      ((text += separator) += " native status ") += std::to_string(details_.native);
    }
    if (details_.what != nullptr) (text += ": ") += details_.what;
    return text;
  }

  friend constexpr bool operator==(const error& left, const error& right) noexcept { return left.code_ == right.code_; }
  friend constexpr bool operator==(const error& left, errc right) noexcept { return left.code_ == right; }

 private:
  error_details details_;
  errc code_;
};

static_assert(std::is_trivially_copyable_v<error> && sizeof(error) <= 64);

}  // namespace lading
