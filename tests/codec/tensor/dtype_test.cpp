// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <lading/codec/tensor/dtype.hpp>

#include <gtest/gtest.h>

#include <complex>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

using lading::dtype;
using lading::dtype_of;
using lading::tensor_element;

/// The numbers are on the wire: this table only ever grows.
struct row {
  int number;
  std::string_view name;
  std::size_t size;
};
constexpr row rows[] = {
    {1, "bool", 1},
    {16, "uint8", 1},
    {17, "uint16", 2},
    {18, "uint32", 4},
    {19, "uint64", 8},
    {32, "int8", 1},
    {33, "int16", 2},
    {34, "int32", 4},
    {35, "int64", 8},
    {48, "float16", 2},
    {49, "float32", 4},
    {50, "float64", 8},
    {51, "bfloat16", 2},
    {64, "float8_e4m3fn", 1},
    {65, "float8_e5m2", 1},
    {66, "float8_e4m3fnuz", 1},
    {67, "float8_e5m2fnuz", 1},
    {68, "float8_e8m0fnu", 1},
    {69, "float4_e2m1fn_x2", 1},
    {80, "complex32", 4},
    {81, "complex64", 8},
    {82, "complex128", 16},
};

TEST(dtype, has_fixed_numbers_names_and_sizes) {
  std::set<int> known;
  for (const row& expected : rows) {
    known.insert(expected.number);
    const auto number = static_cast<std::uint8_t>(expected.number);
    const lading::result<dtype> type = lading::dtype_from_number(number);
    ASSERT_TRUE(type) << expected.name;
    EXPECT_EQ(static_cast<int>(*type), expected.number);
    EXPECT_EQ(lading::name_of(*type), expected.name);
    EXPECT_EQ(lading::item_size(*type), expected.size);
    EXPECT_EQ(lading::dtype_from_name(expected.name), *type);
    EXPECT_TRUE(lading::is_valid_dtype(number));
  }
  EXPECT_EQ(known.size(), std::size(lading::detail::dtype_rows));
  for (int number = 0; number < 256; ++number) {
    if (known.contains(number)) continue;
    EXPECT_FALSE(lading::is_valid_dtype(static_cast<std::uint8_t>(number)));
    EXPECT_EQ(lading::dtype_from_number(static_cast<std::uint8_t>(number)).error(), lading::errc::invalid_value);
    EXPECT_EQ(lading::item_size(static_cast<dtype>(number)), 0U);
    EXPECT_EQ(lading::name_of(static_cast<dtype>(number)), "unknown");
  }
}

TEST(dtype, knows_only_the_names_that_torch_prints) {
  for (const std::string_view name :
       {"", "float", "half", "torch.float32", "Float32", "float32 ", "boolean", "unknown", "double", "qint8", "float3", "float322"}) {
    EXPECT_EQ(lading::dtype_from_name(name).error(), lading::errc::invalid_value) << name;
  }
  EXPECT_EQ(lading::dtype_from_name("float32"), dtype::float32);
}

struct vector3 {
  float x, y, z;
};
enum class color : std::uint8_t {};

static_assert(dtype_of<bool> == dtype::boolean && dtype_of<std::byte> == dtype::uint8);
static_assert(dtype_of<std::uint8_t> == dtype::uint8 && dtype_of<std::uint16_t> == dtype::uint16);
static_assert(dtype_of<std::uint32_t> == dtype::uint32 && dtype_of<std::uint64_t> == dtype::uint64);
static_assert(dtype_of<std::int8_t> == dtype::int8 && dtype_of<std::int16_t> == dtype::int16);
static_assert(dtype_of<std::int32_t> == dtype::int32 && dtype_of<std::int64_t> == dtype::int64);
static_assert(dtype_of<long long> == dtype::int64 && dtype_of<unsigned long long> == dtype::uint64);
static_assert(dtype_of<float> == dtype::float32 && dtype_of<double> == dtype::float64 && dtype_of<const volatile float> == dtype::float32);
static_assert(dtype_of<std::complex<float>> == dtype::complex64 && dtype_of<std::complex<double>> == dtype::complex128);
static_assert(dtype_of<lading::float16> == dtype::float16 && dtype_of<lading::bfloat16> == dtype::bfloat16 &&
              dtype_of<lading::complex32> == dtype::complex32);
static_assert(dtype_of<lading::float8_e4m3fn> == dtype::float8_e4m3fn && dtype_of<lading::float8_e5m2> == dtype::float8_e5m2);
static_assert(dtype_of<lading::float8_e4m3fnuz> == dtype::float8_e4m3fnuz && dtype_of<lading::float8_e5m2fnuz> == dtype::float8_e5m2fnuz);
static_assert(dtype_of<lading::float8_e8m0fnu> == dtype::float8_e8m0fnu && dtype_of<lading::float4_e2m1fn_x2> == dtype::float4_e2m1fn_x2);
static_assert(tensor_element<float> && tensor_element<const float>);
static_assert(!tensor_element<char> && !tensor_element<wchar_t> && !tensor_element<char8_t> && !tensor_element<char16_t> &&
              !tensor_element<char32_t>);
static_assert(!tensor_element<long double> && !tensor_element<std::complex<long double>> && !tensor_element<float*> && !tensor_element<float&> &&
              !tensor_element<void>);
static_assert(!tensor_element<vector3> && !tensor_element<color> && !tensor_element<std::string> && !tensor_element<std::vector<float>>);

template <class... T>
constexpr bool sizes_agree = ((sizeof(T) == lading::item_size(dtype_of<T>)) && ...);
static_assert(sizes_agree<bool, std::byte, std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t, std::int8_t, std::int16_t, std::int32_t,
                          std::int64_t, float, double, lading::float16, lading::bfloat16, lading::float8_e4m3fn, lading::float8_e5m2,
                          lading::float8_e4m3fnuz, lading::float8_e5m2fnuz, lading::float8_e8m0fnu, lading::float4_e2m1fn_x2, lading::complex32,
                          std::complex<float>, std::complex<double>>);

}  // namespace
