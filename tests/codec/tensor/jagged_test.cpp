// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <lading/codec/tensor/jagged.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using lading::dtype;
using lading::errc;
using lading::jagged;
using lading::jagged_view;
using lading::result;
using lading::tensor;
using lading::tensor_view;
using dims = std::vector<std::int64_t>;

constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();

dims to_vector(std::span<const std::int64_t> values) { return {values.begin(), values.end()}; }

std::vector<float> numbers(std::size_t count) {
  std::vector<float> items(count);
  std::iota(items.begin(), items.end(), 1.0F);
  return items;
}

lading::bytes_view bytes_of(const auto& container) { return std::as_bytes(std::span(container)); }

static_assert(std::is_nothrow_move_constructible_v<jagged> && std::is_nothrow_move_assignable_v<jagged>);
static_assert(std::is_convertible_v<const jagged&, const jagged_view&> && !std::is_convertible_v<jagged, jagged_view>);

TEST(jagged, starts_without_rows) {
  const jagged_view view;
  EXPECT_EQ(view.row_count(), 0U);
  EXPECT_EQ(to_vector(view.offsets()), dims{0});
  EXPECT_EQ(view.row(0).error(), errc::invalid_argument);
  const jagged owner;
  EXPECT_EQ(owner, view);
  EXPECT_TRUE(jagged_view::from(tensor_view(), owner.offsets()));
}

TEST(jagged, cuts_rows_from_values) {
  const std::vector<float> data = numbers(12);
  const tensor_view values = *tensor_view::of(data, {6, 2});
  const dims offsets{0, 2, 2, 5, 6};
  const result<jagged_view> view = jagged_view::from(values, offsets);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->row_count(), 4U);
  EXPECT_EQ(to_vector(view->trailing_shape()), dims{2});
  EXPECT_EQ(to_vector(view->row(0)->shape()), (dims{2, 2}));
  EXPECT_EQ(to_vector(view->row(1)->shape()), (dims{0, 2}));
  EXPECT_EQ(view->row(2)->at<float>(0, 1), 6.0F);
  EXPECT_EQ(view->row(3)->as<float>()->data(), data.data() + 10);
  EXPECT_EQ(view->row(4).error(), errc::invalid_argument);
  EXPECT_EQ(view->row(~std::size_t{0}).error(), errc::invalid_argument);
  EXPECT_EQ(view->values(), values);
  EXPECT_EQ(view->offsets().data(), offsets.data());
}

TEST(jagged, refuses_offsets_that_cut_no_rows) {
  const std::vector<float> data = numbers(6);
  const tensor_view values = *tensor_view::of(data);
  const auto code = [&](const dims& offsets) {
    const auto view = jagged_view::from(values, offsets);
    jagged owner = *jagged::of_rows(std::vector{values});
    const auto owned = owner.assign(dtype::float32, {6}, bytes_of(data), bytes_of(offsets));
    EXPECT_EQ(view.has_value(), owned.has_value());
    EXPECT_EQ(owned ? errc{} : owned.error().code(), view ? errc{} : view.error().code());
    EXPECT_EQ(owner.row_count(), view ? offsets.size() - 1 : 0U);
    return view ? errc{} : view.error().code();
  };
  EXPECT_EQ(code({0, 6}), errc{});
  EXPECT_EQ(code({0, 0, 0, 6, 6}), errc{});
  EXPECT_EQ(code({}), errc::invalid_value);
  EXPECT_EQ(code({0}), errc::invalid_value);
  EXPECT_EQ(code({6}), errc::invalid_value);
  EXPECT_EQ(code({1, 6}), errc::invalid_value);
  EXPECT_EQ(code({-1, 6}), errc::invalid_value);
  EXPECT_EQ(code({0, 5}), errc::invalid_value);
  EXPECT_EQ(code({0, 7}), errc::invalid_value);
  EXPECT_EQ(code({0, 7, 6}), errc::invalid_value);
  EXPECT_EQ(code({0, 4, 3, 6}), errc::invalid_value);
  EXPECT_EQ(code({0, -1, 6}), errc::invalid_value);
  EXPECT_EQ(code({0, huge, 6}), errc::invalid_value);
  EXPECT_EQ(code({0, std::numeric_limits<std::int64_t>::min(), 6}), errc::invalid_value);
  EXPECT_EQ(code({0, 6, 0}), errc::invalid_value);
  const auto decreasing = jagged_view::from(values, dims{0, 4, 3, 6});
  EXPECT_EQ(decreasing.error().details().item, 2U);
}

TEST(jagged, needs_a_dimension_to_cut) {
  const std::vector<float> data = numbers(1);
  const dims offsets{0, 1};
  EXPECT_TRUE(jagged_view::from(*tensor_view::of(data, {1}), offsets));
  EXPECT_EQ(jagged_view::from(*tensor_view::of(data, {}), offsets).error(), errc::invalid_argument);
  jagged owner;
  EXPECT_EQ(owner.assign(dtype::float32, {}, bytes_of(data), bytes_of(offsets)).error(), errc::invalid_argument);
  EXPECT_EQ(jagged::of_rows(std::vector{*tensor_view::of(data, {})}).error(), errc::invalid_argument);
}

/// What a racing writer can do to borrowed offsets after they were checked.
TEST(jagged, cuts_no_row_outside_its_values_though_offsets_change) {
  const std::vector<float> data = numbers(6);
  dims offsets{0, 2, 6};
  const jagged_view view = *jagged_view::from(*tensor_view::of(data), offsets);
  for (const std::int64_t wrong : {std::int64_t{-1}, std::int64_t{7}, huge, std::numeric_limits<std::int64_t>::min()}) {
    offsets[1] = wrong;
    EXPECT_EQ(view.row(0).error(), errc::invalid_argument) << wrong;
    EXPECT_EQ(view.row(1).error(), errc::invalid_argument) << wrong;
    jagged owner;
    EXPECT_EQ(owner.assign(view).error(), errc::invalid_value);
    EXPECT_EQ(owner, jagged());
  }
  offsets[1] = 3;
  EXPECT_EQ(view.row(1)->item_count(), 3);
}

TEST(jagged, owns_values_and_offsets_in_one_allocation) {
  const std::vector<float> data = numbers(12);
  const dims offsets{0, 2, 2, 5, 6};
  const jagged_view view = *jagged_view::from(*tensor_view::of(data, {6, 2}), offsets);
  const jagged owner = *jagged::copy_of(view);
  EXPECT_EQ(owner, view);
  EXPECT_TRUE(owner.values().is_aligned(tensor::alignment));
  const auto* begin = owner.values().data();
  const auto* place = reinterpret_cast<const std::byte*>(owner.offsets().data());
  EXPECT_EQ(place, begin + 48);  // right behind the values
  EXPECT_EQ(*owner.row(2), *view.row(2));
}

TEST(jagged, copies_values_that_are_strided) {
  const std::vector<float> data = numbers(12);
  const dims offsets{0, 1, 3, 4};
  const jagged_view view = *jagged_view::from(*tensor_view::of(data, {3, 4})->transpose(0, 1), offsets);
  EXPECT_EQ(view.row(1)->at<float>(0, 2), 10.0F);
  const jagged owner = *jagged::copy_of(view);
  EXPECT_EQ(owner, view);
  EXPECT_TRUE(owner.values().contiguous());
}

TEST(jagged, copies_from_any_address) {
  const std::vector<float> data = numbers(6);
  const dims offsets{0, 2, 6};
  for (std::size_t shift = 0; shift < 8; ++shift) {
    std::vector<std::byte> bytes(shift + 24 + 24);
    std::memcpy(bytes.data() + shift, data.data(), 24);
    std::memcpy(bytes.data() + shift + 24, offsets.data(), 24);
    const lading::bytes_view all(bytes);
    jagged owner;
    ASSERT_TRUE(owner.assign(dtype::float32, {6}, all.subspan(shift, 24), all.subspan(shift + 24, 24)));
    EXPECT_EQ(owner.row(1)->at<float>(0), 3.0F);
    EXPECT_EQ(owner.assign(dtype::float32, {6}, all.subspan(shift, 24), all.subspan(shift + 24, 23)).error(), errc::invalid_value);
    EXPECT_EQ(owner.assign(dtype::float32, {6}, all.subspan(shift, 23), all.subspan(shift + 24, 24)).error(), errc::truncated);
    EXPECT_EQ(owner.assign(dtype::float32, {6}, all.subspan(shift, 24), {}).error(), errc::invalid_value);
    EXPECT_EQ(owner.assign(static_cast<dtype>(3), {6}, all.subspan(shift, 24), all.subspan(shift + 24, 24)).error(), errc::invalid_value);
  }
}

TEST(jagged, is_made_of_rows) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    dims trailing(random() % 10);
    for (std::int64_t& size : trailing) size = static_cast<std::int64_t>(1 + random() % 2);
    if (round % 20 == 0 && !trailing.empty()) trailing.back() = 0;
    std::vector<tensor> rows(1 + random() % 6);
    std::vector<tensor_view> views;
    for (tensor& row : rows) {
      dims shape = trailing;
      shape.insert(shape.begin(), static_cast<std::int64_t>(random() % 4));
      row = *tensor::uninitialized(dtype::int16, shape);
      for (std::byte& each : row.bytes()) each = static_cast<std::byte>(random());
      views.push_back(row);
      if (round % 3 == 0) views.back() = *row.view().flip(0);
    }
    const result<jagged> made = jagged::of_rows(views);
    ASSERT_TRUE(made) << made.error().message();
    ASSERT_EQ(made->row_count(), rows.size());
    EXPECT_EQ(to_vector(made->trailing_shape()), trailing);
    for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(*made->row(i), views[i]);
    EXPECT_TRUE(jagged_view::from(made->values(), made->offsets()));
    const jagged copy = *made;
    EXPECT_EQ(copy, *made);
  }
  EXPECT_EQ(jagged::of_rows({})->row_count(), 0U);
}

TEST(jagged, refuses_rows_that_disagree) {
  const std::vector<float> data = numbers(12);
  const tensor_view three_by_two = *tensor_view::of(std::span(data).first(6), {3, 2});
  const tensor_view six_by_two = *tensor_view::of(data, {6, 2});
  const tensor_view four_by_three = *tensor_view::of(data, {4, 3});
  const tensor_view flat = *tensor_view::of(data);
  const tensor_view other = *tensor_view::from_bytes(dtype::int32, {6, 2}, bytes_of(data));
  EXPECT_TRUE(jagged::of_rows(std::vector{three_by_two, six_by_two}));
  const auto refused = jagged::of_rows(std::vector{three_by_two, six_by_two, four_by_three});
  ASSERT_EQ(refused.error(), errc::invalid_argument);
  EXPECT_EQ(refused.error().details().item, 2U);
  EXPECT_EQ(jagged::of_rows(std::vector{three_by_two, flat}).error(), errc::invalid_argument);
  EXPECT_EQ(jagged::of_rows(std::vector{three_by_two, other}).error(), errc::invalid_argument);
  const tensor_view most = *tensor_view::from_bytes(dtype::int8, {huge, 0}, {});
  EXPECT_TRUE(jagged::of_rows(std::vector{most}));
  EXPECT_EQ(jagged::of_rows(std::vector{most, most}).error(), errc::size_overflow);
}

TEST(jagged, is_filled_in_place) {
  const dims lengths{3, 0, 1};
  jagged made = *jagged::uninitialized(dtype::float32, lengths, {2});
  EXPECT_EQ(to_vector(made.offsets()), (dims{0, 3, 3, 4}));
  for (std::size_t row = 0; row < 3; ++row) {
    const std::span<float> items = *made.row_as<float>(row);
    for (float& item : items) item = static_cast<float>(row);
  }
  EXPECT_EQ(made.row(2)->at<float>(0, 1), 2.0F);
  EXPECT_EQ(made.row_as<double>(0).error(), errc::invalid_argument);
  EXPECT_EQ(made.row_as<float>(3).error(), errc::invalid_argument);
  EXPECT_EQ(made.bytes().size(), 32U);
  EXPECT_EQ(jagged::uninitialized(dtype::float32, dims{1, -1}, {2}).error(), errc::invalid_value);
  EXPECT_EQ(jagged::uninitialized(dtype::float32, dims{1}, {-2}).error(), errc::invalid_value);
  EXPECT_EQ(jagged::uninitialized(dtype::float32, dims{huge, 1}, {0}).error(), errc::size_overflow);
  EXPECT_EQ(jagged::uninitialized(dtype::float32, dims{huge / 4, 1}, {}).error(), errc::size_overflow);
  EXPECT_EQ(jagged::uninitialized(dtype::int8, dims{huge}, {}).error(), errc::size_overflow);  // with its offsets
  EXPECT_EQ(jagged::uninitialized(dtype::int8, dims{huge / 2}, {}).error(), errc::no_memory);
  EXPECT_EQ(jagged::uninitialized(dtype::float32, dims{1}, dims(64, 1)).error(), errc::limit_exceeded);
  EXPECT_TRUE(jagged::uninitialized(dtype::float32, dims{1}, dims(63, 1)));
  EXPECT_EQ(jagged::uninitialized(static_cast<dtype>(0), dims{1}, {}).error(), errc::invalid_value);
  EXPECT_TRUE(jagged::uninitialized(dtype::boolean, dims{100}, {})->row_as<bool>(0));
}

TEST(jagged, copies_moves_and_reuses) {
  const std::vector<float> data = numbers(12);
  const dims offsets{0, 2, 2, 5, 6};
  const jagged_view view = *jagged_view::from(*tensor_view::of(data, {6, 2}), offsets);
  jagged first = *jagged::copy_of(view);
  const std::byte* place = first.values().data();
  jagged copy = first;
  EXPECT_EQ(copy, first);
  EXPECT_NE(copy.values().data(), place);
  jagged moved = std::move(first);
  EXPECT_EQ(moved.values().data(), place);
  EXPECT_EQ(moved, view);
  EXPECT_EQ(first, jagged());  // NOLINT(bugprone-use-after-move): documented
  first = std::move(moved);
  EXPECT_EQ(first.values().data(), place);
  EXPECT_EQ(moved, jagged());  // NOLINT(bugprone-use-after-move)
  const dims fewer{0, 1, 6};
  ASSERT_TRUE(first.assign(*jagged_view::from(*tensor_view::of(data, {6, 2}), fewer)));
  EXPECT_EQ(first.values().data(), place);
  EXPECT_EQ(first.row_count(), 2U);
  ASSERT_TRUE(first.assign(dtype::float32, {6, 2}, bytes_of(data), bytes_of(offsets)));
  EXPECT_EQ(first.values().data(), place);
  EXPECT_EQ(first, view);
  const jagged& self = first;
  first = self;
  EXPECT_EQ(first, view);
  first = std::move(const_cast<jagged&>(self));
  EXPECT_EQ(first, view);
  // a part of itself: its own values under other offsets
  const dims one{0, 6};
  ASSERT_TRUE(first.assign(*jagged_view::from(*first.values().flip(0), one)));
  EXPECT_EQ(first.row(0)->at<float>(0, 0), 11.0F);
  EXPECT_EQ(first.row(0)->at<float>(5, 1), 2.0F);
  copy = first;
  EXPECT_EQ(copy, first);
}

TEST(jagged, compares_rows_and_dtype) {
  const std::vector<float> data = numbers(6);
  const tensor_view values = *tensor_view::of(data);
  const dims offsets{0, 2, 6};
  const dims same{0, 2, 6};
  const dims other{0, 3, 6};
  const dims more{0, 2, 6, 6};
  const jagged_view view = *jagged_view::from(values, offsets);
  EXPECT_EQ(view, *jagged_view::from(values, same));
  EXPECT_NE(view, *jagged_view::from(values, other));
  EXPECT_NE(view, *jagged_view::from(values, more));
  EXPECT_NE(view, *jagged_view::from(*tensor_view::from_bytes(dtype::int32, {6}, bytes_of(data)), same));
  EXPECT_NE(view, *jagged_view::from(*tensor_view::of(data, {6, 1}), same));
}

}  // namespace
