// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/detail/value_checksum.hpp>

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace lading {
namespace value_checksum_test {

using detail::checksum_of_value;
using detail::crew;
constexpr auto piece = static_cast<std::size_t>(protocol::checksum_piece);

std::vector<std::byte> bytes_of(std::size_t size) {
  std::vector<std::byte> made(size);
  for (std::size_t i = 0; i < size; ++i) made[i] = static_cast<std::byte>(i * 7 + i / 251);
  return made;
}

/// As docs/ARCHITECTURE.md says it, in other words.
std::uint64_t written_out(bytes_view value) {
  if (value.size() <= piece) return checksum_of(value.data(), value.size());
  std::vector<std::byte> sums;
  for (std::size_t at = 0; at < value.size(); at += piece) {
    const std::uint64_t sum = checksum_of(value.data() + at, std::min(piece, value.size() - at));
    for (unsigned shift = 0; shift < 64; shift += 8) sums.push_back(static_cast<std::byte>(sum >> shift));
  }
  return checksum_of(sums.data(), sums.size());
}

TEST(value_checksum, is_the_same_for_any_number_of_threads) {
  worker_pool pool(3);
  const std::vector<std::byte> value = bytes_of(2 * piece + 5);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, piece, piece + 1, value.size()}) {
    const bytes_view some = bytes_view(value).first(size);
    const std::uint64_t expected = written_out(some);
    for (const std::size_t threads : {1, 4}) {
      const crew working{&pool, threads};
      EXPECT_EQ(checksum_of_value(some, working), expected) << size << " bytes, " << threads << " threads";
      std::vector<std::byte> copy(size);
      EXPECT_EQ(detail::copy_value_with_checksum(copy.data(), some, working), expected) << size << " bytes, " << threads << " threads";
      EXPECT_TRUE(std::equal(copy.begin(), copy.end(), some.begin()));
    }
  }
}

TEST(value_checksum, is_made_of_as_many_pieces_as_there_are) {
  worker_pool pool(3);
  for (const std::uint64_t size :
       {std::uint64_t{64 * piece}, std::uint64_t{64 * piece + 1}, std::uint64_t{200 * piece - 1}, std::uint64_t{5} << 30}) {
    std::vector<std::uint64_t> sums;
    for (std::uint64_t at = 0; at < size; at += piece) sums.push_back(at ^ std::min<std::uint64_t>(piece, size - at));
    const auto made =
        detail::checksum_by_pieces(size, crew{&pool, 4}, [](std::uint64_t offset, std::uint64_t bytes) noexcept { return offset ^ bytes; });
    EXPECT_EQ(made, checksum_of(sums.data(), sums.size() * sizeof(std::uint64_t))) << size;
  }
}

TEST(value_checksum, tells_pieces_apart_and_their_order) {
  const std::vector<std::byte> right = bytes_of(2 * piece + 100);
  const std::uint64_t expected = checksum_of_value(right, crew{});
  for (const std::size_t at : {std::size_t{0}, piece - 1, 2 * piece, right.size() - 1}) {
    std::vector<std::byte> wrong = right;
    wrong[at] ^= std::byte{1};
    EXPECT_NE(checksum_of_value(wrong, crew{}), expected) << "a bit of byte " << at;
  }
  std::vector<std::byte> swapped = right;
  std::rotate(swapped.begin(), swapped.begin() + piece, swapped.begin() + 2 * piece);
  EXPECT_NE(checksum_of_value(swapped, crew{}), expected);
  EXPECT_EQ(checksum_of_value(std::vector(right), crew{}), expected);
}

}  // namespace value_checksum_test
}  // namespace lading
