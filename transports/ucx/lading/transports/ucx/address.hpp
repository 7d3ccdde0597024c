// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What a peer says is its UCX worker's address is read by UCX itself, which takes no length and ends the program over some of what it does not like.
// So it is read here first. README.md says what that cannot find.

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

#include <lading/core/bytes.hpp>
#include <lading/core/endian.hpp>
#include <lading/core/result.hpp>

#if defined(__linux__)
#include <sys/shm.h>
#include <sys/stat.h>
#endif

namespace lading::detail {

/// The number by which UCX's addresses name a kind of lane, such as "tcp": a CRC-16 of the name.
[[nodiscard]] constexpr std::uint16_t ucx_lane_number(std::string_view name) noexcept {
  unsigned crc = 0xffff;
  for (const char letter : name) {
    crc ^= static_cast<unsigned char>(letter);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x8408u : 0u);
  }
  return static_cast<std::uint16_t>(~crc);
}

/// The bytes of memory that a peer's shared-memory lane names, as the system tells; 0 where there is none that can be told.
[[nodiscard]] inline std::uint64_t ucx_segment_size([[maybe_unused]] std::uint16_t lane, [[maybe_unused]] bytes_view iface) noexcept {
#if defined(__linux__)
  if (iface.size() < 8) return 0;
  const auto id = load_little<std::uint64_t>(iface.data());
  if (lane == ucx_lane_number("sysv")) {
    ::shmid_ds known{};
    if (id > static_cast<std::uint64_t>(std::numeric_limits<int>::max()) || ::shmctl(static_cast<int>(id), IPC_STAT, &known) != 0) return 0;
    return known.shm_segsz;
  }
  // Of "posix": flags in the highest four bits, then a descriptor and a process, 30 bits each, or the number of a file.
  constexpr std::uint64_t by_process = std::uint64_t{1} << 63, by_name = std::uint64_t{1} << 62, low = (std::uint64_t{1} << 30) - 1;
  char path[64];
  if ((id & by_process) != 0) {
    std::snprintf(path, sizeof path, "/proc/%llu/fd/%llu", static_cast<unsigned long long>(id & low),
                  static_cast<unsigned long long>(id >> 30 & low));
  } else if ((id & by_name) != 0) {
    std::snprintf(path, sizeof path, "/dev/shm/ucx_shm_posix_%llx", static_cast<unsigned long long>(id & (low << 30 | low)));
  } else {
    return 0;
  }
  struct ::stat seen {};
  return ::stat(path, &seen) == 0 && S_ISREG(seen.st_mode) && seen.st_size > 0 ? static_cast<std::uint64_t>(seen.st_size) : 0;
#else
  return 0;
#endif
}

/// Addresses of version 1, as UCX 1.12 and later make them unless UCX_ADDRESS_VERSION or UCX_UNIFIED_MODE says otherwise:
/// u8 version (low half) and flags, u64 worker, u64 client where flagged, a name where flagged; per device u8 memory domain and flags, u8 length and flags,
/// u8 paths and u8 system device where flagged, its address; per lane of the device u16 ucx_lane_number, f32 overhead, f32 bandwidth, f32 latency, u32
/// capabilities, u8 index where UCX was built so, u8 length and flags, its address.
class ucx_addresses {
 public:
  struct lane {
    std::uint16_t number = 0;
    std::uint32_t capabilities = 0;
    bytes_view device, iface;
  };

  /// Learns from this process's own worker, which lanes it has and how its UCX writes addresses.
  void learn(bytes_view own) {
    own_.assign(own.begin(), own.end());
    lanes_.clear();
    for (const std::size_t size : {std::size_t{16}, std::size_t{17}}) {
      attributes_ = size;
      const auto read = walk(own_, [&](const lane& each) -> result<void> {
        lanes_.push_back(each);
        return {};
      });
      if (read) return;
      lanes_.clear();
    }
    attributes_ = 0;
  }

  /// Whether check() can tell; else it only compares the version.
  [[nodiscard]] bool understood() const noexcept { return attributes_ != 0; }

  /// Whether UCX can be given the address, with `slack` zeros after it.
  ///
  /// Errors: truncated, trailing_bytes, unsupported_version, bad_header, invalid_value, limit_exceeded; peer_lost where a lane's memory is gone.
  [[nodiscard]] result<void> check(bytes_view address) const noexcept {
    if (address.empty()) return fail(errc::truncated, {.needed = 1, .available = 0, .what = what});
    if (own_.empty() || (address[0] & version_mask) != (own_[0] & version_mask))
      return fail(errc::unsupported_version, {.needed = static_cast<std::uint64_t>(address[0]), .what = what});
    if (!understood()) return address.size() >= own_header ? result<void>() : fail(errc::truncated, {.what = what});
    const auto same = [](bytes_view a, bytes_view b) { return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0; };
    const bool own_worker = address.size() >= own_header && same(address.subspan(1, 8), bytes_view(own_).subspan(1, 8));
    if (own_worker)
      return same(address, own_) ? result<void>() : fail(errc::invalid_value, {.offset = 1, .what = "this worker's own number, but not its address"});
    return walk(address, [&](const lane& each) { return judge(each); });
  }

  /// UCX reads fields of a lane's address without looking at its length: so far, at most, behind the last byte.
  static constexpr std::size_t slack = 512;

 private:
  static constexpr const char* what = "not the address of a UCX worker: send what address() gave, whole and unchanged";
  static constexpr std::byte version_mask{0x0f};
  static constexpr std::size_t own_header = 9;
  static constexpr std::uint32_t connecting = 0x670300;              // to interfaces, with callbacks and events, by messages that may wait
  static constexpr std::size_t most_devices = 64, most_lanes = 128;  // for which UCX has room

  /// Bytes from front to back.
  struct cursor {
    bytes_view rest;
    bool over = false;

    bytes_view take(std::size_t size) noexcept {
      over = over || size > rest.size();
      if (over) return {};
      const bytes_view taken = rest.first(size);
      rest = rest.subspan(size);
      return taken;
    }
    unsigned byte() noexcept {
      const bytes_view taken = take(1);
      return over ? 0 : static_cast<unsigned>(taken[0]);
    }
  };

  /// Shows every lane; ends with the first error of `show`.
  [[nodiscard]] result<void> walk(bytes_view address, auto&& show) const {
    enum : unsigned { debug = 0x10, worker = 0x20, client = 0x40, no_lanes = 0x80, last = 0x80, paths = 0x40, system = 0x20, peers = 0x40 };
    cursor at{address};
    const auto wrong = [&](errc code) { return fail(code, {.available = address.size(), .offset = address.size() - at.rest.size(), .what = what}); };
    const unsigned head = at.byte();
    if ((head & 0x0f) != 0 || (head & worker) == 0) return wrong(errc::bad_header);
    at.take(8);
    if ((head & client) != 0) at.take(8);
    if ((head & debug) != 0) at.take(at.byte());
    std::size_t devices = 0, lanes = 0;
    for (bool last_device = false; !last_device;) {
      const unsigned domain = at.byte(), flags = at.byte();
      last_device = (flags & last) != 0;
      if ((flags & paths) != 0) at.byte();
      if ((flags & system) != 0) at.byte();
      const bytes_view device = at.take(flags & 0x1f);
      if (++devices > most_devices) return wrong(errc::limit_exceeded);
      for (bool last_lane = (domain & no_lanes) != 0; !last_lane && !at.over;) {
        const bytes_view number = at.take(2), attributes = at.take(attributes_);
        const unsigned length = at.byte();
        last_lane = (length & last) != 0;
        const bytes_view iface = at.take(length & 0x3f);
        if (at.over) break;
        if (++lanes > most_lanes) return wrong(errc::limit_exceeded);
        if ((length & peers) != 0) return wrong(errc::bad_header);  // a worker's address names no single endpoint
        if (!plausible(attributes)) return wrong(errc::invalid_value);
        if (auto shown = show(lane{load_little<std::uint16_t>(number.data()), load_little<std::uint32_t>(attributes.data() + 12), device, iface});
            !shown)
          return shown;
      }
      if (at.over) return wrong(errc::truncated);
    }
    if (!at.rest.empty()) return wrong(errc::trailing_bytes);
    return lanes != 0 ? result<void>() : wrong(errc::bad_header);
  }

  /// UCX compares scores that it makes of these, and ends the program where one is not equal to itself. Bandwidth is negative in UCX before 1.12.
  [[nodiscard]] static bool plausible(bytes_view attributes) noexcept {
    const auto number = [&](std::size_t offset) {
      const auto bits = load_little<std::uint32_t>(attributes.data() + offset);
      float value = 0;
      std::memcpy(&value, &bits, sizeof value);
      return value;
    };
    const auto sane = [](float value) { return std::isfinite(value) && std::fabs(value) < 1e18F; };
    const float overhead = number(0), bandwidth = number(4), latency = number(8);
    return sane(overhead) && sane(latency) && overhead >= 0 && sane(bandwidth) && std::fabs(bandwidth) >= 1;
  }

  /// Lanes that this process does not have, UCX passes over.
  [[nodiscard]] result<void> judge(const lane& each) const noexcept {
    const auto same = [](bytes_view a, bytes_view b) {
      return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
    };
    constexpr std::uint16_t posix = ucx_lane_number("posix"), sysv = ucx_lane_number("sysv"), tcp = ucx_lane_number("tcp");
    for (const lane& own : lanes_) {
      if (own.number != each.number) continue;
      if (own.device.empty() != each.device.empty() || own.iface.empty() != each.iface.empty())
        return fail(errc::bad_header, {.what = "a peer's lane has no address, or one too many"});
      // By these UCX chooses the lane of its own first messages; over another one than it expects, their failure ends the program.
      if (((own.capabilities ^ each.capabilities) & connecting) != 0)
        return fail(errc::invalid_value, {.what = "a peer's lane cannot do what such lanes do"});
      if (own.number != posix && own.number != sysv && own.number != tcp) continue;
      if (!same(own.device, each.device)) continue;  // another host's, or another network's
      if (same(own.iface, each.iface)) return fail(errc::peer_lost, {.what = "the peer is gone: its lane's address is this endpoint's by now"});
      if (own.number == tcp) continue;
      // UCX maps as much as its own such memory has, and touches it: where there is less, that ends the program.
      const auto size = ucx_segment_size(each.number, each.iface), needed = ucx_segment_size(own.number, own.iface);
      if (size == 0) return fail(errc::peer_lost, {.what = "the peer's shared memory is not there: its endpoint or its process is gone"});
      if (size < needed)
        return fail(errc::invalid_value, {.needed = needed, .available = size, .what = "a peer names shared memory that is too small"});
    }
    return {};
  }

  std::vector<std::byte> own_;
  std::vector<lane> lanes_;  // of own_
  std::size_t attributes_ = 0;
};

}  // namespace lading::detail
