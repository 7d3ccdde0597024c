// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/memory/aligned_buffer.hpp>

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace {

using lading::aligned_buffer;
using lading::errc;

static_assert(std::is_nothrow_move_constructible_v<aligned_buffer> && !std::is_copy_constructible_v<aligned_buffer>);
template <class Buffer>
concept lends = requires(Buffer&& buffer) { std::forward<Buffer>(buffer).span().size(); };
static_assert(lends<aligned_buffer&> && lends<const aligned_buffer&> && !lends<aligned_buffer>);

TEST(AlignedBuffer, LiesAtTheAlignmentThatWasAskedFor) {
  for (const std::size_t alignment : std::initializer_list<std::size_t>{1, 2, 16, 64, 128, 4096, 65536}) {
    for (const std::size_t size : std::initializer_list<std::size_t>{1, 3, 64, 1000, 70000}) {
      auto buffer = aligned_buffer::allocate(size, alignment);
      ASSERT_TRUE(buffer.has_value()) << buffer.error().message();
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % alignment, 0U);
      EXPECT_EQ(buffer->size(), size);
      std::memset(buffer->data(), 1, size);
    }
  }
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(aligned_buffer::allocate(1)->data()) % 64, 0U);
}

TEST(AlignedBuffer, NoBytesNeedNoMemory) {
  const auto buffer = aligned_buffer::allocate(0);
  ASSERT_TRUE(buffer.has_value());
  EXPECT_TRUE(buffer->empty());
  EXPECT_EQ(buffer->data(), nullptr);
  EXPECT_TRUE(aligned_buffer().empty());
}

TEST(AlignedBuffer, OddAlignmentsAreRefused) {
  for (const std::size_t alignment :
       std::initializer_list<std::size_t>{std::size_t{0}, std::size_t{3}, std::size_t{24}, std::size_t{65}, ~std::size_t{0}}) {
    const auto buffer = aligned_buffer::allocate(8, alignment);
    ASSERT_FALSE(buffer.has_value());
    EXPECT_EQ(buffer.error().code(), errc::invalid_argument);
    EXPECT_NE(buffer.error().message().find("an alignment is a power of two"), std::string::npos);
  }
  EXPECT_TRUE(aligned_buffer::allocate(8, 8).has_value());
}

TEST(AlignedBuffer, ImpossibleSizesAreNoMemory) {
  volatile std::size_t most = ~std::size_t{0};  // unseen by the compiler, which warns of such sizes
  for (const std::size_t size : std::initializer_list<std::size_t>{std::size_t{most}, most - 63, most / 2, most / 2 - 64}) {
    for (const std::size_t alignment : std::initializer_list<std::size_t>{std::size_t{64}, std::size_t{1} << 63}) {
      const auto buffer = aligned_buffer::allocate(size, alignment);
      ASSERT_FALSE(buffer.has_value());
      EXPECT_EQ(buffer.error().code(), errc::no_memory);
      EXPECT_EQ(buffer.error().details().needed, size);
    }
  }
}

TEST(AlignedBuffer, MovingKeepsThePlace) {
  auto made = aligned_buffer::allocate(100, 256);
  ASSERT_TRUE(made.has_value());
  std::byte* const data = made->data();
  aligned_buffer moved = std::move(*made);
  EXPECT_EQ(moved.data(), data);
  EXPECT_EQ(made->data(), nullptr);
  EXPECT_EQ(made->size(), 0U);
  aligned_buffer other = std::move(*aligned_buffer::allocate(5));
  other = std::move(moved);
  EXPECT_EQ(other.data(), data);
  EXPECT_EQ(other.size(), 100U);
  aligned_buffer& same = other;
  other = std::move(same);
  EXPECT_EQ(other.data(), data);
  const lading::bytes_span writable = other;
  const lading::bytes_view readable = std::as_const(other);
  EXPECT_EQ(writable.data(), data);
  EXPECT_EQ(readable.size(), 100U);
}

}  // namespace
