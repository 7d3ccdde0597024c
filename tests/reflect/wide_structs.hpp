// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

// Structs of many fields.

namespace lading_test {

// NOLINTBEGIN(bugprone-macro-parentheses)
#define LADING_TEST_FIELDS_10(type, p) type p##0 {}, p##1 {}, p##2 {}, p##3 {}, p##4 {}, p##5 {}, p##6 {}, p##7 {}, p##8 {}, p##9 {};
#define LADING_TEST_FIELDS_50(type, p) \
  LADING_TEST_FIELDS_10(type, p##0)    \
  LADING_TEST_FIELDS_10(type, p##1)    \
  LADING_TEST_FIELDS_10(type, p##2)    \
  LADING_TEST_FIELDS_10(type, p##3)    \
  LADING_TEST_FIELDS_10(type, p##4)

struct of_0 {};
struct of_1 {
  std::string only;
};
struct of_64 {
  LADING_TEST_FIELDS_50(std::uint8_t, a)
  LADING_TEST_FIELDS_10(std::uint16_t, b)
  std::string c;
  std::optional<std::uint8_t> d;
  std::uint8_t e[3];
  std::uint8_t f;
};
struct of_65 {
  LADING_TEST_FIELDS_50(std::uint8_t, a)
  LADING_TEST_FIELDS_10(std::uint16_t, b)
  std::string c;
  std::optional<std::uint8_t> d;
  std::uint8_t e[3];
  std::uint8_t f;
  std::vector<std::string> g;
};
struct of_100 {
  std::optional<std::uint8_t> first;
  char second[5];
  LADING_TEST_FIELDS_50(std::uint8_t, a)
  LADING_TEST_FIELDS_10(std::int32_t, b)
  LADING_TEST_FIELDS_10(std::string, c)
  LADING_TEST_FIELDS_10(std::optional<std::uint16_t>, d)
  LADING_TEST_FIELDS_10(std::vector<std::uint8_t>, e)
  std::unique_ptr<std::uint8_t> f;
  std::variant<std::monostate, std::string, std::uint8_t> g;
  std::array<std::uint16_t, 3> h;
  bool i;
  of_1 j;
  of_0 k;
  std::vector<bool> l;
  double m;
};
struct of_101 {
  std::optional<std::uint8_t> first;
  LADING_TEST_FIELDS_50(std::uint8_t, a)
  LADING_TEST_FIELDS_50(std::uint8_t, b)
};
struct of_103 {
  LADING_TEST_FIELDS_50(std::uint8_t, a)
  LADING_TEST_FIELDS_50(std::uint8_t, b)
  char c[16];
  std::uint16_t d[2][3];
  std::uint8_t e;
};
struct of_150 {
  LADING_TEST_FIELDS_50(std::uint8_t, a)
  LADING_TEST_FIELDS_50(std::optional<std::uint8_t>, b)
  LADING_TEST_FIELDS_50(std::string, c)
};
struct of_200 {
  LADING_TEST_FIELDS_50(std::uint8_t, a)
  LADING_TEST_FIELDS_50(std::uint16_t, b)
  LADING_TEST_FIELDS_50(std::uint8_t, c)
  LADING_TEST_FIELDS_50(std::uint16_t, d)
};
struct of_256 {
  LADING_TEST_FIELDS_50(std::uint8_t, a)
  LADING_TEST_FIELDS_50(std::uint16_t, b)
  LADING_TEST_FIELDS_50(std::uint8_t, c)
  LADING_TEST_FIELDS_50(std::uint16_t, d)
  LADING_TEST_FIELDS_50(std::uint8_t, e)
  std::string f, g, h, i, j, k;
};
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace lading_test
