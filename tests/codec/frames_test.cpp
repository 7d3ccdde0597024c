// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/frames.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "support/codec_checks.hpp"

namespace {

using lading::bytes_view;
using lading::errc;
using lading_test::exact_bytes;
using lading_test::from_hex;
using lading_test::hex;

static_assert(!std::is_copy_constructible_v<lading::frames> && std::is_nothrow_move_constructible_v<lading::frames>);

struct sample {
  std::string uid;
  std::vector<std::int32_t> tokens;
  std::map<std::string, std::vector<float>> features;
  std::optional<std::vector<std::int64_t>> more;
  friend bool operator==(const sample&, const sample&) = default;
};
struct sample_view {
  std::string_view uid;
  std::span<const std::int32_t> tokens;
  std::map<std::string_view, std::span<const float>> features;
  std::optional<std::span<const std::int64_t>> more;
};

const sample value{"uid", {1, 2, 3, 4}, {{"a", {1, 2}}, {"b", {}}}, std::vector<std::int64_t>{7}};

TEST(frames, arrays_of_the_threshold_and_above_are_borrowed) {
  const auto none = lading::encode(value, {.out_of_band_threshold = 17});
  ASSERT_TRUE(none.has_value());
  EXPECT_EQ(none->size(), 1U);
  const auto one = lading::encode(value, {.out_of_band_threshold = 16});
  ASSERT_TRUE(one.has_value());
  ASSERT_EQ(one->size(), 2U);
  EXPECT_EQ(static_cast<const void*>((*one)[1].data()), value.tokens.data());
  EXPECT_EQ((*one)[1].size(), 16U);
  EXPECT_EQ(lading::decode<sample>(*one), value);
}

TEST(frames, a_threshold_of_zero_takes_all_but_empty_arrays) {
  const auto all = lading::encode(value, {.out_of_band_threshold = 0});
  ASSERT_TRUE(all.has_value());
  ASSERT_EQ(all->size(), 1U + 6U);  // uid, tokens, "a", its floats, "b" (without floats), more
  EXPECT_EQ(static_cast<const void*>((*all)[1].data()), value.uid.data());
  EXPECT_EQ(static_cast<const void*>((*all)[4].data()), value.features.at("a").data());
  EXPECT_EQ(static_cast<const void*>((*all)[6].data()), value.more->data());
  EXPECT_EQ(lading::decode<sample>(*all), value);
  EXPECT_EQ(hex((*all)[0]),
            "ffffffff"
            "ffffffff"
            "02000000"
            "ffffffff"
            "ffffffff"
            "ffffffff"
            "00000000"
            "01"
            "ffffffff");
}

TEST(frames, the_largest_threshold_makes_a_stream) {
  const auto whole = lading::encode(value, {.out_of_band_threshold = ~std::size_t{0}});
  ASSERT_TRUE(whole.has_value());
  ASSERT_EQ(whole->size(), 1U);
  EXPECT_EQ(hex((*whole)[0]), lading_test::hex_of(value));
}

TEST(frames, the_head_is_aligned) {
  const auto made = lading::encode(value);
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>((*made)[0].data()) % 64, 0U);  // Safety: the address is only tested
}

TEST(frames, views_borrow_from_them) {
  const auto all = lading::encode(value, {.out_of_band_threshold = 0});
  ASSERT_TRUE(all.has_value());
  const auto view = lading::decode<sample_view>(*all);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->tokens.data(), value.tokens.data());
  EXPECT_EQ(view->uid.data(), value.uid.data());
  const auto again = lading::encode(*view, {.out_of_band_threshold = 0});
  ASSERT_TRUE(again.has_value());
  ASSERT_EQ(again->size(), all->size());
  for (std::size_t i = 0; i < all->size(); ++i) EXPECT_EQ(hex((*again)[i]), hex((*all)[i]));
}

TEST(frames, moved_ones_keep_their_addresses) {
  auto made = lading::encode(value, {.out_of_band_threshold = 16});
  ASSERT_TRUE(made.has_value());
  const std::byte* const head = (*made)[0].data();
  const lading::frames moved = std::move(*made);
  EXPECT_EQ(moved[0].data(), head);
  EXPECT_EQ(lading::decode<sample>(moved), value);
}

TEST(frames, too_few_and_too_many) {
  const auto all = lading::encode(value, {.out_of_band_threshold = 0});
  ASSERT_TRUE(all.has_value());
  std::vector<bytes_view> list(all->begin(), all->end());
  ASSERT_TRUE(lading::decode<sample>(list).has_value());
  list.pop_back();
  const auto few = lading::decode<sample>(list);
  ASSERT_FALSE(few.has_value());
  EXPECT_EQ(few.error().message(), "truncated: needs 7, has 6, at offset 33: too few frames");
  list.push_back((*all)[6]);
  list.push_back((*all)[6]);
  const auto many = lading::decode<sample>(list);
  ASSERT_FALSE(many.has_value());
  EXPECT_EQ(many.error().message(), "trailing_bytes: needs 7, has 8, item 7: more frames than the value refers to");
  const auto none = lading::decode<sample>(std::vector<bytes_view>());
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().message(), "truncated: needs 1, has 0: there is no frame, so no head");
}

TEST(frames, ones_that_do_not_fit) {
  const std::vector<std::int32_t> numbers{1, 2};
  const auto made = lading::encode(numbers, {.out_of_band_threshold = 0});
  ASSERT_TRUE(made.has_value());
  std::vector<bytes_view> list(made->begin(), made->end());
  list[1] = list[1].first(7);
  const auto cut = lading::decode<std::vector<std::int32_t>>(list);
  ASSERT_FALSE(cut.has_value());
  EXPECT_EQ(cut.error().message(), "invalid_value: needs 4, has 7, item 1: the frame does not hold a whole number of elements");
  list[1] = {};
  EXPECT_EQ(lading::decode<std::vector<std::int32_t>>(list).error().code(), errc::invalid_value);
  list[1] = (*made)[1];
  EXPECT_EQ(lading::decode<std::vector<std::int32_t>>(list), numbers);
}

TEST(frames, misaligned_ones) {
  alignas(8) std::byte memory[24] = {};
  const std::vector<std::int64_t> numbers{1, 2};
  const auto made = lading::encode(numbers, {.out_of_band_threshold = 0});
  ASSERT_TRUE(made.has_value());
  std::memcpy(memory + 1, (*made)[1].data(), 16);
  const std::array<bytes_view, 2> list{(*made)[0], bytes_view(memory + 1, 16)};
  EXPECT_EQ(lading::decode<std::span<const std::int64_t>>(list).error().code(), errc::misaligned);
  EXPECT_EQ(lading::decode<std::vector<std::int64_t>>(list), numbers);
  EXPECT_TRUE(lading::decode<std::span<const std::int64_t>>(*made).has_value());
}

struct padded {
  std::uint8_t a;
  std::uint32_t b;
};

TEST(frames, what_is_not_its_wire_form_stays_in_the_head) {
  const lading::encode_options everything{.out_of_band_threshold = 0};
  EXPECT_EQ(lading::encode(std::vector<bool>(100), everything)->size(), 1U);
  const std::vector<padded> records(100);
  EXPECT_EQ(lading::encode(records, everything)->size(), 1U);
  const std::deque<std::int32_t> scattered(100);
  EXPECT_EQ(lading::encode(scattered, everything)->size(), 1U);
  const std::vector<long double> extended(100);
  EXPECT_EQ(lading::encode(extended, everything)->size(), 1U);
  const std::vector<std::array<float, 3>> points(100);
  EXPECT_EQ(lading::encode(points, everything)->size(), 2U);
}

TEST(frames, marks_for_what_cannot_travel_out_of_band_are_refused) {
  const auto mark = from_hex("ffffffff");
  const std::vector<std::byte> payload(8, std::byte{1});
  const std::array<bytes_view, 2> list{bytes_view(mark), bytes_view(payload)};
  EXPECT_EQ(lading::decode<std::vector<bool>>(list).error().code(), errc::not_canonical);
  EXPECT_EQ(lading::decode<std::vector<padded>>(list).error().code(), errc::not_canonical);
  EXPECT_EQ(lading::decode<std::vector<std::string>>(list).error().code(), errc::not_canonical);
  EXPECT_EQ((lading::decode<std::map<int, int>>(list).error().code()), errc::not_canonical);
  EXPECT_EQ(lading::decode<std::deque<std::int32_t>>(list), (std::deque<std::int32_t>{0x01010101, 0x01010101}));  // a twin of the vector
}

}  // namespace
