// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include <lading/core/bytes.hpp>
#include <lading/core/endian.hpp>
#include <lading/exchange/detail/crew.hpp>
#include <lading/exchange/protocol.hpp>
#include <lading/memory/copy.hpp>
#include <lading/pack/checksum.hpp>

namespace lading::detail {

/// The checksum of a value of `size` bytes, as protocol::meta has it. of_piece(offset, size) gives that of a piece, and does not throw; several threads call
/// it.
template <class OfPiece>
[[nodiscard]] std::uint64_t checksum_by_pieces(std::uint64_t size, const crew& threads, OfPiece&& of_piece) {
  constexpr std::uint64_t piece = protocol::checksum_piece;
  if (size <= piece) return of_piece(std::uint64_t{0}, size);
  checksum_hasher all;
  std::array<std::uint64_t, 64> sums;  // of a round: nothing is allocated, for the memory may be a peer's word
  constexpr std::uint64_t round = piece * sums.size();
  for (std::uint64_t done = 0; done < size; done += std::min(round, size - done)) {
    const std::uint64_t left = std::min(round, size - done);
    const auto count = static_cast<std::size_t>((left + piece - 1) / piece);
    threads.run(count, [&](std::size_t i) noexcept {
      const std::uint64_t first = i * piece;
      const std::uint64_t sum = of_piece(done + first, std::min(piece, left - first));
      store_little(&sums[i], sum);
    });
    all.update(sums.data(), count * sizeof(std::uint64_t));
  }
  return all.digest();
}

/// The checksum of a value in one piece of memory.
[[nodiscard]] inline std::uint64_t checksum_of_value(bytes_view bytes, const crew& threads) {
  return checksum_by_pieces(bytes.size(), threads, [&](std::uint64_t offset, std::uint64_t size) noexcept {
    return checksum_of(bytes.data() + offset, static_cast<std::size_t>(size));
  });
}

/// Copies a value; returns its checksum, in one pass over the memory.
[[nodiscard]] inline std::uint64_t copy_value_with_checksum(std::byte* target, bytes_view source, const crew& threads) {
  const copy_mode mode = source.size() >= streaming_threshold ? copy_mode::streaming : copy_mode::cached;
  return checksum_by_pieces(source.size(), threads, [&](std::uint64_t offset, std::uint64_t size) noexcept {
    return copy_with_checksum(target + offset, source.data() + offset, static_cast<std::size_t>(size), mode);
  });
}

}  // namespace lading::detail
