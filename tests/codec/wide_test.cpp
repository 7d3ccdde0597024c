// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Structs of many fields and of large ones: they compile in seconds, and are what they would be if they were small.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "reflect/wide_structs.hpp"
#include "support/codec_checks.hpp"
#include "support/random_value.hpp"

namespace {

namespace wide = lading_test;
using lading_test::hex_of;
using lading_test::stream_of;

template <class T>
void expect_round_trips() {
  const lading_test::type_under_test type = lading_test::type<T>();
  lading_test::random_source random(7);
  T stale = lading_test::random_value<T>(random);
  for (int i = 0; i < 20; ++i) {
    const T value = lading_test::random_value<T>(random);
    const auto stream = stream_of(value);
    for (const auto& again : {type.decode_from(stream), type.decode_into(&stale, stream)}) {
      ASSERT_TRUE(again.has_value()) << again.error().message();
      ASSERT_EQ(*again, stream);
    }
    if (i == 0) lading_test::check_truncations(type, stream);
  }
}

TEST(wide, sixty_four_fields) { expect_round_trips<wide::of_64>(); }
TEST(wide, sixty_five_fields) { expect_round_trips<wide::of_65>(); }
TEST(wide, a_hundred_fields) { expect_round_trips<wide::of_100>(); }
TEST(wide, a_hundred_and_one_fields) { expect_round_trips<wide::of_101>(); }
TEST(wide, arrays_after_a_hundred_fields) { expect_round_trips<wide::of_103>(); }
TEST(wide, a_hundred_and_fifty_fields) { expect_round_trips<wide::of_150>(); }

TEST(wide, two_hundred_fields_are_a_record) {
  wide::of_200 value;
  value.a00 = 1;
  value.d49 = 0x0203;
  EXPECT_EQ(hex_of(value), "01" + std::string(2 * 297, '0') + "0302");
}

TEST(wide, two_hundred_and_fifty_six_fields) {
  wide::of_256 value;
  value.a00 = 1;
  value.k = "k";
  const auto stream = stream_of(value);
  const auto decoded = lading::decode_from<wide::of_256>(stream);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->k, "k");
  EXPECT_EQ(stream_of(*decoded), stream);
}

struct large {
  std::array<std::byte, 1 << 20> a;
  std::uint32_t b;
  friend bool operator==(const large&, const large&) = default;
};
struct large_and_variable {
  std::array<float, 1 << 18> a;
  std::string b;
};
struct large_c_array {
  std::uint16_t a[1 << 19];
  bool b[1 << 10];
};
struct large_of_strings {
  std::array<std::string, 1 << 14> a;
};

TEST(wide, a_mebibyte_in_an_array) {
  auto value = std::make_unique<large>();
  value->a.back() = std::byte{7};
  value->b = 5;
  std::vector<std::byte> stream = stream_of(*value);
  ASSERT_EQ(stream.size(), (1U << 20) + 4);
  EXPECT_EQ(stream[(1 << 20) - 1], std::byte{7});
  auto decoded = std::make_unique<large>();
  ASSERT_TRUE(lading::decode_into(*decoded, stream).has_value());
  EXPECT_TRUE(*decoded == *value);
  stream.pop_back();
  EXPECT_FALSE(lading::decode_into(*decoded, stream).has_value());
}

TEST(wide, large_arrays_beside_and_of_variable_parts) {
  auto value = std::make_unique<large_and_variable>();
  value->a[1] = 1;
  value->b = "b";
  auto decoded = std::make_unique<large_and_variable>();
  ASSERT_TRUE(lading::decode_into(*decoded, stream_of(*value)).has_value());
  EXPECT_EQ(decoded->a, value->a);
  EXPECT_EQ(decoded->b, "b");
  auto strings = std::make_unique<large_of_strings>();
  strings->a.back() = "last";
  auto read = std::make_unique<large_of_strings>();
  ASSERT_TRUE(lading::decode_into(*read, stream_of(*strings)).has_value());
  EXPECT_EQ(read->a, strings->a);
}

TEST(wide, large_c_arrays) {
  auto value = std::make_unique<large_c_array>();
  value->a[(1 << 19) - 1] = 0x0102;
  value->b[9] = true;
  std::vector<std::byte> stream = stream_of(*value);
  auto decoded = std::make_unique<large_c_array>();
  ASSERT_TRUE(lading::decode_into(*decoded, stream).has_value());
  EXPECT_EQ(decoded->a[(1 << 19) - 1], 0x0102);
  EXPECT_TRUE(decoded->b[9]);
  stream[(1 << 20) + 9] = std::byte{2};
  EXPECT_EQ(lading::decode_into(*decoded, stream).error().code(), lading::errc::invalid_value);
}

}  // namespace
