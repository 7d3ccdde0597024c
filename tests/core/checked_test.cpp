// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/core/checked.hpp>

#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace {

using lading::align_up;
using lading::checked_add;
using lading::checked_align_up;
using lading::checked_multiply;
using lading::range_inside;

constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();

template <class Number>
constexpr bool adds(Number left, Number right, Number expected) {
  Number sum = 0;
  return checked_add<Number>(left, right, sum) && sum == expected;
}
template <class Number>
constexpr bool multiplies(Number left, Number right, Number expected) {
  Number product = 0;
  return checked_multiply<Number>(left, right, product) && product == expected;
}
template <class Number>
constexpr bool aligns(Number value, Number alignment, Number expected) {
  Number rounded = 0;
  return checked_align_up<Number>(value, alignment, rounded) && rounded == expected;
}
template <class Number>
constexpr bool add_overflows(Number left, Number right) {
  Number sum = 0;
  return !checked_add<Number>(left, right, sum);
}
template <class Number>
constexpr bool multiply_overflows(Number left, Number right) {
  Number product = 0;
  return !checked_multiply<Number>(left, right, product);
}
template <class Number>
constexpr bool align_overflows(Number value, Number alignment) {
  Number rounded = 0;
  return !checked_align_up<Number>(value, alignment, rounded);
}

// At compile time: the same functions bound consteval code.
static_assert(adds<std::uint64_t>(largest - 1, 1, largest) && add_overflows<std::uint64_t>(largest, 1) &&
              add_overflows<std::uint64_t>(largest, largest));
static_assert(adds<std::uint32_t>(0, 0, 0) && adds<std::uint32_t>(0xFFFFFFFF, 0, 0xFFFFFFFF) && add_overflows<std::uint32_t>(0x80000000, 0x80000000));
static_assert(multiplies<std::uint64_t>(0xFFFFFFFF, 0x100000001, largest) && multiply_overflows<std::uint64_t>(0x100000000, 0x100000000));
static_assert(multiplies<std::uint64_t>(largest, 0, 0) && multiplies<std::uint64_t>(0, largest, 0) && multiplies<std::uint64_t>(largest, 1, largest));
static_assert(multiply_overflows<std::uint64_t>(largest, 2) && multiply_overflows<std::uint64_t>((largest / 2) + 1, 2) &&
              multiplies<std::uint64_t>(largest / 2, 2, largest - 1));
static_assert(multiply_overflows<std::uint16_t>(0xFFFF, 0xFFFF) && multiplies<std::uint16_t>(0xFF, 0x101, 0xFFFF));
static_assert(aligns<std::uint64_t>(0, 64, 0) && aligns<std::uint64_t>(1, 64, 64) && aligns<std::uint64_t>(64, 64, 64) &&
              aligns<std::uint64_t>(65, 64, 128));
static_assert(aligns<std::uint64_t>(largest - 63, 64, largest - 63) && align_overflows<std::uint64_t>(largest - 62, 64) &&
              aligns<std::uint64_t>(largest, 1, largest));
static_assert(align_up<std::uint64_t>(0, 8) == 0 && align_up<std::uint64_t>(9, 8) == 16 && align_up<std::uint32_t>(0xFFFFFFC0, 64) == 0xFFFFFFC0);

TEST(checked, every_sum_and_product_of_bytes) {
  for (unsigned left = 0; left <= 0xFF; ++left) {
    for (unsigned right = 0; right <= 0xFF; ++right) {
      std::uint8_t sum = 0;
      std::uint8_t product = 0;
      const bool sum_fits = checked_add<std::uint8_t>(static_cast<std::uint8_t>(left), static_cast<std::uint8_t>(right), sum);
      const bool product_fits = checked_multiply<std::uint8_t>(static_cast<std::uint8_t>(left), static_cast<std::uint8_t>(right), product);
      ASSERT_EQ(sum_fits, left + right <= 0xFF) << left << " + " << right;
      ASSERT_EQ(product_fits, left * right <= 0xFF) << left << " * " << right;
      if (sum_fits) {
        ASSERT_EQ(sum, left + right);
      }
      if (product_fits) {
        ASSERT_EQ(product, left * right);
      }
    }
  }
}

TEST(checked, every_alignment_of_a_byte) {
  for (unsigned value = 0; value <= 0xFF; ++value) {
    for (unsigned alignment = 1; alignment <= 0x80; alignment *= 2) {
      const unsigned expected = (value + alignment - 1) / alignment * alignment;
      std::uint8_t rounded = 0;
      const bool fits = checked_align_up<std::uint8_t>(static_cast<std::uint8_t>(value), static_cast<std::uint8_t>(alignment), rounded);
      ASSERT_EQ(fits, expected <= 0xFF) << value << " to " << alignment;
      if (fits) {
        ASSERT_EQ(rounded, expected);
        ASSERT_EQ(align_up<std::uint8_t>(static_cast<std::uint8_t>(value), static_cast<std::uint8_t>(alignment)), expected);
      }
    }
  }
}

TEST(checked, every_range_of_bytes) {
  for (unsigned offset = 0; offset <= 0xFF; ++offset) {
    for (unsigned size = 0; size <= 0xFF; ++size) {
      for (const unsigned total : {0U, 1U, 2U, 127U, 128U, 254U, 255U}) {
        const bool inside = range_inside(static_cast<std::uint8_t>(offset), static_cast<std::uint8_t>(size), static_cast<std::uint8_t>(total));
        ASSERT_EQ(inside, offset + size <= total) << offset << " + " << size << " in " << total;
      }
    }
  }
}

TEST(checked, ranges_that_wrap_are_outside) {
  EXPECT_FALSE(range_inside(largest, std::uint64_t{1}, largest));
  EXPECT_FALSE(range_inside(std::uint64_t{64}, largest - 63, std::uint64_t{4096}));  // the sum is 1
  EXPECT_FALSE(range_inside(std::uint64_t{64}, largest - 31, std::uint64_t{4096}));
  EXPECT_TRUE(range_inside(largest, std::uint64_t{0}, largest));
  EXPECT_TRUE(range_inside(std::uint64_t{0}, largest, largest));
}

TEST(checked, ranges_of_mixed_widths) {
  EXPECT_TRUE(range_inside(std::uint32_t{8}, std::uint64_t{8}, std::uint64_t{16}));
  EXPECT_FALSE(range_inside(std::uint32_t{8}, std::uint64_t{0x100000008}, std::uint32_t{16}));
  EXPECT_FALSE(range_inside(std::uint64_t{0x100000000}, std::uint32_t{0}, std::uint32_t{16}));
}

TEST(checked, counts_that_a_32_bit_product_would_wrap) {
  for (const std::uint64_t count : {std::uint64_t{1} << 29, std::uint64_t{1} << 32, std::uint64_t{1} << 61}) {
    std::uint64_t bytes = 0;
    EXPECT_EQ(checked_multiply<std::uint64_t>(count, 32, bytes), count < (std::uint64_t{1} << 59)) << count;
  }
}

}  // namespace
