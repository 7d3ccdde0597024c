// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/memory/copy_hashing.hpp>

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace {

using lading::copy_mode;

/// Remembers what it was shown.
struct recorder {
  std::vector<std::byte> seen;
  std::size_t largest = 0;
  void update(const void* block, std::size_t size) {
    const auto* const begin = static_cast<const std::byte*>(block);
    seen.insert(seen.end(), begin, begin + size);
    largest = std::max(largest, size);
  }
};
static_assert(lading::block_hasher<recorder> && !lading::block_hasher<int>);

TEST(CopyHashing, ShowsTheHasherEveryByteInOrder) {
  const std::size_t block = lading::detail::hashing_block;
  for (const copy_mode mode : {copy_mode::automatic, copy_mode::cached, copy_mode::streaming}) {
    for (const std::size_t size :
         std::initializer_list<std::size_t>{std::size_t{0}, std::size_t{1}, std::size_t{600}, block - 1, block, block + 1, 5 * block + 77}) {
      std::vector<std::byte> source(size), target(size + 1, std::byte{0xAA});
      for (std::size_t i = 0; i < size; ++i) source[i] = static_cast<std::byte>(i * 7 + i / 251);
      recorder hasher;
      lading::copy_hashing(target.data(), source.data(), size, hasher, mode);
      EXPECT_TRUE(hasher.seen == source);
      EXPECT_LE(hasher.largest, block);
      EXPECT_TRUE(std::equal(source.begin(), source.end(), target.begin()));
      EXPECT_EQ(target.back(), std::byte{0xAA});
    }
  }
}

TEST(CopyHashing, LargeCopiesStreamByThemselves) {
  std::vector<std::byte> source(lading::detail::streaming_threshold + 3, std::byte{5}), target(source.size());
  recorder hasher;
  lading::copy_hashing(target.data(), source.data(), source.size(), hasher);
  EXPECT_TRUE(hasher.seen == source);
  EXPECT_TRUE(target == source);
}

}  // namespace
