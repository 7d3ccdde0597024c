// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/reflect/fields.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include <gtest/gtest.h>

#include "reflect/wide_structs.hpp"

namespace {

namespace wide = lading_test;
using lading::detail::field_types;
using lading::detail::type_list;
using lading::detail::visit_fields;

struct plain {
  int a;
  const std::string b;
  char c[2][3];
};

static_assert(std::is_same_v<field_types<plain>, type_list<int, const std::string, char[2][3]>>);
static_assert(std::is_same_v<field_types<wide::of_0>, type_list<>>);
static_assert(field_types<wide::of_256>::size == 256);

TEST(fields, are_lvalues_of_the_object) {
  plain value{1, "b", {"ab", "cd"}};
  const bool same = visit_fields(value, [&](auto& a, auto& b, auto& c) {
    a = 7;
    return &b == &value.b && &c == &value.c;
  });
  EXPECT_TRUE(same);
  EXPECT_EQ(value.a, 7);
  const plain& constant = value;
  visit_fields(constant, [](auto& a, auto&...) { static_assert(std::is_const_v<std::remove_reference_t<decltype(a)>>); });
}

template <class T>
void expect_in_order() {
  T value{};
  const auto* const begin = reinterpret_cast<const char*>(&value);  // Safety: only addresses are compared
  std::size_t fields = 0;
  const char* last = nullptr;
  bool ascending = true;
  visit_fields(value, [&](auto&... field) {
    const auto look = [&](const void* address) {
      ++fields;
      ascending = ascending && (last == nullptr || static_cast<const char*>(address) > last) && static_cast<const char*>(address) >= begin &&
                  static_cast<const char*>(address) < begin + sizeof(T);
      last = static_cast<const char*>(address);
    };
    (look(&field), ...);
  });
  EXPECT_TRUE(ascending);
  EXPECT_EQ(fields, lading::field_count<T>);
}

TEST(fields, come_in_the_order_of_their_declaration) {
  expect_in_order<wide::of_1>();
  expect_in_order<wide::of_64>();
  expect_in_order<wide::of_65>();
  expect_in_order<wide::of_100>();
  expect_in_order<wide::of_101>();
  expect_in_order<wide::of_150>();
  expect_in_order<wide::of_200>();
  expect_in_order<wide::of_256>();
}

TEST(fields, of_an_empty_struct_are_none) {
  wide::of_0 value;
  EXPECT_EQ(visit_fields(value, [](auto&... fields) { return sizeof...(fields); }), 0U);
}

}  // namespace
