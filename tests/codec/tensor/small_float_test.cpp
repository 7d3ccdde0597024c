// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <lading/codec/tensor/small_float.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

namespace {

/// A format as its specification's table gives it, in double arithmetic and nothing shared with the header.
struct format {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  bool has_infinity;  // and NaNs beside it, as IEEE 754 has
  bool has_negative_zero;
  std::uint32_t largest_code;

  std::uint32_t sign_bit() const { return 1U << (exponent_bits + mantissa_bits); }

  double value(std::uint32_t code) const {
    const double sign = (code & sign_bit()) != 0 ? -1.0 : 1.0;
    const std::uint32_t magnitude = code & (sign_bit() - 1);
    if (!has_negative_zero && code == sign_bit()) return std::nan("");
    if (magnitude > largest_code)
      return has_infinity && magnitude == largest_code + 1 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
    const int exponent = static_cast<int>(magnitude >> mantissa_bits);
    const double fraction = static_cast<double>(magnitude & ((1U << mantissa_bits) - 1)) / static_cast<double>(1U << mantissa_bits);
    return sign * (exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1.0 + fraction, exponent - bias));
  }
};

template <class T>
struct specification;
template <>
struct specification<lading::float16> {
  static constexpr format of{5, 10, 15, true, true, 0x7BFF};
};
template <>
struct specification<lading::bfloat16> {
  static constexpr format of{8, 7, 127, true, true, 0x7F7F};
};
template <>
struct specification<lading::float8_e4m3fn> {
  static constexpr format of{4, 3, 7, false, true, 0x7E};
};
template <>
struct specification<lading::float8_e5m2> {
  static constexpr format of{5, 2, 15, true, true, 0x7B};
};
template <>
struct specification<lading::float8_e4m3fnuz> {
  static constexpr format of{4, 3, 8, false, false, 0x7F};
};
template <>
struct specification<lading::float8_e5m2fnuz> {
  static constexpr format of{5, 2, 16, false, false, 0x7F};
};

template <class T>
class small_float : public testing::Test {
 public:
  using bits = decltype(T::bits);
  static constexpr format spec = specification<T>::of;

  static T from_code(std::uint32_t code) { return T{static_cast<bits>(code)}; }
};

using formats =
    testing::Types<lading::float16, lading::bfloat16, lading::float8_e4m3fn, lading::float8_e5m2, lading::float8_e4m3fnuz, lading::float8_e5m2fnuz>;
TYPED_TEST_SUITE(small_float, formats);

TYPED_TEST(small_float, is_its_bits) {
  static_assert(std::is_trivially_copyable_v<TypeParam> && std::is_trivially_default_constructible_v<TypeParam> && std::is_aggregate_v<TypeParam>);
  static_assert(sizeof(TypeParam) == sizeof(typename TestFixture::bits) && alignof(TypeParam) == sizeof(TypeParam));
  static_assert(static_cast<float>(TypeParam::from(1.5F)) == 1.5F);
  EXPECT_TRUE(this->from_code(1) == this->from_code(1));
  EXPECT_FALSE(this->from_code(1) == this->from_code(2));
}

TYPED_TEST(small_float, widens_every_code_as_specified) {
  for (std::uint32_t code = 0; code < 2 * this->spec.sign_bit(); ++code) {
    const double expected = this->spec.value(code);
    const float widened = static_cast<float>(this->from_code(code));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(widened)) << code;
    } else {
      EXPECT_EQ(static_cast<double>(widened), expected) << code;
      EXPECT_EQ(std::signbit(widened), std::signbit(expected)) << code;
    }
  }
}

TYPED_TEST(small_float, narrows_every_code_back_to_itself) {
  for (std::uint32_t code = 0; code < 2 * this->spec.sign_bit(); ++code) {
    const TypeParam value = this->from_code(code);
    const TypeParam again = TypeParam::from(static_cast<float>(value));
    if (std::isnan(this->spec.value(code))) {
      EXPECT_TRUE(std::isnan(static_cast<float>(again))) << code;
    } else {
      EXPECT_EQ(again, value) << code;
    }
  }
}

/// Between two neighbours there is one tie; what lies on either side of it, by one step of a float, goes to the nearer one.
TYPED_TEST(small_float, rounds_to_nearest_ties_to_even) {
  const std::uint32_t last = this->spec.largest_code;
  for (std::uint32_t code = 0; code < last; ++code) {
    const double low = this->spec.value(code);
    const double high = this->spec.value(code + 1);
    const auto tie = static_cast<float>((low + high) / 2);
    if (static_cast<double>(tie) != (low + high) / 2) {
      ADD_FAILURE() << "no tie to test at " << code;
      continue;
    }
    const std::uint32_t even = code % 2 == 0 ? code : code + 1;
    EXPECT_EQ(TypeParam::from(tie), this->from_code(even)) << code;
    EXPECT_EQ(TypeParam::from(std::nextafter(tie, 0.0F)), this->from_code(code)) << code;
    EXPECT_EQ(TypeParam::from(std::nextafter(tie, std::numeric_limits<float>::infinity())), this->from_code(code + 1)) << code;
    const bool vanishes = even == 0 && !this->spec.has_negative_zero;
    EXPECT_EQ(TypeParam::from(-tie), this->from_code(vanishes ? 0 : even | this->spec.sign_bit())) << code;
    EXPECT_EQ(TypeParam::from(std::nextafter(-tie, -std::numeric_limits<float>::infinity())), this->from_code((code + 1) | this->spec.sign_bit()))
        << code;
  }
}

TYPED_TEST(small_float, overflows_where_the_next_number_would_be_nearer) {
  const format& layout = this->spec;
  const double largest = layout.value(layout.largest_code);
  const double step = largest - layout.value(layout.largest_code - 1);
  const double tie = largest + step / 2;
  const bool tie_is_down = layout.largest_code % 2 == 0;
  const auto is_overflow = [&](float value) {
    const float narrowed = static_cast<float>(TypeParam::from(value));
    if (!layout.has_infinity) return std::isnan(narrowed);
    return std::isinf(narrowed) && std::signbit(narrowed) == std::signbit(value);
  };
  const auto edge = static_cast<float>(tie);
  ASSERT_EQ(static_cast<double>(edge), tie);
  for (const float sign : {1.0F, -1.0F}) {
    EXPECT_FALSE(is_overflow(sign * static_cast<float>(largest)));
    EXPECT_FALSE(is_overflow(sign * std::nextafter(edge, 0.0F)));
    EXPECT_EQ(is_overflow(sign * edge), !tie_is_down);
    EXPECT_TRUE(is_overflow(sign * std::nextafter(edge, std::numeric_limits<float>::infinity())));
    EXPECT_TRUE(is_overflow(sign * std::numeric_limits<float>::max()));
    EXPECT_TRUE(is_overflow(sign * std::numeric_limits<float>::infinity()));
  }
}

TYPED_TEST(small_float, keeps_nan_and_the_sign_of_zero) {
  const std::uint32_t sign = this->spec.sign_bit();
  EXPECT_EQ(TypeParam::from(0.0F), this->from_code(0));
  EXPECT_EQ(TypeParam::from(-0.0F), this->from_code(this->spec.has_negative_zero ? sign : 0));
  EXPECT_EQ(TypeParam::from(std::numeric_limits<float>::denorm_min()), this->from_code(0));
  for (const std::uint32_t pattern : {0x7FC0'0000U, 0x7F80'0001U, 0x7FFF'FFFFU, 0xFFC0'0000U, 0xFF80'0001U, 0xFFFF'FFFFU, 0x7FA0'0000U}) {
    const TypeParam narrowed = TypeParam::from(std::bit_cast<float>(pattern));
    EXPECT_TRUE(std::isnan(static_cast<float>(narrowed))) << pattern;
    if (this->spec.has_negative_zero) {
      EXPECT_EQ((narrowed.bits & sign) != 0, pattern >> 31 != 0) << pattern;
    }
  }
}

/// Random floats against a search for the nearest code: nothing between the ties is special.
TYPED_TEST(small_float, narrows_random_floats_to_the_nearest) {
  std::vector<double> values;
  for (std::uint32_t code = 0; code <= this->spec.largest_code; ++code) values.push_back(this->spec.value(code));
  std::mt19937 random(8);
  for (int i = 0; i < 20000; ++i) {
    float value = std::bit_cast<float>(static_cast<std::uint32_t>(random()) & 0x7FFF'FFFFU);
    if (i % 2 == 0) value = static_cast<float>(values.back() * (static_cast<double>(random()) / 4294967296.0));
    if (!(static_cast<double>(value) < values.back())) continue;
    const auto above = static_cast<std::size_t>(std::upper_bound(values.begin(), values.end(), static_cast<double>(value)) - values.begin());
    const double down = static_cast<double>(value) - values[above - 1];
    const double up = values[above] - static_cast<double>(value);
    if (down == up) continue;
    EXPECT_EQ(TypeParam::from(value), this->from_code(static_cast<std::uint32_t>(down < up ? above - 1 : above))) << value;
  }
}

#if defined(__FLT16_MANT_DIG__) && defined(__x86_64__)
TEST(float16, agrees_with_the_compiler) {
  std::mt19937 random(16);
  for (int i = 0; i < 1 << 20; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    const auto expected = std::bit_cast<std::uint16_t>(static_cast<_Float16>(value));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(lading::float16::from(value))));
    } else {
      ASSERT_EQ(lading::float16::from(value).bits, expected) << value;
    }
  }
}
#endif

TEST(float8_e8m0fnu, is_a_power_of_two_or_nan) {
  for (std::uint32_t code = 0; code < 255; ++code) {
    const lading::float8_e8m0fnu value{static_cast<std::uint8_t>(code)};
    EXPECT_EQ(static_cast<double>(static_cast<float>(value)), std::ldexp(1.0, static_cast<int>(code) - 127));
    EXPECT_EQ(lading::float8_e8m0fnu::from(static_cast<float>(value)), value);
    if (code == 254) continue;
    const auto tie = static_cast<float>(std::ldexp(1.5, static_cast<int>(code) - 127));
    EXPECT_EQ(lading::float8_e8m0fnu::from(tie).bits, code + 1);
    EXPECT_EQ(lading::float8_e8m0fnu::from(std::nextafter(tie, 0.0F)).bits, code);
  }
  EXPECT_TRUE(std::isnan(static_cast<float>(lading::float8_e8m0fnu{255})));
  EXPECT_EQ(lading::float8_e8m0fnu::from(0.0F).bits, 0);
  EXPECT_EQ(lading::float8_e8m0fnu::from(-0.0F).bits, 0);
  EXPECT_EQ(lading::float8_e8m0fnu::from(-1.0F).bits, 255);
  EXPECT_EQ(lading::float8_e8m0fnu::from(std::numeric_limits<float>::infinity()).bits, 255);
  EXPECT_EQ(lading::float8_e8m0fnu::from(std::numeric_limits<float>::quiet_NaN()).bits, 255);
  EXPECT_EQ(lading::float8_e8m0fnu::from(std::numeric_limits<float>::max()).bits, 255);  // 2^128 would be nearer than 2^127
}

}  // namespace
