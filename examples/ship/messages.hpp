// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <lading/lading.hpp>

namespace ship {

// What the two programs say to each other over a TCP connection of their own, beside the transport: who they are and how the transport reaches them,
// what has been taken, and how it ended. Each message is a prefix and a packed buffer of one value, with its checksum and schema.
// A message of another version is refused unread.

struct prefix {
  std::uint32_t magic = 0;
  std::uint16_t version = 0, kind = 0;
  std::uint64_t size = 0;  ///< of the packed buffer that follows
};

inline constexpr std::uint32_t message_magic = 0x50494853u;  // "SHIP"
inline constexpr std::uint16_t message_version = 1;
inline constexpr std::size_t prefix_size = 16;
inline constexpr std::size_t message_limit = std::size_t{1} << 20;

enum class message_kind : std::uint16_t { hello = 1, welcome, taken, end, done, refusal, beat };

/// The sender's first word: what will come, and into how much memory.
struct hello {
  static constexpr message_kind kind = message_kind::hello;
  std::string transport;
  std::uint64_t part_schema = 0, sample_schema = 0;  ///< both sides must mean the same values
  std::uint64_t slot_bytes = 0, slots = 0;
  bool generated = false;          ///< samples, not files
  std::uint64_t files = 0;         ///< how many; 0 for samples
  std::uint64_t bytes = 0;         ///< of all files
  std::vector<std::byte> address;  ///< of the transport's endpoint
};

/// The receiver's answer: where the slots are.
struct welcome {
  static constexpr message_kind kind = message_kind::welcome;
  std::vector<std::byte> address, descriptor;
};

/// The receiver has verified so many slots, all since the beginning, and they can be used again.
struct taken {
  static constexpr message_kind kind = message_kind::taken;
  std::uint64_t slots = 0;
};

/// The sender has sent so many slots, all since the beginning, and nothing comes after them.
struct end {
  static constexpr message_kind kind = message_kind::end;
  std::uint64_t slots = 0;
};

/// Memory and descriptors of a process, early and late in a long run.
struct flatness {
  std::uint64_t early_memory = 0, late_memory = 0, early_descriptors = 0, late_descriptors = 0;
};

/// The receiver's last word: all has been verified, and every file has its name.
struct done {
  static constexpr message_kind kind = message_kind::done;
  std::uint64_t slots = 0, files = 0, bytes = 0;
  double validate_seconds = 0, land_seconds = 0;
  flatness use;
};

/// Why this side goes no further: one line.
struct refusal {
  static constexpr message_kind kind = message_kind::refusal;
  std::string why;
};

/// Nothing but a sign of life.
struct beat {
  static constexpr message_kind kind = message_kind::beat;
};

/// What the transport's own notification says of a slot that has been put: which, and how many bytes of it.
struct arrival {
  std::uint64_t slot = 0, size = 0;
};
[[nodiscard]] constexpr std::uint64_t tag_of(const arrival& of) noexcept { return of.slot << 48 | of.size; }
[[nodiscard]] constexpr arrival arrival_of(std::uint64_t tag) noexcept { return {tag >> 48, tag & ((std::uint64_t{1} << 48) - 1)}; }

}  // namespace ship
