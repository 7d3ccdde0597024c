// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstring>

#include <netinet/in.h>
#include <sys/socket.h>

#include <lading/transport/message_checks.hpp>

namespace lading::detail {

/// What two endpoints say to each other in words; slices need none.
enum class verbs_kind : std::uint8_t {
  notify,  ///< value = the tag
  answer,  ///< the notification has been taken
  ping,    ///< are you there?
  pong,    ///< I am
};

/// A message: little-endian on every host.
struct verbs_message {
  verbs_kind kind{};
  std::uint64_t request = 0;  ///< chosen by who asks, and given back in the answer
  std::uint64_t value = 0;

  static constexpr message_start<verbs_kind> start{.magic = 0x4c56, .version = 1, .last = verbs_kind::pong};  // "VL"
  static constexpr std::size_t wire_size = 24;
  using raw = std::array<std::byte, wire_size>;

  void store(raw& out) const noexcept {
    start.store(out.data(), kind);
    store_little(out.data() + 4, std::uint32_t{0});
    store_little(out.data() + 8, request);
    store_little(out.data() + 16, value);
  }

  /// Errors: truncated, trailing_bytes, bad_magic, unsupported_version, bad_header.
  [[nodiscard]] static result<verbs_message> load(bytes_view in) noexcept {
    const auto kind = start.load(in, wire_size);
    if (!kind) return fail(kind.error());
    if (load_little<std::uint32_t>(in.data() + 4) != 0) return fail(errc::bad_header, {.offset = 4, .what = "a peer's message is malformed"});
    return verbs_message{*kind, load_little<std::uint64_t>(in.data() + 8), load_little<std::uint64_t>(in.data() + 16)};
  }
};

/// Who connects to whom: the private data of a connection's request and of its reply.
struct verbs_greeting {
  std::uint64_t process = 0, endpoint = 0;  ///< the sender's identity
  std::uint64_t wanted = 0;                 ///< the endpoint that it wants to talk to

  static constexpr std::uint32_t magic = 0x5644414cu;  // "LADV"
  static constexpr std::uint16_t version = 1;
  static constexpr std::size_t wire_size = 32;
  using raw = std::array<std::byte, wire_size>;

  [[nodiscard]] raw store() const noexcept {
    raw out{};
    store_little(out.data(), magic);
    store_little(out.data() + 4, version);
    store_little(out.data() + 8, process);
    store_little(out.data() + 16, endpoint);
    store_little(out.data() + 24, wanted);
    return out;
  }

  /// What follows is the connection manager's padding, and ignored.
  ///
  /// Errors: truncated, bad_magic, unsupported_version, bad_header.
  [[nodiscard]] static result<verbs_greeting> load(bytes_view in) noexcept {
    if (in.size() < wire_size) return fail(errc::truncated, {.needed = wire_size, .available = in.size(), .what = "a peer's greeting is too short"});
    if (load_little<std::uint32_t>(in.data()) != magic) return fail(errc::bad_magic, {.what = "who connects is no lading endpoint"});
    if (auto known = check_version(load_little<std::uint16_t>(in.data() + 4), version, "a peer speaks another version"); !known)
      return fail(known.error());
    if (load_little<std::uint16_t>(in.data() + 6) != 0) return fail(errc::bad_header, {.offset = 6, .what = "a peer's greeting is malformed"});
    return verbs_greeting{load_little<std::uint64_t>(in.data() + 8), load_little<std::uint64_t>(in.data() + 16),
                          load_little<std::uint64_t>(in.data() + 24)};
  }
};

/// Where an endpoint listens: the adapter's part of an address.
struct verbs_address {
  std::array<std::byte, 16> host{};  ///< an IPv6 address, or an IPv4 one mapped into it; network order
  std::uint16_t port = 0;

  static constexpr std::uint16_t version = 1;
  static constexpr std::size_t wire_size = 24;
  using raw = std::array<std::byte, wire_size>;

  [[nodiscard]] raw store() const noexcept {
    raw out{};
    store_little(out.data(), version);
    store_little(out.data() + 2, port);
    std::memcpy(out.data() + 8, host.data(), host.size());
    return out;
  }

  /// Errors: truncated, trailing_bytes, unsupported_version, bad_header, invalid_value for an address that cannot be connected to.
  [[nodiscard]] static result<verbs_address> load(bytes_view in) noexcept {
    constexpr const char* what = "not an address of a verbs endpoint: send what address() gave, whole and unchanged";
    if (auto whole = check_length(in, wire_size, what); !whole) return fail(whole.error());
    if (auto known = check_version(load_little<std::uint16_t>(in.data()), version, what); !known) return fail(known.error());
    if (load_little<std::uint32_t>(in.data() + 4) != 0) return fail(errc::bad_header, {.offset = 4, .what = what});
    verbs_address address{.port = load_little<std::uint16_t>(in.data() + 2)};
    std::memcpy(address.host.data(), in.data() + 8, address.host.size());
    if (address.port == 0 || !address.names_a_host()) return fail(errc::invalid_value, {.offset = 2, .what = what});
    return address;
  }

  [[nodiscard]] bool is_v4() const noexcept {
    constexpr std::array<std::byte, 12> mapped{{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, std::byte{0xff}, std::byte{0xff}}};
    return std::memcmp(host.data(), mapped.data(), mapped.size()) == 0;
  }
  [[nodiscard]] bool is_link_local() const noexcept { return host[0] == std::byte{0xfe} && (host[1] & std::byte{0xc0}) == std::byte{0x80}; }
  /// Neither unspecified, nor multicast, nor broadcast.
  [[nodiscard]] bool names_a_host() const noexcept {
    if (is_v4()) {
      const auto first = static_cast<unsigned>(host[12]);
      return first != 0 && first < 224;
    }
    return host != std::array<std::byte, 16>{} && host[0] != std::byte{0xff};
  }

  /// `scope` is the interface of a link-local address: this host's business, and no part of what is sent.
  [[nodiscard]] sockaddr_storage socket_address(std::uint32_t scope = 0) const noexcept {
    sockaddr_storage storage{};
    if (is_v4()) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      std::memcpy(&address.sin_addr, host.data() + 12, 4);
      std::memcpy(&storage, &address, sizeof address);
    } else {
      sockaddr_in6 address{};
      address.sin6_family = AF_INET6;
      address.sin6_port = htons(port);
      address.sin6_scope_id = is_link_local() ? scope : 0;
      std::memcpy(&address.sin6_addr, host.data(), 16);
      std::memcpy(&storage, &address, sizeof address);
    }
    return storage;
  }
  [[nodiscard]] static verbs_address from_v4(const in_addr& in) noexcept {
    verbs_address address;
    address.host[10] = address.host[11] = std::byte{0xff};
    std::memcpy(address.host.data() + 12, &in, 4);
    return address;
  }
  [[nodiscard]] static verbs_address from_v6(const void* in) noexcept {
    verbs_address address;
    std::memcpy(address.host.data(), in, 16);
    return address;
  }
};

/// What a peer needs to reach a region: the adapter's part of a descriptor. The hardware checks every access against the registration.
struct verbs_key {
  std::uint64_t base = 0;  ///< where the region begins, as the hardware counts; no address of the process
  std::uint32_t rkey = 0;

  static constexpr std::uint32_t version = 1;
  static constexpr std::size_t wire_size = 16;
  using raw = std::array<std::byte, wire_size>;

  [[nodiscard]] raw store() const noexcept {
    raw out{};
    store_little(out.data(), version);
    store_little(out.data() + 4, rkey);
    store_little(out.data() + 8, base);
    return out;
  }

  /// Errors: truncated, trailing_bytes, unsupported_version, size_overflow where `size` bytes from base do not fit.
  [[nodiscard]] static result<verbs_key> load(bytes_view in, std::uint64_t size) noexcept {
    constexpr const char* what = "not a key of a verbs region: send what export_region gave, whole and unchanged";
    if (auto whole = check_length(in, wire_size, what); !whole) return fail(whole.error());
    if (auto known = check_version(load_little<std::uint32_t>(in.data()), version, what); !known) return fail(known.error());
    const verbs_key key{.base = load_little<std::uint64_t>(in.data() + 8), .rkey = load_little<std::uint32_t>(in.data() + 4)};
    if (size > ~std::uint64_t{0} - key.base) return fail(errc::size_overflow, {.size = size, .offset = key.base, .what = what});
    return key;
  }
};

}  // namespace lading::detail
