// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Built twice: in the project's language mode, and as C++23, where the standard library may bring std::expected.

#include <lading/core/result.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace {

using lading::errc;
using lading::fail;
using lading::result;

#if defined(__cpp_lib_expected) && __cpp_lib_expected >= 202202L
static_assert(std::is_same_v<result<int>, std::expected<int, lading::error>>);
#else
static_assert(std::is_same_v<result<int>, tl::expected<int, lading::error>>);
#endif
static_assert(std::is_same_v<result<int>::value_type, int> && std::is_same_v<result<int>::error_type, lading::error>);
static_assert(std::is_convertible_v<lading::failure, result<int>> && std::is_convertible_v<lading::failure, result<void>>);
static_assert(!std::is_convertible_v<errc, result<std::string>>, "an error is made by fail(), never by chance");
static_assert(std::is_nothrow_move_constructible_v<result<int>> && std::is_trivially_copy_constructible_v<result<void>>);
static_assert(!std::is_copy_constructible_v<result<std::unique_ptr<int>>> && std::is_move_constructible_v<result<std::unique_ptr<int>>>);

constexpr result<int> half(int number) {
  if (number % 2 != 0) return fail(errc::invalid_value, {.item = 1, .what = "odd"});
  return number / 2;
}
constexpr result<void> only_even(int number) {
  const auto part = half(number);
  if (!part) return fail(part.error());
  return {};
}

static_assert(half(8).has_value() && *half(8) == 4 && half(7).error() == errc::invalid_value);
static_assert(only_even(8).has_value() && only_even(7).error() == errc::invalid_value);

TEST(result, holds_a_value) {
  const result<int> held = half(6);
  ASSERT_TRUE(held);
  EXPECT_EQ(*held, 3);
  EXPECT_EQ(held.value_or(9), 3);
  EXPECT_EQ(held, 3);
}

TEST(result, holds_the_error_with_its_details) {
  const result<int> failed = half(7);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), errc::invalid_value);
  EXPECT_EQ(failed.error().message(), "invalid_value: item 1: odd");
  EXPECT_EQ(failed.value_or(9), 9);
}

TEST(result, an_error_passes_on_to_another_type_unchanged) {
  const result<void> outer = only_even(7);
  ASSERT_FALSE(outer);
  EXPECT_EQ(outer.error().message(), half(7).error().message());
  EXPECT_TRUE(only_even(8));
}

TEST(result, of_a_move_only_value) {
  const auto make = [](bool works) -> result<std::unique_ptr<int>> {
    if (!works) return fail(errc::no_memory);
    return std::make_unique<int>(5);
  };
  auto made = make(true);
  ASSERT_TRUE(made);
  const std::unique_ptr<int> taken = std::move(*made);
  EXPECT_EQ(*taken, 5);
  EXPECT_EQ(make(false).error(), errc::no_memory);
}

TEST(result, compares_with_values_and_failures) {
  const result<std::vector<int>> held = std::vector<int>{1, 2};
  EXPECT_EQ(held, (std::vector<int>{1, 2}));
  EXPECT_TRUE(held != result<std::vector<int>>(fail(errc::truncated)));
  EXPECT_TRUE(result<int>(fail(errc::truncated, {.offset = 1})) == result<int>(fail(errc::truncated, {.offset = 2})));
  EXPECT_TRUE(result<int>(fail(errc::truncated)) != result<int>(fail(errc::bad_magic)));
}

}  // namespace
