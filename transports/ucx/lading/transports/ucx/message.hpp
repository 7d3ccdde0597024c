// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstring>

#include <lading/transport/message_checks.hpp>

namespace lading::detail {

/// What two endpoints say to each other, each in the header of an active message.
enum class ucx_kind : std::uint8_t {
  hello,     ///< I want to use the wire; payload: ucx_greeting. request = the sender's number of the wire
  welcome,   ///< you may. request = the sender's number of the wire
  detach,    ///< I do not want to use the wire any more
  bye,       ///< my endpoint closes
  ping,      ///< are you there?
  pong,      ///< I am
  put,       ///< payload: the bytes of one range
  put_many,  ///< payload: count records, then their bytes back to back
  get,       ///< asks for one range
  get_many,  ///< payload: count records
  data,      ///< answers a get; payload: the bytes
  answer,    ///< answers anything else, and a get that is refused. size = an errc; payload: one errc (u16) per record, where they differ,
             ///< then the bytes of a get, those of refused records unset.
             ///< With a count: that many requests (u64 each) ended well
  notify,    ///< size = the tag
};

/// The header of a message: little-endian on every host.
struct ucx_head {
  ucx_kind kind{};
  std::uint32_t count = 0;
  std::uint64_t wire = 0;     ///< the receiver's number of the wire; 0 in a hello
  std::uint64_t request = 0;  ///< chosen by who asks, and given back in the answer
  std::uint32_t region = 0;
  std::uint64_t generation = 0, offset = 0, size = 0;

  static constexpr message_start<ucx_kind> start{.magic = 0x4c55, .version = 1, .last = ucx_kind::notify};  // "UL"
  static constexpr std::size_t wire_size = 56;
  using raw = std::array<std::byte, wire_size>;

  void store(raw& out) const noexcept {
    start.store(out.data(), kind);
    store_little(out.data() + 4, count);
    store_little(out.data() + 8, wire);
    store_little(out.data() + 16, request);
    store_little(out.data() + 24, region);
    store_little(out.data() + 28, std::uint32_t{0});
    store_little(out.data() + 32, generation);
    store_little(out.data() + 40, offset);
    store_little(out.data() + 48, size);
  }

  /// Errors: truncated, trailing_bytes, bad_magic, unsupported_version, bad_header.
  [[nodiscard]] static result<ucx_head> load(bytes_view in) noexcept {
    const auto kind = start.load(in, wire_size);
    if (!kind) return fail(kind.error());
    if (load_little<std::uint32_t>(in.data() + 28) != 0) return fail(errc::bad_header, {.offset = 28, .what = "a peer's message is malformed"});
    return ucx_head{.kind = *kind,
                    .count = load_little<std::uint32_t>(in.data() + 4),
                    .wire = load_little<std::uint64_t>(in.data() + 8),
                    .request = load_little<std::uint64_t>(in.data() + 16),
                    .region = load_little<std::uint32_t>(in.data() + 24),
                    .generation = load_little<std::uint64_t>(in.data() + 32),
                    .offset = load_little<std::uint64_t>(in.data() + 40),
                    .size = load_little<std::uint64_t>(in.data() + 48)};
  }
};

/// One range of a put_many or get_many.
struct ucx_record {
  std::uint32_t region = 0;
  std::uint64_t generation = 0, offset = 0, size = 0;

  static constexpr std::size_t wire_size = 32;

  void store(std::byte* out) const noexcept {
    store_little(out, region);
    store_little(out + 4, std::uint32_t{0});
    store_little(out + 8, generation);
    store_little(out + 16, offset);
    store_little(out + 24, size);
  }
  [[nodiscard]] static ucx_record load(const std::byte* in) noexcept {
    return {load_little<std::uint32_t>(in), load_little<std::uint64_t>(in + 8), load_little<std::uint64_t>(in + 16),
            load_little<std::uint64_t>(in + 24)};
  }
};

/// Who says hello, and to whom; the sender's worker address follows.
struct ucx_greeting {
  std::uint64_t process = 0, endpoint = 0;  ///< the sender's identity
  std::uint64_t wanted = 0;                 ///< the endpoint that it wants to talk to
  std::uint64_t host = 0, pid = 0;          ///< of the sender; 0 where unknown
  std::uint64_t reserved = 0;

  static constexpr std::size_t wire_size = 48;

  void store(std::byte* out) const noexcept {
    std::size_t at = 0;
    for (const std::uint64_t each : {process, endpoint, wanted, host, pid, reserved}) store_little(out + 8 * at++, each);
  }
  [[nodiscard]] static ucx_greeting load(const std::byte* in) noexcept {
    return {load_little<std::uint64_t>(in),      load_little<std::uint64_t>(in + 8),  load_little<std::uint64_t>(in + 16),
            load_little<std::uint64_t>(in + 24), load_little<std::uint64_t>(in + 32), load_little<std::uint64_t>(in + 40)};
  }
};

/// Small slices travel together, up to this many bytes with their records: one eager message on every lane.
inline constexpr std::size_t ucx_pack_bytes = 8000;
/// A slice of at least this many bytes travels alone, straight from its region.
inline constexpr std::size_t ucx_alone_bytes = 2048;
/// No message but put and data may carry more.
inline constexpr std::size_t ucx_control_bytes = std::size_t{64} << 10;

}  // namespace lading::detail
