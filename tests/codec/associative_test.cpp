// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/associative.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <gtest/gtest.h>

#include "support/codec_checks.hpp"

// Bytes in hexadecimal stay as they are grouped.
// clang-format off

namespace {

using lading::errc;
using lading_test::check_twin;
using lading_test::check_value;
using lading_test::from_hex;
using lading_test::hex;
using lading_test::hex_of;
using lading_test::order;
using lading_test::stream_of;

TEST(associative, ordered_ones_are_in_order) {
  EXPECT_EQ(hex_of(std::map<std::uint8_t, std::uint16_t>{{2, 0x0201}, {1, 5}}), "02000000" "010500" "020102");
  EXPECT_EQ(hex_of(std::set<std::uint8_t>{3, 1}), "020000000103");
  EXPECT_EQ(hex_of(std::set<std::uint8_t, std::greater<>>{1, 3}), "020000000301");
  EXPECT_EQ(hex_of(std::multiset<std::uint8_t>{1, 1}), "020000000101");
}

TEST(associative, ordered_ones_round_trip) {
  check_value(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}, {"", {2, 3}}}, {{"stale", {9}}, {"a", {7, 7, 7}}});
  check_value(std::map<std::uint16_t, bool>{}, {{1, true}});
  check_value(std::multimap<std::uint8_t, std::string>{{1, "z"}, {1, "a"}, {2, ""}}, {{1, "stale"}});
  check_value(std::set<std::string>{"x", "yy"}, {"stale"});
  check_value(std::multiset<std::int16_t>{-1, -1, 4}, {8});
  check_value(std::map<std::uint8_t, std::uint8_t, std::greater<std::uint8_t>>{{1, 2}, {3, 4}});
  check_value(std::map<std::pair<std::uint8_t, std::string>, std::uint8_t>{{{1, "a"}, 2}, {{1, "b"}, 3}});
  check_value(std::pmr::map<std::uint8_t, std::pmr::string>{{1, "one"}});
}

TEST(associative, hashed_ones_round_trip) {
  check_value(std::unordered_map<std::string, std::uint8_t>{{"a", 1}, {"b", 2}, {"c", 3}}, {{"stale", 9}, {"a", 8}}, order::free);
  check_value(std::unordered_map<std::uint8_t, std::uint8_t>{}, {{1, 1}}, order::free);
  check_value(std::unordered_multimap<std::uint8_t, std::uint8_t>{{1, 2}, {1, 3}}, {{1, 2}}, order::free);
  check_value(std::unordered_set<std::uint16_t>{1, 2, 3}, {9}, order::free);
  check_value(std::unordered_multiset<std::uint16_t>{1, 1, 2}, {9}, order::free);
}

TEST(associative, keys_can_be_views) {
  check_twin<std::map<std::string_view, std::uint8_t>>(std::map<std::string, std::uint8_t>{{"a", 1}, {"b", 2}});
}

TEST(associative, move_only_mapped_values) {
  std::map<int, std::unique_ptr<int>> value;
  value.emplace(1, std::make_unique<int>(5));
  const auto decoded = lading::decode_from<std::map<int, std::unique_ptr<int>>>(stream_of(value));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(*decoded->at(1), 5);
}

TEST(associative, keys_out_of_order_are_refused) {
  using map = std::map<std::uint8_t, std::uint8_t>;
  EXPECT_TRUE(lading::decode_from<map>(from_hex("02000000" "0100" "0200")).has_value());
  const auto swapped = lading::decode_from<map>(from_hex("02000000" "0200" "0100"));
  ASSERT_FALSE(swapped.has_value());
  EXPECT_EQ(swapped.error().message(), "not_canonical: at offset 6: the keys of an ordered container are not in ascending order");
  using multi = std::multiset<std::uint8_t>;
  EXPECT_TRUE(lading::decode_from<multi>(from_hex("020000000101")).has_value());
  EXPECT_EQ(lading::decode_from<multi>(from_hex("020000000201")).error().code(), errc::not_canonical);
  using downwards = std::set<std::uint8_t, std::greater<>>;
  EXPECT_TRUE(lading::decode_from<downwards>(from_hex("020000000201")).has_value());
  EXPECT_EQ(lading::decode_from<downwards>(from_hex("020000000102")).error().code(), errc::not_canonical);
}

TEST(associative, duplicate_keys_are_refused) {
  EXPECT_EQ((lading::decode_from<std::map<std::uint8_t, std::uint8_t>>(from_hex("02000000" "0100" "0100")).error().code()), errc::not_canonical);
  EXPECT_EQ(lading::decode_from<std::set<std::uint8_t>>(from_hex("020000000101")).error().code(), errc::not_canonical);
  const auto hashed = lading::decode_from<std::unordered_map<std::uint8_t, std::uint8_t>>(from_hex("02000000" "0100" "0101"));
  ASSERT_FALSE(hashed.has_value());
  EXPECT_EQ(hashed.error().message(), "not_canonical: at offset 6: a key occurs twice");
  EXPECT_EQ(lading::decode_from<std::unordered_set<std::uint8_t>>(from_hex("020000000101")).error().code(), errc::not_canonical);
  EXPECT_TRUE(lading::decode_from<std::unordered_multiset<std::uint8_t>>(from_hex("020000000101")).has_value());
  EXPECT_TRUE(lading::decode_from<std::unordered_set<std::uint8_t>>(from_hex("020000000100")).has_value());
}

/// The head of `value` with sorted keys.
template <class T>
std::string sorted(const T& value) {
  const auto frames = lading::encode(value, {.sort_unordered = true});
  return frames ? hex((*frames)[0]) : frames.error().message();
}

TEST(associative, hashed_ones_are_sorted_on_request) {
  std::unordered_map<std::uint16_t, std::uint8_t> few, many;
  many.reserve(5000);
  for (std::uint16_t i = 0; i < 100; ++i) few.emplace(i, 1);
  for (std::uint16_t i = 100; i-- > 0;) many.emplace(i, 1);
  EXPECT_EQ(sorted(few), sorted(many));
  EXPECT_EQ(sorted(few), hex_of(std::map<std::uint16_t, std::uint8_t>(few.begin(), few.end())));
  EXPECT_EQ(sorted(std::unordered_set<std::uint8_t>{3, 1, 2}), "03000000010203");
  EXPECT_EQ(sorted(std::unordered_multiset<std::uint8_t>{3, 1, 3}), "03000000010303");
  EXPECT_EQ(sorted(std::vector<std::unordered_set<std::string>>{{"b", "a"}}), "01000000" "02000000" "0100000061" "0100000062");
  EXPECT_EQ(sorted(std::set<std::uint8_t, std::greater<>>{1, 2}), "020000000201");  // an order of its own is kept
}

struct unordered_key {
  std::uint8_t number;
  friend bool operator==(const unordered_key&, const unordered_key&) = default;
};
struct key_hash {
  std::size_t operator()(const unordered_key& key) const { return key.number; }
};

TEST(associative, keys_without_an_order_cannot_be_sorted) {
  const std::unordered_set<unordered_key, key_hash> value{{1}, {2}};
  EXPECT_TRUE(lading::encode(value).has_value());
  EXPECT_EQ(sorted(value), "unsupported: sort_unordered needs keys with operator<");
}

TEST(associative, comparators_with_state_are_kept) {
  struct either_way {
    bool down = false;
    bool operator()(int left, int right) const { return down ? right < left : left < right; }
  };
  std::set<int, either_way> down(either_way{true});
  down.insert({1, 2, 3});
  std::set<int, either_way> into(either_way{true});
  ASSERT_TRUE(lading::decode_into(into, stream_of(down)).has_value());
  EXPECT_EQ(*into.begin(), 3);
  std::set<int, either_way> up;
  EXPECT_EQ(lading::decode_into(up, stream_of(down)).error().code(), errc::not_canonical);
}

/// Keys of one bucket, in the container that decoding makes: each insertion would walk past all before it.
std::vector<std::byte> colliding(std::uint32_t count, std::uint64_t buckets) {
  std::vector<std::byte> stream(4 + std::size_t{8} * count);
  std::memcpy(stream.data(), &count, 4);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t key = i * buckets;
    std::memcpy(stream.data() + 4 + 8 * i, &key, 8);
  }
  return stream;
}

TEST(associative, keys_are_made_by_the_containers_allocator) {
  struct only_where_asked {
    std::pmr::memory_resource* before = std::pmr::set_default_resource(std::pmr::null_memory_resource());
    ~only_where_asked() { std::pmr::set_default_resource(before); }
  } const scope;
  using names = std::pmr::map<std::pmr::string, std::int32_t>;
  std::pmr::monotonic_buffer_resource arena(std::pmr::new_delete_resource());
  names value(&arena), again(&arena);
  value.emplace("longer than what a string holds within itself", 1);
  ASSERT_TRUE(lading::decode_into(again, stream_of(value)).has_value());
  EXPECT_EQ(again, value);
}

TEST(associative, keys_that_collide_on_purpose_are_refused) {
  constexpr std::uint32_t count = 20'000;
  const auto even = lading::decode_from<std::unordered_set<std::uint64_t>>(colliding(count, 1));
  ASSERT_TRUE(even.has_value()) << even.error().message();
  bool refused = false;  // the number of buckets while decoding is the library's choice: try what it may be
  std::unordered_set<std::uint64_t> probe;
  for (std::size_t reserved = 1; reserved <= 2 * count; reserved += reserved / 8 + 1) {
    probe.rehash(reserved);
    const auto decoded = lading::decode_from<std::unordered_set<std::uint64_t>>(colliding(count, probe.bucket_count()));
    if (decoded) continue;
    EXPECT_EQ(decoded.error().code(), errc::limit_exceeded) << decoded.error().message();
    refused = true;
  }
  EXPECT_TRUE(refused);
  // NaN is in no bucket twice, but always in the same one; equal keys of a multi container are found at once.
  std::vector<std::byte> nans(4 + 4 * count, std::byte{0xff});
  std::memcpy(nans.data(), &count, 4);
  EXPECT_EQ(lading::decode_from<std::unordered_set<float>>(nans).error().code(), errc::limit_exceeded);
  EXPECT_EQ(lading::decode_from<std::unordered_multiset<float>>(nans).error().code(), errc::limit_exceeded);
  EXPECT_EQ(lading::decode_from<std::unordered_multiset<std::uint32_t>>(nans)->size(), count);
}

}  // namespace
