// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/schema.hpp>

#include <algorithm>
#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

namespace {

using lading::schema_of;

struct tree {
  int value;
  std::vector<tree> children;
};
struct same_tree {
  std::int32_t number;
  std::list<same_tree> nested;
};
struct other_tree {
  int value;
  std::vector<tree> children;
};
struct point {
  float x, y;
};
struct nested_point {
  point p;
};
struct owner {
  std::string a;
  std::vector<point> b;
  std::map<std::string, std::vector<float>> c;
};
struct twin {
  std::string_view a;
  std::span<const point> b;
  std::map<std::string_view, std::span<const float>> c;
};
enum class number : std::uint16_t {};

static_assert(schema_of<owner>() == schema_of<twin>());
static_assert(schema_of<std::vector<int>>() == schema_of<std::list<int>>() && schema_of<std::vector<int>>() == schema_of<std::deque<int>>());
static_assert(schema_of<std::vector<int>>() == schema_of<std::span<const int>>());
static_assert(schema_of<std::vector<char>>() == schema_of<std::string>());
static_assert(schema_of<std::pair<int, float>>() == schema_of<std::tuple<int, float>>());
static_assert(schema_of<point>() == schema_of<std::pair<float, float>>());
static_assert(schema_of<std::optional<int>>() == schema_of<std::unique_ptr<int>>());
static_assert(schema_of<number>() == schema_of<std::uint16_t>() && schema_of<std::byte>() == schema_of<std::uint8_t>());
static_assert(schema_of<int[3]>() == schema_of<std::array<int, 3>>());
static_assert(schema_of<const int>() == schema_of<int>());
static_assert(schema_of<lading::tensor>() == schema_of<lading::tensor_view>() && schema_of<lading::jagged>() == schema_of<lading::jagged_view>());
static_assert(schema_of<tree>() == schema_of<same_tree>());
static_assert(schema_of<tree>() != schema_of<other_tree>());

using namespace std::chrono;

/// Pairwise different on the wire.
// clang-format off
constexpr std::uint64_t distinct[] = {
    schema_of<std::monostate>(), schema_of<bool>(), schema_of<std::int8_t>(), schema_of<std::uint8_t>(), schema_of<char>(), schema_of<std::int16_t>(), schema_of<std::uint16_t>(),
    schema_of<char16_t>(), schema_of<std::int32_t>(), schema_of<std::uint32_t>(), schema_of<char32_t>(), schema_of<float>(), schema_of<std::int64_t>(), schema_of<std::uint64_t>(),
    schema_of<double>(), schema_of<long double>(), schema_of<std::array<int, 0>>(), schema_of<std::array<int, 1>>(), schema_of<std::array<int, 2>>(), schema_of<int[2][3]>(),
    schema_of<int[3][2]>(), schema_of<std::array<int, 6>>(), schema_of<std::tuple<int>>(), schema_of<std::tuple<int, int>>(), schema_of<std::tuple<std::tuple<int>, int>>(),
    schema_of<std::tuple<int, std::tuple<int>>>(), schema_of<point>(), schema_of<nested_point>(), schema_of<std::vector<int>>(), schema_of<std::vector<unsigned>>(),
    schema_of<std::vector<std::vector<int>>>(), schema_of<std::string>(), schema_of<std::u16string>(), schema_of<std::vector<bool>>(), schema_of<std::optional<int>>(),
    schema_of<std::optional<std::optional<int>>>(), schema_of<std::optional<std::vector<int>>>(), schema_of<std::vector<std::optional<int>>>(), schema_of<std::variant<int>>(),
    schema_of<std::variant<int, int>>(), schema_of<std::variant<int, bool>>(), schema_of<std::variant<bool, int>>(), schema_of<std::map<int, bool>>(), schema_of<std::map<bool, int>>(),
    schema_of<std::multimap<int, bool>>(), schema_of<std::unordered_map<int, bool>>(), schema_of<std::unordered_multimap<int, bool>>(), schema_of<std::set<int>>(),
    schema_of<std::multiset<int>>(), schema_of<std::unordered_set<int>>(), schema_of<std::unordered_multiset<int>>(), schema_of<std::set<std::pair<int, bool>>>(),
    schema_of<std::bitset<7>>(), schema_of<std::bitset<8>>(), schema_of<seconds>(), schema_of<milliseconds>(), schema_of<duration<double>>(), schema_of<duration<std::int64_t, std::ratio<1, 3>>>(),
    schema_of<sys_time<seconds>>(), schema_of<sys_time<milliseconds>>(), schema_of<std::filesystem::path>(), schema_of<lading::tensor>(), schema_of<lading::jagged>(),
    schema_of<lading::strided_list>(), schema_of<std::vector<lading::tensor>>(), schema_of<tree>(), schema_of<owner>(), schema_of<std::complex<double>>(),
};
// clang-format on

TEST(schema, different_structures_differ) {
  std::vector<std::uint64_t> sorted(std::begin(distinct), std::end(distinct));
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
  EXPECT_EQ(std::count(sorted.begin(), sorted.end(), 0U), 0);
}

/// FNV-1a of a description written by hand.
constexpr std::uint64_t described(std::string_view tokens) {
  std::uint64_t state = 0xcbf29ce484222325;
  for (const char token : tokens) state = (state ^ static_cast<std::uint8_t>(token)) * 0x100000001b3;
  return state;
}
using namespace std::string_view_literals;

static_assert(schema_of<bool>() == described("b"));
static_assert(schema_of<std::int32_t>() == described("i\x04"));
static_assert(schema_of<std::uint64_t>() == described("u\x08"));
static_assert(schema_of<double>() == described("f\x08"));
static_assert(schema_of<char>() == described("c\x01"));
static_assert(schema_of<std::string>() == described("[c\x01"));
static_assert(schema_of<std::vector<float>>() == described("[f\x04"));
static_assert(schema_of<point>() == described("{f\x04"
                                              "f\x04}"));
static_assert(schema_of<std::monostate>() == described("{}"));
static_assert(schema_of<std::optional<bool>>() == described("?b"));
static_assert(schema_of<std::map<std::uint8_t, bool>>() == described("mu\x01"
                                                                     "b"));
static_assert(schema_of<std::unordered_map<std::uint8_t, bool>>() == described("hu\x01"
                                                                               "b"));
static_assert(schema_of<std::multimap<std::uint8_t, bool>>() == described("Mu\x01"
                                                                          "b"));
static_assert(schema_of<std::unordered_multimap<std::uint8_t, bool>>() == described("Hu\x01"
                                                                                    "b"));
static_assert(schema_of<std::set<bool>>() == described("sb"));
static_assert(schema_of<std::multiset<bool>>() == described("Sb"));
static_assert(schema_of<std::unordered_set<bool>>() == described("kb"));
static_assert(schema_of<std::unordered_multiset<bool>>() == described("Kb"));
static_assert(schema_of<std::array<bool, 3>>() == described("a\3\0\0\0\0\0\0\0b"sv));
static_assert(schema_of<std::variant<bool, std::int8_t>>() == described("v\2\0\0\0\0\0\0\0bi\1"sv));
static_assert(schema_of<std::bitset<9>>() == described("B\x09\0\0\0\0\0\0\0"sv));
static_assert(schema_of<std::complex<float>>() == described("a\2\0\0\0\0\0\0\0f\4"sv));
static_assert(schema_of<milliseconds>() == described("d\1\0\0\0\0\0\0\0\xe8\3\0\0\0\0\0\0i\x08"sv));
static_assert(schema_of<sys_time<milliseconds>>() == described("td\1\0\0\0\0\0\0\0\xe8\3\0\0\0\0\0\0i\x08"sv));
static_assert(schema_of<std::filesystem::path>() == described("p[c\1"));
static_assert(schema_of<lading::tensor>() == described("T"));
static_assert(schema_of<lading::jagged>() == described("J"));
static_assert(schema_of<lading::strided_list>() == described("LT"));
static_assert(schema_of<tree>() == described("{i\4[^\1\0\0\0\0\0\0\0}"sv));

TEST(schema, numbers_that_must_not_change) {
  EXPECT_EQ(schema_of<bool>(), 0xaf63df4c8601f1a5U);
  EXPECT_EQ(schema_of<std::string>(), 0xdd7bae1a21c903aeU);
}

}  // namespace
