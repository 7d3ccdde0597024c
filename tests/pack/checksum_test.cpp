// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/pack/checksum.hpp>

#include <gtest/gtest.h>

#include "pack/samples.hpp"

namespace {

using namespace pack_test;
using lading::checksum_of;
using lading::copy_mode;

TEST(Checksum, IsXxh3OfSeedZero) {
  // From the reference implementation's command-line tool (xxhsum -H3).
  EXPECT_EQ(checksum_of("", 0), 0x2D06800538D394C2U);
  EXPECT_EQ(checksum_of("a", 1), 0xE6C632B61E964E1FU);
  EXPECT_EQ(checksum_of("abc", 3), 0x78AF5F94892F3950U);
}

TEST(Checksum, BlocksGiveTheHashOfTheWhole) {
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 16, 17, 128, 129, 240, 241, 255, 256, 257, 1024, 5000}) {
    const bytes source = payload(3, size);
    const std::uint64_t whole = checksum_of(source.data(), size);
    for (const std::size_t block : std::initializer_list<std::size_t>{1, 7, 64, 241, 4096}) {
      lading::checksum_hasher hasher;
      for (std::size_t at = 0; at < size; at += block) hasher.update(source.data() + at, std::min(block, size - at));
      EXPECT_EQ(hasher.digest(), whole) << size << " in blocks of " << block;
    }
  }
}

TEST(Checksum, CopyingReturnsTheHashOfWhatWasCopied) {
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 100, 511, 512, 16383, 16384, 16385, 40000, 200000}) {
    const bytes source = payload(9, size);
    for (const copy_mode mode : {copy_mode::automatic, copy_mode::cached, copy_mode::streaming}) {
      for (const std::size_t shift : std::initializer_list<std::size_t>{0, 1, 48}) {
        bytes target(size + 64 + shift, std::byte{0xAA});
        EXPECT_EQ(lading::copy_with_checksum(target.data() + shift, source.data(), size, mode), checksum_of(source.data(), size));
        EXPECT_EQ(owned(bytes_view(target).subspan(shift, size)), source);
        EXPECT_EQ(target[shift + size], std::byte{0xAA});
      }
    }
  }
}

}  // namespace
