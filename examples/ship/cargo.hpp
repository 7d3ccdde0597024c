// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <lading/lading.hpp>
#include <support/mapped_file.hpp>
#include <support/rollout.hpp>

#include "landing.hpp"
#include "messages.hpp"

namespace ship {

// What travels in a slot: one packed value. Its schema in the header says which.

/// A part of a file. The bytes are borrowed, from the mapped file when it is sent and from the slot when it has arrived.
struct file_part {
  std::uint64_t sequence = 0;  ///< of the slot, counted from 0
  std::uint64_t file = 0;      ///< counted from 0
  std::string_view name;
  std::uint64_t file_size = 0, offset = 0;
  lading::bytes_view data;
};

/// The same as it is received: what is checked and then used must not be memory that the sender can still write.
struct received_part {
  std::uint64_t sequence = 0;
  std::uint64_t file = 0;
  std::string name;
  std::uint64_t file_size = 0, offset = 0;
  lading::bytes_view data;
};

/// A generated value. Both sides can make it, and so the receiver knows every bit.
struct sample {
  std::uint64_t sequence = 0;
  std::uint64_t number = 0;  ///< of the value in the batch
  support::rollout_view value;
};

/// The values that are generated for slots of that size; a batch is all of them.
[[nodiscard]] std::vector<support::rollout> make_samples(std::uint64_t slot_bytes);

/// What a sender has to send: slot after slot.
class source {
 public:
  virtual ~source() = default;

  /// Packs the next value into the slot and returns its size; 0 where there is nothing more.
  [[nodiscard]] virtual std::size_t pack(std::uint64_t sequence, lading::bytes_span slot) = 0;
  /// What has been packed so far: bytes of files or values, the part of all of it (below 0 where nobody knows the end), and whole batches.
  [[nodiscard]] virtual std::uint64_t bytes() const = 0;
  [[nodiscard]] virtual double fraction() const = 0;
  [[nodiscard]] virtual std::uint64_t batches() const { return 0; }
};

/// Fills in what a hello says of the cargo.
[[nodiscard]] std::unique_ptr<source> open_files(const std::vector<std::string>& paths, hello& announced);
/// How long to go on generating: so many batches, or seconds, or bytes; what is 0 sets no limit.
struct sample_limits {
  std::uint64_t batches = 0;
  double seconds = 0;
  std::uint64_t bytes = 0;
};
[[nodiscard]] std::unique_ptr<source> generate_samples(const sample_limits& limits, hello& announced);

/// What a receiver does with what arrives.
class sink {
 public:
  virtual ~sink() = default;

  /// Takes the validated items of slot number `sequence`. Throws a problem where they are not what belongs there.
  virtual void take(std::uint64_t sequence, const lading::unpacked& items) = 0;
  /// The sender has no more: throws a problem where something is missing.
  virtual void finish() = 0;
  [[nodiscard]] virtual std::uint64_t schema() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes() const = 0;
  [[nodiscard]] virtual std::uint64_t files() const { return 0; }
  [[nodiscard]] virtual double fraction() const { return -1; }
  [[nodiscard]] virtual std::uint64_t batches() const { return 0; }
};

/// Writes files into a folder that outlives it.
[[nodiscard]] std::unique_ptr<sink> land_files(const folder& into, const hello& announced, bool replace);
/// Compares generated values with its own, bit for bit.
[[nodiscard]] std::unique_ptr<sink> compare_samples(const hello& announced);

}  // namespace ship
