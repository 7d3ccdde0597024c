// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Values that contain values of their own type, and how deep they may go.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "support/codec_checks.hpp"

// Bytes in hexadecimal stay as they are grouped.
// clang-format off

namespace {

using lading::errc;
using lading_test::check_encoding;
using lading_test::hex_of;
using lading_test::stream_of;

struct tree {
  std::uint8_t value;
  std::vector<tree> children;
};
struct list {
  std::uint8_t value;
  std::unique_ptr<list> next;
};
struct json {
  std::variant<std::monostate, bool, double, std::string, std::vector<json>, std::map<std::string, json>> value;
};
struct even;
struct odd {
  std::unique_ptr<even> next;
};
struct even {
  std::uint8_t value;
  std::optional<odd> next;
};

TEST(recursive, trees) {
  const tree value{1, {{2, {}}, {3, {{4, {}}}}}};
  EXPECT_EQ(hex_of(value), "01" "02000000" "02" "00000000" "03" "01000000" "04" "00000000");
  check_encoding(value, tree{9, {{9, {{9, {}}}}}});
}

TEST(recursive, lists) {
  list value{1, std::make_unique<list>(list{2, nullptr})};
  EXPECT_EQ(hex_of(value), "0101" "0200");
  check_encoding<list>(value, list{9, nullptr});
}

TEST(recursive, json) {
  json value;
  value.value.emplace<std::map<std::string, json>>()["a"].value.emplace<std::vector<json>>(2)[1].value = true;
  EXPECT_EQ(hex_of(value), "05" "01000000" "0100000061" "04" "02000000" "00" "0101");
  check_encoding(value, json{"stale"});
}

TEST(recursive, two_types_in_a_circle) {
  even value{1, odd{std::make_unique<even>(even{2, std::nullopt})}};
  EXPECT_EQ(hex_of(value), "01" "01" "01" "02" "00");
  check_encoding<even>(value, even{});
}

list chain(std::size_t length) {
  list head{0, nullptr};
  for (std::size_t i = 0; i < length; ++i) {
    auto next = std::make_unique<list>(std::move(head));
    head = list{1, std::move(next)};
  }
  return head;
}

std::vector<std::byte> chain_bytes(std::size_t length) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < length; ++i) bytes.insert(bytes.end(), {std::byte{1}, std::byte{1}});
  bytes.insert(bytes.end(), {std::byte{0}, std::byte{0}});
  return bytes;
}

TEST(recursive, depth_is_limited_exactly) {
  EXPECT_EQ(stream_of(chain(63)), chain_bytes(63));
  EXPECT_TRUE(lading::decode_from<list>(chain_bytes(63)).has_value());  // 64 pointers, the last one null
  const auto deep = lading::decode_from<list>(chain_bytes(64));
  ASSERT_FALSE(deep.has_value());
  EXPECT_EQ(deep.error().message(), "limit_exceeded: has 64, at offset 129: nested deeper than decode_limits::max_depth");
  EXPECT_TRUE(lading::decode_from<list>(chain_bytes(64), {.max_depth = 65}).has_value());
  EXPECT_FALSE(lading::decode_from<list>(chain_bytes(0), {.max_depth = 0}).has_value());
  EXPECT_TRUE(lading::decode_from<list>(chain_bytes(0), {.max_depth = 1}).has_value());
}

TEST(recursive, each_kind_of_container_counts) {
  const lading::decode_limits one{.max_depth = 1}, two{.max_depth = 2};
  using lading::decode_from;
  const auto lists = stream_of(std::vector<std::vector<std::string>>{{"a"}});
  EXPECT_EQ((decode_from<std::vector<std::vector<std::string>>>(lists, one).error().code()), errc::limit_exceeded);
  EXPECT_TRUE((decode_from<std::vector<std::vector<std::string>>>(lists, two).has_value()));
  const auto maps = stream_of(std::map<int, std::map<int, int>>{{1, {}}});
  EXPECT_EQ((decode_from<std::map<int, std::map<int, int>>>(maps, one).error().code()), errc::limit_exceeded);
  EXPECT_TRUE((decode_from<std::map<int, std::map<int, int>>>(maps, two).has_value()));
  using optionals = std::optional<std::optional<int>>;
  EXPECT_EQ(decode_from<optionals>(stream_of(optionals(std::in_place, 1)), one).error().code(), errc::limit_exceeded);
  EXPECT_TRUE(decode_from<optionals>(stream_of(optionals(std::in_place, 1)), two).has_value());
  using variants = std::variant<int, std::variant<int, bool>>;
  EXPECT_EQ(decode_from<variants>(stream_of(variants(std::in_place_index<1>, 1)), one).error().code(), errc::limit_exceeded);
  EXPECT_TRUE(decode_from<variants>(stream_of(variants(std::in_place_index<1>, 1)), two).has_value());
  using pointers = std::unique_ptr<std::optional<int>>;
  EXPECT_EQ(decode_from<pointers>(stream_of(std::make_unique<std::optional<int>>(1)), one).error().code(), errc::limit_exceeded);
}

TEST(recursive, a_value_too_deep_is_not_encoded) {
  std::vector<std::byte> target(5000);
  EXPECT_TRUE(lading::encode_into(chain(999), target).has_value());
  const auto deep = lading::encode_into(chain(1000), target);
  ASSERT_FALSE(deep.has_value());
  EXPECT_EQ(deep.error().message(), "limit_exceeded: has 1000: the value nests too deep to encode");
  EXPECT_EQ(lading::encode(chain(1000)).error().code(), errc::limit_exceeded);
  EXPECT_LE(lading::encoded_size(chain(1000)), 2002U);
}

TEST(recursive, hostile_depth_is_refused_and_not_followed) {
  EXPECT_EQ(lading::decode_from<list>(chain_bytes(1'000'000)).error().code(), errc::limit_exceeded);
}

}  // namespace
