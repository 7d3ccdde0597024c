// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/scalar.hpp>

#include <bit>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>

#include <gtest/gtest.h>

#include "support/codec_checks.hpp"

namespace {

using lading::errc;
using lading_test::check_value;
using lading_test::exact_bytes;
using lading_test::from_hex;
using lading_test::hex_of;
using lading_test::stream_of;

TEST(scalar, integers_are_little_endian) {
  EXPECT_EQ(hex_of(std::uint8_t{0x7f}), "7f");
  EXPECT_EQ(hex_of(std::int8_t{-1}), "ff");
  EXPECT_EQ(hex_of(std::uint16_t{0x0102}), "0201");
  EXPECT_EQ(hex_of(std::int32_t{-2}), "feffffff");
  EXPECT_EQ(hex_of(std::uint64_t{0x0102030405060708}), "0807060504030201");
  EXPECT_EQ(hex_of('a'), "61");
  EXPECT_EQ(hex_of(u8'a'), "61");
  EXPECT_EQ(hex_of(u'a'), "6100");
  EXPECT_EQ(hex_of(U'\x1f600'), "00f60100");
  EXPECT_EQ(hex_of(std::byte{0xa5}), "a5");
}

TEST(scalar, wide_integers_take_sixteen_bytes) {
  __extension__ using wide = __int128;
  __extension__ using unsigned_wide = unsigned __int128;
  const auto value = static_cast<unsigned_wide>(0x0102030405060708ULL) << 64 | 0x090a0b0c0d0e0f10ULL;
  EXPECT_EQ(hex_of(value), "100f0e0d0c0b0a090807060504030201");
  EXPECT_EQ(hex_of(static_cast<wide>(-1)), "ffffffffffffffffffffffffffffffff");
  check_value(value);
  check_value(static_cast<wide>(value));
}

TEST(scalar, numbers_round_trip) {
  check_value(true);
  check_value(false);
  check_value(std::numeric_limits<std::int64_t>::min());
  check_value(std::numeric_limits<std::uint16_t>::max());
  check_value(1.5F);
  check_value(-0.0);
  check_value(std::numeric_limits<double>::infinity());
  check_value(L'x');
  check_value(12345L);
  check_value(12345ULL);
}

TEST(scalar, nan_keeps_its_bits) {
  for (const std::uint64_t bits : {0x7ff0000000000001ULL, 0x7ff8000000000000ULL, 0xfff8dead0000beefULL, 0x8000000000000000ULL}) {
    const auto decoded = lading::decode_from<double>(stream_of(std::bit_cast<double>(bits)));
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(std::bit_cast<std::uint64_t>(*decoded), bits);
  }
  for (const std::uint32_t bits : {0x7f800001U, 0xffc12345U, 0x80000000U}) {
    const auto decoded = lading::decode_from<float>(stream_of(std::bit_cast<float>(bits)));
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(std::bit_cast<std::uint32_t>(*decoded), bits);
  }
}

TEST(scalar, bool_is_zero_or_one) {
  EXPECT_EQ(hex_of(true), "01");
  EXPECT_EQ(hex_of(false), "00");
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::byte raw[1] = {static_cast<std::byte>(byte)};
    const auto decoded = lading::decode_from<bool>(raw);
    if (byte < 2) {
      ASSERT_EQ(decoded, byte == 1);
    } else {
      ASSERT_FALSE(decoded.has_value());
      ASSERT_EQ(decoded.error().code(), errc::invalid_value) << byte;
    }
  }
}

TEST(scalar, padding_of_long_double_is_zero) {
  if (std::numeric_limits<long double>::digits != 64) GTEST_SKIP() << "long double is not the x87 format here";
  alignas(long double) unsigned char memory[sizeof(long double)];
  std::memset(memory, 0xab, sizeof(memory));
  const long double one = 1;
  std::memcpy(memory, &one, 10);
  const auto& value = *reinterpret_cast<const long double*>(memory);  // Safety: all ten bytes of a value are there
  EXPECT_EQ(hex_of(value), "0000000000000080ff3f000000000000");
  check_value(value);
  std::vector<std::byte> stray = stream_of(value);
  stray[15] = std::byte{1};
  EXPECT_EQ(lading::decode_from<long double>(stray).error().code(), errc::invalid_value);
}

enum class colour : std::uint16_t { red = 1, green = 0x1234 };
enum direction : std::int8_t { backward = -1, forward = 1 };
enum class flag : bool { off, on };
enum class letter : char { a = 'a' };
enum class defaulted { first };

TEST(scalar, enumerations_are_their_integer) {
  EXPECT_EQ(hex_of(colour::green), "3412");
  EXPECT_EQ(hex_of(backward), "ff");
  EXPECT_EQ(hex_of(flag::on), "01");
  EXPECT_EQ(hex_of(letter::a), "61");
  EXPECT_EQ(hex_of(defaulted::first), "00000000");
  check_value(colour::red);
  check_value(forward);
  check_value(flag::on);
  EXPECT_EQ(lading::decode_from<flag>(from_hex("02")).error().code(), errc::invalid_value);
  EXPECT_EQ(lading::decode_from<colour>(from_hex("ffff")), static_cast<colour>(0xffff));  // no enumerator, and yet a value
}

TEST(scalar, complex_is_two_numbers) {
  EXPECT_EQ(hex_of(std::complex<float>(1, -2)), "0000803f000000c0");
  check_value(std::complex<float>(1, -2));
  check_value(std::complex<double>(0, -0.0));
  check_value(std::complex<long double>(1, 2));
}

TEST(scalar, padding_of_complex_long_double_is_zero) {
  if (std::numeric_limits<long double>::digits != 64) GTEST_SKIP() << "long double is not the x87 format here";
  alignas(std::complex<long double>) unsigned char memory[sizeof(std::complex<long double>)];
  std::memset(memory, 0xab, sizeof(memory));
  const long double parts[2] = {1, 2};
  std::memcpy(memory, &parts[0], 10);
  std::memcpy(memory + 16, &parts[1], 10);
  const auto& value = *reinterpret_cast<const std::complex<long double>*>(memory);  // Safety: as above
  EXPECT_EQ(hex_of(value),
            "0000000000000080ff3f000000000000"
            "00000000000000800040000000000000");
}

TEST(scalar, bits_are_packed_from_the_lowest) {
  std::bitset<12> bits;
  bits.set(0).set(9).set(11);
  EXPECT_EQ(hex_of(bits), "010a");
  EXPECT_EQ(hex_of(std::bitset<0>{}), "");
  check_value(bits);
  check_value(std::bitset<0>{});
  check_value(std::bitset<1>(1));
  check_value(std::bitset<64>(0x8000000000000001));
  check_value(std::bitset<65>(0x8000000000000001).set(64));
  check_value(std::bitset<200>().set(199));
  EXPECT_EQ(lading::decode_from<std::bitset<12>>(from_hex("0110")).error().code(), errc::invalid_value);  // bit 12 of 12
}

TEST(scalar, durations_are_ticks) {
  using namespace std::chrono_literals;
  EXPECT_EQ(hex_of(std::chrono::milliseconds(258)), "0201000000000000");
  check_value(std::chrono::nanoseconds(-1));
  check_value(std::chrono::duration<float>(1.5F));
  check_value(std::chrono::duration<std::int32_t, std::ratio<1, 3>>(7));
  check_value(std::chrono::sys_time<std::chrono::microseconds>(1'700'000'000'000'000us));
  check_value(std::chrono::steady_clock::time_point(std::chrono::steady_clock::duration(-5)));
}

TEST(scalar, errors_name_size_and_place) {
  const auto short_one = lading::decode_from<std::uint32_t>(from_hex("010203"));
  ASSERT_FALSE(short_one.has_value());
  EXPECT_EQ(short_one.error().message(), "truncated: needs 4, has 3, at offset 0: the input ends inside a value");
  const auto long_one = lading::decode_from<std::uint32_t>(from_hex("0102030405"));
  ASSERT_FALSE(long_one.has_value());
  EXPECT_EQ(long_one.error().message(), "trailing_bytes: needs 4, has 5: the input goes on after the value");
  const auto wrong = lading::decode_from<bool>(from_hex("02"));
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().message(), "invalid_value: at offset 0: a bool, padding byte or other field has bits that no value sets");
  EXPECT_TRUE(lading::decode_from<std::uint32_t>(from_hex("01020304")).has_value());
}

}  // namespace
