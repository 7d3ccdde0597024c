// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <lading/codec/tensor/tensor.hpp>

#include <gtest/gtest.h>

#include <complex>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using lading::dtype;
using lading::errc;
using lading::result;
using lading::tensor;
using lading::tensor_view;
using dims = std::vector<std::int64_t>;

dims to_vector(std::span<const std::int64_t> values) { return {values.begin(), values.end()}; }

std::vector<std::int32_t> numbers(std::size_t count) {
  std::vector<std::int32_t> items(count);
  std::iota(items.begin(), items.end(), 1);
  return items;
}

static_assert(std::is_nothrow_move_constructible_v<tensor> && std::is_nothrow_move_assignable_v<tensor> &&
              std::is_nothrow_default_constructible_v<tensor>);
static_assert(std::is_convertible_v<const tensor&, const tensor_view&>);
static_assert(!std::is_convertible_v<tensor, tensor_view>, "a view of a temporary tensor would dangle");

template <class Tensor>
concept lends_a_view = requires(Tensor&& owner) { std::forward<Tensor>(owner).view(); };
template <class Tensor>
concept lends_bytes = requires(Tensor&& owner) { std::forward<Tensor>(owner).bytes(); };
template <class Tensor>
concept lends_items = requires(Tensor&& owner) { std::forward<Tensor>(owner).template as<float>(); };
static_assert(lends_a_view<tensor&> && lends_bytes<tensor&> && lends_items<const tensor&>);
static_assert(!lends_a_view<tensor> && !lends_bytes<tensor> && !lends_items<tensor>);

TEST(tensor, starts_empty) {
  const tensor nothing;
  EXPECT_EQ(nothing.dtype(), dtype::float32);
  EXPECT_EQ(to_vector(nothing.shape()), dims{0});
  EXPECT_TRUE(nothing.empty());
  EXPECT_EQ(nothing, tensor_view());
}

TEST(tensor, is_made_of_every_dtype_aligned_and_zeroed) {
  for (const lading::detail::dtype_row& row : lading::detail::dtype_rows) {
    for (const std::int64_t count : {0, 1, 3, 64, 1000}) {
      const result<tensor> zeros = tensor::zeros(row.type, {count, 2});
      ASSERT_TRUE(zeros) << row.name;
      EXPECT_EQ(zeros->dtype(), row.type);
      EXPECT_EQ(zeros->item_count(), 2 * count);
      EXPECT_EQ(zeros->size_bytes(), static_cast<std::size_t>(2 * count) * row.size);
      EXPECT_TRUE(zeros->view().is_aligned(tensor::alignment));
      EXPECT_EQ(std::vector<std::byte>(zeros->bytes().begin(), zeros->bytes().end()), std::vector<std::byte>(zeros->size_bytes()));
      EXPECT_EQ(*tensor::from_bytes(row.type, {count, 2}, zeros->bytes()), *zeros);
      EXPECT_EQ(tensor(*zeros), *zeros);
    }
  }
}

template <class T>
void expect_typed() {
  result<tensor> made = tensor::uninitialized(lading::dtype_of<T>, {4});
  ASSERT_TRUE(made);
  const result<std::span<T>> items = made->as<T>();
  ASSERT_TRUE(items);
  for (std::size_t i = 0; i < items->size(); ++i) {
    (*items)[i] = T{};
  }
  EXPECT_EQ(made->as<T>()->size(), 4U);
  EXPECT_EQ(std::as_const(*made).as<T>()->data(), items->data());
  EXPECT_EQ(*made->at<T>(3), T{});
  EXPECT_EQ(*made, *tensor::zeros(lading::dtype_of<T>, {4}));
}

TEST(tensor, gives_typed_items_of_every_type) {
  expect_typed<bool>();
  expect_typed<std::byte>();
  expect_typed<std::uint8_t>();
  expect_typed<std::uint16_t>();
  expect_typed<std::uint32_t>();
  expect_typed<std::uint64_t>();
  expect_typed<std::int8_t>();
  expect_typed<std::int16_t>();
  expect_typed<std::int32_t>();
  expect_typed<std::int64_t>();
  expect_typed<float>();
  expect_typed<double>();
  expect_typed<lading::float16>();
  expect_typed<lading::bfloat16>();
  expect_typed<lading::float8_e4m3fn>();
  expect_typed<lading::float8_e5m2>();
  expect_typed<lading::float8_e4m3fnuz>();
  expect_typed<lading::float8_e5m2fnuz>();
  expect_typed<lading::float8_e8m0fnu>();
  expect_typed<lading::float4_e2m1fn_x2>();
  expect_typed<lading::complex32>();
  expect_typed<std::complex<float>>();
  expect_typed<std::complex<double>>();
}

TEST(tensor, has_no_uninitialised_bool) {
  tensor reused = *tensor::uninitialized(dtype::uint8, {500});
  std::memset(reused.data(), 0xA5, 500);
  ASSERT_TRUE(reused.resize(dtype::boolean, {500}));
  ASSERT_TRUE(reused.as<bool>());
  EXPECT_FALSE((*reused.as<bool>())[499]);
  EXPECT_TRUE(tensor::uninitialized(dtype::boolean, {500})->as<bool>());
}

TEST(tensor, copies_what_lies_anywhere) {
  const std::vector<std::int32_t> data = numbers(24);
  const tensor_view matrix = *tensor_view::of(data, {4, 6});
  const tensor turned = *tensor::copy_of(*matrix.transpose(0, 1));
  EXPECT_EQ(to_vector(turned.shape()), (dims{6, 4}));
  EXPECT_EQ(turned.at<std::int32_t>(5, 3), 24);
  EXPECT_EQ(turned.at<std::int32_t>(0, 1), 7);
  EXPECT_TRUE(turned.view().contiguous());
  EXPECT_EQ(turned, *matrix.transpose(0, 1));
  EXPECT_EQ(*tensor::copy_of(*matrix.flip(1)), *matrix.flip(1));
  EXPECT_EQ(*tensor::copy_of(*matrix.expand({3, 4, 6})), *matrix.expand({3, 4, 6}));
  EXPECT_EQ(*tensor::copy_of(*matrix.narrow(1, 2, 0)), *matrix.narrow(1, 2, 0));
  EXPECT_EQ(*tensor::of(data), *tensor_view::of(data));
  EXPECT_EQ(*tensor::of(std::vector<float>{1, 2, 3}, {3, 1}), *tensor::of(std::vector<float>{1, 2, 3}, {3, 1}));
  EXPECT_EQ(tensor::of(data, {25}).error(), errc::truncated);
  EXPECT_EQ(tensor::of(data, {23}).error(), errc::trailing_bytes);
}

TEST(tensor, copies_from_any_address) {
  const std::vector<std::int32_t> data = numbers(6);
  for (std::size_t shift = 0; shift < 8; ++shift) {
    std::vector<std::byte> bytes(24 + shift);
    std::memcpy(bytes.data() + shift, data.data(), 24);
    const result<tensor> made = tensor::from_bytes(dtype::int32, {2, 3}, lading::bytes_view(bytes).subspan(shift));
    ASSERT_TRUE(made);
    EXPECT_EQ(*made, *tensor_view::of(data, {2, 3}));
    EXPECT_TRUE(made->as<std::int32_t>());
  }
}

TEST(tensor, copies_deeply_and_moves_cheaply) {
  for (const dims& shape : {dims{2, 3}, dims{2, 1, 1, 1, 1, 1, 1, 1, 1, 3}}) {
    tensor first = *tensor::of(numbers(6), shape);
    const std::byte* place = first.data();
    const tensor copy = first;
    EXPECT_EQ(copy, first);
    EXPECT_NE(copy.data(), place);
    (*first.as<std::int32_t>())[0] = 99;
    EXPECT_NE(copy, first);
    tensor moved = std::move(first);
    EXPECT_EQ(moved.data(), place);
    EXPECT_EQ((*moved.as<std::int32_t>())[0], 99);
    EXPECT_EQ(first, tensor());  // NOLINT(bugprone-use-after-move): documented
    EXPECT_EQ(first.size_bytes(), 0U);
    tensor target = *tensor::zeros(dtype::int8, {3});
    target = std::move(moved);
    EXPECT_EQ(target.data(), place);
    EXPECT_EQ(moved, tensor());  // NOLINT(bugprone-use-after-move)
    moved = target;
    EXPECT_EQ(moved, target);
    const tensor& self = target;
    target = self;
    EXPECT_EQ(target, moved);
    target = std::move(const_cast<tensor&>(self));
    EXPECT_EQ(target, moved);
  }
}

TEST(tensor, reuses_its_memory) {
  tensor made = *tensor::zeros(dtype::float32, {100});
  const std::byte* place = made.data();
  const std::vector<std::int32_t> data = numbers(50);
  ASSERT_TRUE(made.assign(*tensor_view::of(data, {5, 10})));
  EXPECT_EQ(made.data(), place);
  EXPECT_EQ(made, *tensor_view::of(data, {5, 10}));
  EXPECT_EQ(made.capacity_bytes(), 400U);
  const tensor small = *tensor::of(data);
  made = small;
  EXPECT_EQ(made.data(), place);
  ASSERT_TRUE(made.assign(dtype::int32, {50}, small.bytes()));
  EXPECT_EQ(made.data(), place);
  ASSERT_TRUE(made.resize(dtype::uint8, {20, 20}));
  EXPECT_EQ(made.data(), place);
  ASSERT_TRUE(made.resize(dtype::uint8, {401}));
  EXPECT_EQ(made.capacity_bytes(), 401U);
  EXPECT_TRUE(made.view().is_aligned(64));
}

TEST(tensor, is_unchanged_by_a_refused_assignment) {
  tensor made = *tensor::of(numbers(6), {2, 3});
  const tensor before = made;
  const std::vector<std::byte> bytes(8);
  EXPECT_TRUE(tensor(made).assign(dtype::int32, {2}, bytes));
  EXPECT_EQ(made.assign(dtype::int32, {3}, bytes).error(), errc::truncated);
  EXPECT_EQ(made.assign(dtype::int32, {1}, bytes).error(), errc::trailing_bytes);
  EXPECT_EQ(made.assign(dtype::int32, {-1}, bytes).error(), errc::invalid_value);
  EXPECT_EQ(made.assign(static_cast<dtype>(7), {2}, bytes).error(), errc::invalid_value);
  EXPECT_EQ(made.assign(dtype::int32, dims(65, 1), bytes).error(), errc::limit_exceeded);
  EXPECT_EQ(made.resize(dtype::int32, {std::numeric_limits<std::int64_t>::max()}).error(), errc::size_overflow);
  EXPECT_EQ(made.resize(dtype::int8, {std::numeric_limits<std::int64_t>::max() - 100}).error(), errc::no_memory);
  EXPECT_EQ(made.resize(dtype::int32, {-2, -2}).error(), errc::invalid_value);
  EXPECT_EQ(made, before);
  EXPECT_EQ(tensor::zeros(dtype::int8, {std::int64_t{1} << 62}).error(), errc::no_memory);
}

TEST(tensor, can_be_assigned_a_part_of_itself) {
  const std::vector<std::int32_t> data = numbers(12);
  const tensor_view original = *tensor_view::of(data, {3, 4});
  tensor made = *tensor::copy_of(original);
  ASSERT_TRUE(made.assign(*made.view().transpose(0, 1)));
  EXPECT_EQ(made, *original.transpose(0, 1));
  ASSERT_TRUE(made.assign(*made.view().flip(0)));
  EXPECT_EQ(made, *original.transpose(0, 1)->flip(0));
  ASSERT_TRUE(made.assign(*made.view().narrow(0, 1, 2)));
  EXPECT_EQ(made, *original.transpose(0, 1)->flip(0)->narrow(0, 1, 2));
  ASSERT_TRUE(made.assign(made.view()));
  EXPECT_EQ(made.item_count(), 6);
  ASSERT_TRUE(made.assign(*made.view().narrow(0, 1, 0)));
  EXPECT_EQ(to_vector(made.shape()), (dims{0, 3}));
  ASSERT_TRUE(made.resize(made.dtype(), made.shape()));
  EXPECT_EQ(to_vector(made.shape()), (dims{0, 3}));
}

TEST(tensor, adopts_a_buffer) {
  lading::aligned_buffer buffer = *lading::aligned_buffer::allocate(100);
  std::memset(buffer.data(), 1, 100);
  const std::byte* place = buffer.data();
  EXPECT_EQ(tensor::adopt(dtype::float32, {26}, std::move(buffer)).error(), errc::truncated);
  EXPECT_EQ(tensor::adopt(dtype::float32, {-1}, std::move(buffer)).error(), errc::invalid_value);
  EXPECT_EQ(buffer.data(), place);  // NOLINT(bugprone-use-after-move): refused, so unchanged
  tensor made = *tensor::adopt(dtype::float32, {5, 5}, std::move(buffer));
  EXPECT_EQ(made.data(), place);
  EXPECT_EQ(made.at<float>(4, 4), made.at<float>(0, 0));
  lading::aligned_buffer loose = *lading::aligned_buffer::allocate(100, 16);
  std::vector<lading::aligned_buffer> tries;  // until one is not a multiple of 64 by chance
  for (int i = 0; i < 100 && reinterpret_cast<std::uintptr_t>(loose.data()) % 64 == 0; ++i) {
    tries.push_back(std::move(loose));
    loose = *lading::aligned_buffer::allocate(static_cast<std::size_t>(100 + 16 * i), 16);
  }
  if (reinterpret_cast<std::uintptr_t>(loose.data()) % 64 != 0) {
    EXPECT_EQ(tensor::adopt(dtype::float32, {5, 5}, std::move(loose)).error(), errc::misaligned);
  }
  EXPECT_TRUE(tensor::adopt(dtype::float32, {0}, lading::aligned_buffer()));
}

TEST(tensor, checks_the_type_of_its_items) {
  tensor made = *tensor::zeros(dtype::boolean, {4});
  EXPECT_TRUE(made.as<bool>());
  EXPECT_EQ(made.as<float>().error(), errc::invalid_argument);
  EXPECT_EQ(made.at<bool>(4).error(), errc::invalid_argument);
  (*made.as<std::uint8_t>())[2] = 2;
  EXPECT_EQ(made.as<bool>().error(), errc::invalid_value);
}

TEST(tensor, compares_with_views) {
  const tensor left = *tensor::of(numbers(4), {2, 2});
  const tensor right = *tensor::of(numbers(4), {4});
  const std::vector<std::int32_t> data = numbers(4);
  EXPECT_TRUE(left == *tensor_view::of(data, {2, 2}));
  EXPECT_TRUE(*tensor_view::of(data, {2, 2}) == left);
  EXPECT_FALSE(left == right);
  EXPECT_TRUE(left != *tensor_view::of(data));
}

}  // namespace
