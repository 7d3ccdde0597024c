// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/core/endian.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

namespace {

using lading::detail::load_little;
using lading::detail::store_little;

static_assert(lading::detail::little_endian_host == (std::endian::native == std::endian::little));

constexpr std::array<unsigned char, 17> counting{0xEE, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

TEST(endian, first_byte_is_the_least) {
  EXPECT_EQ(load_little<std::uint8_t>(counting.data() + 1), 0x01);
  EXPECT_EQ(load_little<std::uint16_t>(counting.data() + 1), 0x0201);
  EXPECT_EQ(load_little<std::uint32_t>(counting.data() + 1), 0x04030201U);
  EXPECT_EQ(load_little<std::uint64_t>(counting.data() + 1), 0x0807060504030201U);
}

TEST(endian, stores_what_it_loads_at_every_alignment) {
  for (std::size_t shift = 0; shift < 16; ++shift) {
    std::array<std::byte, 40> buffer{};
    store_little<std::uint64_t>(buffer.data() + shift, 0x0807060504030201U);
    for (std::size_t i = 0; i < buffer.size(); ++i) {
      const bool inside = i >= shift && i < shift + 8;
      ASSERT_EQ(std::to_integer<std::size_t>(buffer[i]), inside ? i - shift + 1 : 0) << "shift " << shift << ", byte " << i;
    }
    ASSERT_EQ(load_little<std::uint64_t>(buffer.data() + shift), 0x0807060504030201U);
  }
}

template <class Number>
void round_trips(Number value) {
  std::array<std::byte, sizeof(Number) + 1> buffer{};
  store_little<Number>(buffer.data() + 1, value);
  const Number back = load_little<Number>(buffer.data() + 1);
  EXPECT_EQ(std::memcmp(&back, &value, sizeof(Number)), 0);
}

TEST(endian, signed_numbers_and_floats_keep_their_bits) {
  round_trips<std::int8_t>(-1);
  round_trips<std::int16_t>(std::numeric_limits<std::int16_t>::min());
  round_trips<std::int32_t>(-2);
  round_trips<std::int64_t>(std::numeric_limits<std::int64_t>::min());
  round_trips<float>(-0.0F);
  round_trips<double>(std::bit_cast<double>(std::uint64_t{0x7FF0000000000001}));  // a signalling NaN and its payload
  round_trips<std::byte>(std::byte{0xA5});
  round_trips<bool>(true);
}

enum class colour : std::uint16_t { red = 0x1234 };

TEST(endian, enums_are_numbers) {
  std::array<unsigned char, 2> buffer{};
  store_little(buffer.data(), colour::red);
  EXPECT_EQ(buffer[0], 0x34);
  EXPECT_EQ(buffer[1], 0x12);
  EXPECT_EQ(load_little<colour>(buffer.data()), colour::red);
}

}  // namespace
