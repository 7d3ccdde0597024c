// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <lading/codec/tensor/strided_list.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace {

using lading::dtype;
using lading::errc;
using lading::strided_list;
using lading::strided_list_view;
using lading::tensor;
using lading::tensor_view;

TEST(strided_list, keeps_components_of_different_shapes) {
  strided_list list;
  EXPECT_TRUE(list.empty());
  ASSERT_TRUE(list.push_back(*tensor::zeros(dtype::float32, {2, 3})));
  ASSERT_TRUE(list.push_back(*tensor::zeros(dtype::float32, {0, 5})));
  ASSERT_TRUE(list.push_back(*tensor::zeros(dtype::float32, {4, 1})));
  EXPECT_EQ(list.size(), 3U);
  EXPECT_EQ(list[2].shape()[0], 4);
  std::size_t seen = 0;
  for (const tensor& component : list) seen += component.rank() == 2 ? 1U : 0U;
  EXPECT_EQ(seen, 3U);
  const strided_list copy = list;
  EXPECT_EQ(copy, list);
  std::vector<tensor> taken = std::move(list).components();
  EXPECT_EQ(taken.size(), 3U);
  EXPECT_EQ(*strided_list::from(std::move(taken)), copy);
}

TEST(strided_list, refuses_another_dtype_or_rank) {
  const auto with = [](dtype type, const std::vector<std::int64_t>& shape) {
    std::vector<tensor> components;
    components.push_back(*tensor::zeros(dtype::float32, {2, 3}));
    components.push_back(*tensor::zeros(type, shape));
    return strided_list::from(std::move(components));
  };
  EXPECT_TRUE(with(dtype::float32, {7, 7}));
  const auto refused = with(dtype::int32, {2, 3});
  ASSERT_EQ(refused.error(), errc::invalid_value);
  EXPECT_EQ(refused.error().details().item, 1U);
  EXPECT_EQ(with(dtype::float32, {6}).error(), errc::invalid_value);
  EXPECT_EQ(with(dtype::float32, {2, 3, 1}).error(), errc::invalid_value);
  strided_list list = *with(dtype::float32, {1, 1});
  EXPECT_EQ(list.push_back(*tensor::zeros(dtype::float32, {1})).error(), errc::invalid_value);
  EXPECT_EQ(list.size(), 2U);
  list.clear();
  EXPECT_TRUE(list.push_back(*tensor::zeros(dtype::int8, {1})));
  EXPECT_TRUE(strided_list::from({}));
}

template <class List>
concept viewable = requires(List&& list) { lading::view_of(std::forward<List>(list)); };
static_assert(viewable<strided_list&> && viewable<const strided_list&> && !viewable<strided_list>);

TEST(strided_list, borrows_components_from_anywhere) {
  const std::vector<float> data(12, 1.0F);
  std::vector<tensor_view> components{*tensor_view::of(data, {3, 4}), *tensor_view::of(data, {6, 2})->transpose(0, 1)};
  const strided_list_view view = *strided_list_view::from(components);
  EXPECT_EQ(view[1].shape()[0], 2);
  strided_list owner;
  for (const tensor_view& component : view) ASSERT_TRUE(owner.push_back(*tensor::copy_of(component)));
  EXPECT_EQ(*lading::view_of(owner), view);
}

}  // namespace
