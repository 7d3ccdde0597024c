// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/reflect/arity.hpp>

#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "reflect/wide_structs.hpp"

namespace {

using lading::field_count;
namespace wide = lading_test;

struct empty {};
struct one {
  int a;
};
struct first_is_optional {
  std::optional<int> a;
  int b;
};
struct only_optionals {
  std::optional<std::string> a;
  std::optional<std::optional<int>> b;
};
struct c_arrays {
  int a[3];
  char b[2][4];
  std::string c[2];
  int d;
};
struct c_array_first_and_last {
  double a[5];
  int b;
  std::uint8_t c[7];
};
struct nested {
  one a;
  c_arrays b;
  first_is_optional c;
};
struct large {
  std::array<std::byte, 1 << 20> a;
  int b;
};
struct large_c_array {
  char a[1 << 20];
};
struct any_of {
  std::variant<int, std::string> a;
  std::tuple<int, std::string> b;
  std::pair<int, int> c;
  std::unique_ptr<int> d;
  std::map<int, int> e;
  std::list<int> f;
  std::complex<float> g;
  std::string_view h;
  std::array<std::optional<int>, 2> i;
  std::vector<bool> j;
};
struct with_defaults {
  int a = 1;
  std::string b = "b";
  std::vector<int> c{1, 2, 3};
};
struct no_default {
  explicit no_default(int) {}
};
struct holds_no_default {
  no_default a;
  int b;
  std::string c;
};
struct no_default_in_the_middle {
  int a;
  no_default b;
  int c;
};
struct recursive {
  int a;
  std::vector<recursive> b;
  std::unique_ptr<recursive> c;
};
struct aligned {
  char a;
  alignas(64) char b;
};
struct empty_members {
  [[no_unique_address]] empty a;
  int b;
  [[no_unique_address]] empty c;
};
struct constants {
  const int a = 0;
  const std::string b;
};
struct references {
  int& a;
  int b;
};
struct base {
  int a;
};
struct derived : base {
  int b;
};
struct odd {
  no_default a;
  int b[3];
};

static_assert(field_count<empty> == 0);
static_assert(field_count<one> == 1);
static_assert(field_count<first_is_optional> == 2);
static_assert(field_count<only_optionals> == 2);
static_assert(field_count<c_arrays> == 4);
static_assert(field_count<c_array_first_and_last> == 3);
static_assert(field_count<nested> == 3);
static_assert(field_count<large> == 2);
static_assert(field_count<large_c_array> == 1);
static_assert(field_count<any_of> == 10);
static_assert(field_count<with_defaults> == 3);
static_assert(field_count<holds_no_default> == 3);
static_assert(field_count<no_default_in_the_middle> == 3);
static_assert(field_count<recursive> == 3);
static_assert(field_count<aligned> == 2);
static_assert(field_count<empty_members> == 3);
static_assert(field_count<constants> == 2);

static_assert(field_count<wide::of_0> == 0);
static_assert(field_count<wide::of_1> == 1);
static_assert(field_count<wide::of_64> == 64);
static_assert(field_count<wide::of_65> == 65);
static_assert(field_count<wide::of_100> == 100);
static_assert(field_count<wide::of_101> == 101);
static_assert(field_count<wide::of_103> == 103);
static_assert(field_count<wide::of_150> == 150);
static_assert(field_count<wide::of_200> == 200);
static_assert(field_count<wide::of_256> == 256);

static_assert(lading::detail::has_base<derived> && !lading::detail::has_base<base> && !lading::detail::has_base<empty>);
static_assert(!lading::detail::has_base<first_is_optional> && !lading::detail::has_base<any_of> && !lading::detail::has_base<holds_no_default>);
static_assert(lading::detail::has_reference<references> && !lading::detail::has_reference<one> && !lading::detail::has_reference<any_of>);

}  // namespace

/// The count that nothing can find out.
template <>
inline constexpr std::size_t lading::field_count<odd> = 2;

namespace {

TEST(arity, a_count_can_be_given) { EXPECT_EQ(lading::field_count<odd>, 2U); }

}  // namespace
