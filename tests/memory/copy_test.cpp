// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/memory/copy.hpp>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace {

using lading::copy_mode;

std::vector<std::byte> random_bytes(std::size_t size) {
  std::mt19937_64 random(size);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// Copies at every combination of alignments and checks the target with its surroundings.
void expect_exact(std::size_t size, auto&& copy) {
  const std::vector<std::byte> source = random_bytes(size + 64);
  std::vector<std::byte> target(size + 256), expected(size + 256);
  for (const std::size_t from : std::initializer_list<std::size_t>{0, 1, 17, 63}) {
    for (const std::size_t to : std::initializer_list<std::size_t>{64, 65, 80, 127}) {
      std::fill(target.begin(), target.end(), std::byte{0xAA});
      expected = target;
      std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(from), size, expected.begin() + static_cast<std::ptrdiff_t>(to));
      copy(target.data() + to, source.data() + from, size);
      ASSERT_TRUE(target == expected) << size << " bytes from " << from << " to " << to;
    }
  }
}

TEST(CopySmall, CopiesUpToSixteenBytes) {
  for (std::size_t size = 0; size <= 16; ++size) {
    expect_exact(size, [](void* target, const void* source, std::size_t count) { lading::copy_small(target, source, count); });
  }
}

TEST(CopyStreaming, CopiesEverySize) {
  const auto copy = [](void* target, const void* source, std::size_t count) { lading::copy_streaming(target, source, count); };
  for (std::size_t size = 0; size < 1400; ++size) expect_exact(size, copy);
  for (const std::size_t size : std::initializer_list<std::size_t>{4096, 4097, 65535, 1 << 20}) expect_exact(size, copy);
}

TEST(CopyBytes, CopiesEverySizeInEveryMode) {
  for (const copy_mode mode : {copy_mode::automatic, copy_mode::cached, copy_mode::streaming}) {
    const auto copy = [&](void* target, const void* source, std::size_t count) { lading::copy_bytes(target, source, count, mode); };
    for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 15, 16, 17, 511, 512, 2047, 2048, 5000, 70000}) expect_exact(size, copy);
  }
  const std::size_t large = lading::detail::streaming_threshold;
  for (const std::size_t size : std::initializer_list<std::size_t>{large - 1, large, large + 129}) {
    const std::vector<std::byte> source = random_bytes(size);
    std::vector<std::byte> target(size + 1, std::byte{0xAA});
    lading::copy_bytes(target.data(), source.data(), size);
    EXPECT_TRUE(std::equal(source.begin(), source.end(), target.begin()));
    EXPECT_EQ(target.back(), std::byte{0xAA});
  }
}

TEST(CopyBytes, NothingMayBeCopiedFromNowhere) {
  lading::copy_bytes(nullptr, nullptr, 0);
  lading::copy_streaming(nullptr, nullptr, 0);
  lading::copy_small(nullptr, nullptr, 0);
}

TEST(CopyBytes, TargetsJustBehindTheSourceModuloAPageAreCopiedToo) {
  constexpr std::size_t page = 4096, room = 8 * page;
  const std::unique_ptr<std::byte, void (*)(void*)> memory(static_cast<std::byte*>(std::aligned_alloc(page, 2 * room)), std::free);
  for (const std::size_t distance : std::initializer_list<std::size_t>{0, 1, 16, 31, 32}) {
    for (const std::size_t size : std::initializer_list<std::size_t>{2047, 2048, 2049, 5000, 20000}) {
      const std::vector<std::byte> pattern = random_bytes(size);
      std::fill_n(memory.get(), 2 * room, std::byte{0xAA});
      std::byte* const source = memory.get() + 48;
      std::byte* const target = memory.get() + room + 48 + distance;
      std::copy(pattern.begin(), pattern.end(), source);
      lading::copy_bytes(target, source, size, copy_mode::cached);
      ASSERT_TRUE(std::equal(pattern.begin(), pattern.end(), target)) << distance << ' ' << size;
      ASSERT_EQ(target[-1], std::byte{0xAA});
      ASSERT_EQ(target[size], std::byte{0xAA});
    }
  }
}

}  // namespace
