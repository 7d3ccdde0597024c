// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What the adapters check alike in the bytes that peers send them.

#include <cstdint>

#include <lading/core/bytes.hpp>
#include <lading/core/endian.hpp>
#include <lading/core/result.hpp>

namespace lading::detail {

/// Errors: truncated, trailing_bytes.
[[nodiscard]] inline result<void> check_length(bytes_view in, std::size_t wanted, const char* what) noexcept {
  if (in.size() == wanted) return {};
  return fail(in.size() < wanted ? errc::truncated : errc::trailing_bytes, {.needed = wanted, .available = in.size(), .what = what});
}

/// Errors: unsupported_version.
[[nodiscard]] inline result<void> check_version(std::uint32_t seen, std::uint32_t known, const char* what) noexcept {
  if (seen == known) return {};
  return fail(errc::unsupported_version, {.needed = seen, .available = known, .what = what});
}

/// How every message of a protocol begins: magic u16, version u8, kind u8.
template <class Kind>
struct message_start {
  std::uint16_t magic;
  std::uint8_t version;
  Kind last;  ///< the kinds are 0 to this

  void store(std::byte* out, Kind kind) const noexcept {
    store_little(out, magic);
    store_little(out + 2, version);
    store_little(out + 3, static_cast<std::uint8_t>(kind));
  }

  /// Errors: truncated, trailing_bytes, bad_magic, unsupported_version, bad_header.
  [[nodiscard]] result<Kind> load(bytes_view in, std::size_t size) const noexcept {
    if (auto whole = check_length(in, size, "a peer's message is not as long as such messages are"); !whole) return fail(whole.error());
    if (load_little<std::uint16_t>(in.data()) != magic) return fail(errc::bad_magic, {.what = "a peer's message is not of this protocol"});
    if (auto known = check_version(load_little<std::uint8_t>(in.data() + 2), version, "a peer speaks another version"); !known)
      return fail(known.error());
    const auto kind = load_little<std::uint8_t>(in.data() + 3);
    if (kind > static_cast<std::uint8_t>(last)) return fail(errc::bad_header, {.offset = 3, .what = "a peer's message is of no known kind"});
    return Kind{kind};
  }
};

}  // namespace lading::detail
