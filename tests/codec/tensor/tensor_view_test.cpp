// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <lading/codec/tensor/tensor_view.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <complex>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using lading::bytes_view;
using lading::dtype;
using lading::errc;
using lading::result;
using lading::tensor_view;
using dims = std::vector<std::int64_t>;

constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();

dims to_vector(std::span<const std::int64_t> values) { return {values.begin(), values.end()}; }

/// A strided tensor of int32 spelled out: one place in `data` for every index, in row-major order of the indices.
struct reference {
  dims shape;
  std::vector<std::size_t> places;

  static reference compact(const dims& shape) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    reference made{shape, std::vector<std::size_t>(static_cast<std::size_t>(count))};
    std::iota(made.places.begin(), made.places.end(), std::size_t{0});
    return made;
  }

  /// Builds the reference of a slice by asking, for every index of the result, where it was.
  template <class Where>
  reference slice(const dims& result_shape, Where&& where) const {
    reference made{result_shape, {}};
    std::int64_t count = 1;
    for (const std::int64_t size : result_shape) count *= size;
    for (std::int64_t flat = 0; flat < count; ++flat) {
      dims index(result_shape.size());
      std::int64_t rest = flat;
      for (std::size_t i = result_shape.size(); i-- > 0;) {
        index[i] = rest % result_shape[i];
        rest /= result_shape[i];
      }
      const dims source = where(index);
      std::size_t at = 0;
      for (std::size_t i = 0; i < shape.size(); ++i) at = at * static_cast<std::size_t>(shape[i]) + static_cast<std::size_t>(source[i]);
      made.places.push_back(places[at]);
    }
    return made;
  }
};

void expect_same(const tensor_view& view, const reference& expected, const std::vector<std::int32_t>& data) {
  ASSERT_EQ(to_vector(view.shape()), expected.shape);
  ASSERT_EQ(static_cast<std::size_t>(view.item_count()), expected.places.size());
  std::vector<std::int32_t> items;
  for (const std::size_t place : expected.places) items.push_back(data[place]);
  // item by item
  dims index(view.rank());
  for (std::size_t flat = 0; flat < items.size(); ++flat) {
    std::size_t rest = flat;
    for (std::size_t i = view.rank(); i-- > 0;) {
      index[i] = static_cast<std::int64_t>(rest % static_cast<std::size_t>(view.shape()[i]));
      rest /= static_cast<std::size_t>(view.shape()[i]);
    }
    const result<std::int32_t> item = view.at_indices<std::int32_t>(index);
    ASSERT_TRUE(item) << item.error().message();
    ASSERT_EQ(*item, items[flat]);
  }
  // all at once, and compared
  std::vector<std::int32_t> gathered(items.size(), -1);
  ASSERT_TRUE(view.copy_to(std::as_writable_bytes(std::span(gathered))));
  ASSERT_EQ(gathered, items);
  const result<tensor_view> compact = tensor_view::of(items, expected.shape);
  ASSERT_TRUE(compact);
  ASSERT_EQ(view, *compact);
  ASSERT_EQ(*compact, view);
  // contiguous() tells the truth
  bool follows = true;
  for (std::size_t i = 1; i < expected.places.size(); ++i) follows = follows && expected.places[i] == expected.places[i - 1] + 1;
  ASSERT_EQ(view.contiguous(), follows);
  ASSERT_EQ(view.as<std::int32_t>().has_value(), follows);
  if (follows && !items.empty()) {
    ASSERT_EQ(view.as<std::int32_t>()->data(), data.data() + expected.places[0]);
  }
  // one changed item is seen
  if (!items.empty()) {
    items.back() ^= 1;
    ASSERT_NE(view, *tensor_view::of(items, expected.shape));
  }
}

TEST(tensor_view, starts_as_an_empty_float32) {
  const tensor_view view;
  EXPECT_EQ(view.dtype(), dtype::float32);
  EXPECT_EQ(to_vector(view.shape()), dims{0});
  EXPECT_TRUE(view.empty());
  EXPECT_TRUE(view.contiguous());
  EXPECT_EQ(view.size_bytes(), 0U);
  EXPECT_TRUE(view.as<float>()->empty());
}

TEST(tensor_view, borrows_what_lies_together) {
  std::vector<float> values{1, 2, 3, 4, 5, 6};
  const result<tensor_view> flat = tensor_view::of(values);
  ASSERT_TRUE(flat);
  EXPECT_EQ(to_vector(flat->shape()), dims{6});
  EXPECT_EQ(flat->as<float>()->data(), values.data());
  const result<tensor_view> matrix = tensor_view::of(values, {2, 3});
  ASSERT_TRUE(matrix);
  EXPECT_EQ(to_vector(matrix->strides()), (dims{3, 1}));
  EXPECT_EQ(matrix->at<float>(1, 2), 6.0F);
  const std::array<std::complex<double>, 2> numbers{};
  EXPECT_EQ(tensor_view::of(numbers)->dtype(), dtype::complex128);
  const bool flags[3] = {true, false, true};
  EXPECT_EQ(tensor_view::of(flags)->as<bool>()->data(), flags);
  EXPECT_EQ(tensor_view::of(std::span<float>(values))->dtype(), dtype::float32);  // a temporary span owns nothing
  EXPECT_EQ(*tensor_view::of(values, dims{6}), *flat);
}

template <class Range>
concept viewable = requires(Range&& range) { tensor_view::of(std::forward<Range>(range)); };
static_assert(viewable<std::vector<float>&> && viewable<std::span<const double>> && !viewable<std::vector<std::string>&>);

TEST(tensor_view, has_every_rank) {
  for (std::size_t rank = 0; rank <= lading::max_rank; ++rank) {
    dims shape(rank, 1);
    for (std::size_t i = 0; i < rank; i += 5) shape[i] = 2;
    const reference expected = reference::compact(shape);
    std::vector<std::int32_t> data(expected.places.size());
    std::iota(data.begin(), data.end(), 7);
    const result<tensor_view> view = tensor_view::of(data, shape);
    ASSERT_TRUE(view) << rank;
    EXPECT_EQ(view->rank(), rank);
    if (data.size() <= 512) expect_same(*view, expected, data);
    // copies and moves keep everything, whatever the rank of what was there before
    for (const std::size_t before : {std::size_t{0}, std::size_t{3}, std::size_t{8}, std::size_t{9}, std::size_t{64}}) {
      tensor_view target = *tensor_view::of(std::span(data).first(1), dims(before, 1));
      target = *view;
      EXPECT_EQ(target, *view);
      tensor_view copy = target;
      tensor_view moved = std::move(copy);
      EXPECT_EQ(moved, *view);
      tensor_view other = *tensor_view::of(std::span(data).first(1), dims(before, 1));
      other = std::move(moved);
      EXPECT_EQ(other, *view);
      std::swap(other, target);
      EXPECT_EQ(other, target);
      copy = tensor_view();  // a view that was moved from can be used again
      EXPECT_EQ(copy, tensor_view());
      const tensor_view& self = other;
      other = self;
      EXPECT_EQ(other, *view);
    }
  }
  std::vector<std::int32_t> one(1);
  EXPECT_EQ(tensor_view::of(one, dims(65, 1)).error(), errc::limit_exceeded);
  EXPECT_EQ(tensor_view::strided(dtype::int32, one.data(), dims(65, 1), dims(65, 1)).error(), errc::limit_exceeded);
}

TEST(tensor_view, takes_exactly_the_bytes_of_its_shape) {
  const std::vector<std::byte> bytes(24);
  EXPECT_TRUE(tensor_view::from_bytes(dtype::float32, {2, 3}, bytes));
  EXPECT_TRUE(tensor_view::from_bytes(dtype::complex64, {3}, bytes));
  EXPECT_TRUE(tensor_view::from_bytes(dtype::uint8, {4, 3, 2}, bytes));
  const auto more = tensor_view::from_bytes(dtype::float32, {7}, bytes);
  ASSERT_EQ(more.error(), errc::truncated);
  EXPECT_EQ(more.error().details().needed, 28U);
  EXPECT_EQ(more.error().details().available, 24U);
  EXPECT_EQ(tensor_view::from_bytes(dtype::float32, {5}, bytes).error(), errc::trailing_bytes);
  EXPECT_EQ(tensor_view::from_bytes(dtype::float32, {0}, bytes).error(), errc::trailing_bytes);
  EXPECT_EQ(tensor_view::from_bytes(dtype::float32, {}, bytes).error(), errc::trailing_bytes);
  EXPECT_TRUE(tensor_view::from_bytes(dtype::float32, {}, bytes_view(bytes).first(4)));
  EXPECT_TRUE(tensor_view::from_bytes(dtype::float32, {3, 0, 5}, {}));
  EXPECT_EQ(tensor_view::from_bytes(static_cast<dtype>(0), {0}, {}).error(), errc::invalid_value);
  EXPECT_EQ(tensor_view::from_bytes(static_cast<dtype>(200), {24}, bytes).error(), errc::invalid_value);
}

TEST(tensor_view, refuses_shapes_that_cannot_be) {
  const std::vector<std::byte> bytes(16);
  const auto error_of = [&](const dims& shape) {
    const auto view = tensor_view::from_bytes(dtype::float64, shape, bytes);
    const auto strided = tensor_view::strided(dtype::float64, bytes.data(), shape, dims(shape.size(), 1));
    EXPECT_EQ(view.has_value(), strided.has_value());
    if (!view && !strided) {
      EXPECT_EQ(view.error(), strided.error());
    }
    return view ? errc{} : view.error().code();
  };
  EXPECT_EQ(error_of({2}), errc{});
  EXPECT_EQ(error_of({-1}), errc::invalid_value);
  EXPECT_EQ(error_of({-2, -1}), errc::invalid_value);
  EXPECT_EQ(error_of({0, -1}), errc::invalid_value);
  EXPECT_EQ(error_of({std::numeric_limits<std::int64_t>::min()}), errc::invalid_value);
  EXPECT_EQ(error_of({huge}), errc::size_overflow);
  EXPECT_EQ(error_of({huge / 8 + 1}), errc::size_overflow);
  EXPECT_EQ(error_of({std::int64_t{1} << 32, std::int64_t{1} << 32}), errc::size_overflow);
  EXPECT_EQ(error_of({std::int64_t{1} << 32, std::int64_t{1} << 32, 2}), errc::size_overflow);        // 2^65: wraps to 0
  EXPECT_EQ(error_of({(std::int64_t{1} << 32) + 1, std::int64_t{1} << 32, 1}), errc::size_overflow);  // wraps to 2^32
  EXPECT_EQ(error_of({std::int64_t{1} << 31, std::int64_t{1} << 31, 0}), errc::size_overflow);  // slices of an empty tensor must not overflow either
  EXPECT_EQ(error_of(dims(64, 2)), errc::size_overflow);
}

TEST(tensor_view, refuses_more_than_the_bytes_that_there_are_without_touching_them) {
  const std::vector<std::byte> bytes(16);
  const auto view = tensor_view::from_bytes(dtype::float64, {huge / 8}, bytes);  // fits an address space, but not these bytes
  ASSERT_EQ(view.error(), errc::truncated);
  EXPECT_EQ(view.error().details().needed, static_cast<std::uint64_t>(huge / 8 * 8));
}

TEST(tensor_view, keeps_nothing_after_a_refused_assign) {
  const std::vector<float> values(6);
  for (const dims& shape : {dims{2, 3}, dims(10, 1)}) {
    tensor_view view = *tensor_view::of(std::span(values).first(shape.size() == 10 ? 1 : 6), shape);
    EXPECT_EQ(view.assign(dtype::float32, {7}, std::as_bytes(std::span(values))).error(), errc::truncated);
    EXPECT_EQ(view, tensor_view());
    EXPECT_TRUE(view.assign(dtype::float32, {3, 2}, std::as_bytes(std::span(values))));
    EXPECT_EQ(view.at<float>(2, 1), 0.0F);
    EXPECT_TRUE(view.assign(view.dtype(), view.shape(), *view.bytes()));  // its own shape as the argument
    EXPECT_EQ(to_vector(view.shape()), (dims{3, 2}));
  }
}

TEST(tensor_view, may_be_assigned_a_part_of_its_own_shape) {
  const std::vector<float> values(24);
  const bytes_view bytes = std::as_bytes(std::span(values));
  for (const std::size_t ones : {std::size_t{0}, std::size_t{5}, std::size_t{9}}) {
    dims shape{2, 3, 4};
    shape.insert(shape.end(), ones, 1);
    const tensor_view whole = *tensor_view::of(values, shape);
    for (std::size_t first = 0; first <= shape.size(); ++first) {
      for (std::size_t count = 0; count <= shape.size() - first; ++count) {
        tensor_view view = whole;
        const dims expected = to_vector(view.shape().subspan(first, count));
        std::int64_t items = 1;
        for (const std::int64_t size : expected) items *= size;
        ASSERT_TRUE(view.assign(dtype::float32, view.shape().subspan(first, count), bytes.first(static_cast<std::size_t>(items) * 4)));
        ASSERT_EQ(to_vector(view.shape()), expected);
        tensor_view other = whole;
        ASSERT_TRUE(other.assign(dtype::uint8, other.strides().subspan(shape.size() - 1), bytes.first(1)));
        ASSERT_EQ(to_vector(other.shape()), dims{1});
      }
    }
  }
}

TEST(tensor_view, reads_typed_items_only_where_that_is_right) {
  alignas(16) std::array<std::byte, 40> bytes{};
  const bytes_view all(bytes);
  const auto aligned = tensor_view::from_bytes(dtype::float32, {4}, all.first(16));
  EXPECT_EQ(aligned->as<float>()->size(), 4U);
  EXPECT_EQ(aligned->as<double>().error(), errc::invalid_argument);
  EXPECT_EQ(aligned->as<std::int32_t>().error(), errc::invalid_argument);
  EXPECT_EQ(aligned->as<std::byte>().error(), errc::invalid_argument);
  EXPECT_EQ(aligned->at<double>(0).error(), errc::invalid_argument);
  for (std::size_t shift = 1; shift < 4; ++shift) {
    const auto shifted = tensor_view::from_bytes(dtype::float32, {4}, all.subspan(shift, 16));
    EXPECT_EQ(shifted->as<float>().error(), errc::misaligned);
    EXPECT_EQ(shifted->at<float>(3), 0.0F);  // one item is read wherever it lies
    EXPECT_FALSE(shifted->is_aligned(4));
  }
  EXPECT_TRUE(tensor_view::from_bytes(dtype::float32, {4}, all.subspan(4, 16))->as<float>());
  EXPECT_TRUE(tensor_view::from_bytes(dtype::uint8, {16}, all.subspan(1, 16))->as<std::uint8_t>());
  EXPECT_TRUE(tensor_view::from_bytes(dtype::uint8, {16}, all.subspan(1, 16))->as<std::byte>());
  EXPECT_TRUE(tensor_view::from_bytes(dtype::float32, {0}, all.subspan(1, 0))->as<float>()->empty());
  EXPECT_TRUE(tensor_view::from_bytes(dtype::bfloat16, {8}, all.first(16))->as<lading::bfloat16>());
}

TEST(tensor_view, never_makes_a_bool_of_another_byte) {
  std::array<std::uint8_t, 300> bytes{};
  bytes[0] = 1;
  const auto flags = tensor_view::from_bytes(dtype::boolean, {300}, std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(flags->as<bool>());
  EXPECT_TRUE((*flags->as<bool>())[0]);
  for (const std::size_t at : {std::size_t{0}, std::size_t{150}, std::size_t{299}}) {
    for (const int value : {2, 128, 255}) {
      std::array<std::uint8_t, 300> wrong = bytes;
      wrong[at] = static_cast<std::uint8_t>(value);
      const auto view = tensor_view::from_bytes(dtype::boolean, {300}, std::as_bytes(std::span(wrong)));
      EXPECT_EQ(view->as<bool>().error(), errc::invalid_value);
      EXPECT_EQ(view->at<bool>(at), true);
      EXPECT_EQ((*view->as<std::uint8_t>())[at], value);
    }
  }
}

TEST(tensor_view, reads_one_item_only_inside) {
  const std::vector<std::int32_t> data{0, 1, 2, 3, 4, 5};
  const auto view = tensor_view::of(data, {2, 3});
  EXPECT_EQ(view->at<std::int32_t>(1, 2), 5);
  EXPECT_EQ(view->at<const std::int32_t>(1, 2), 5);
  EXPECT_EQ(view->at<std::int32_t>(2, 0).error(), errc::invalid_argument);
  EXPECT_EQ(view->at<std::int32_t>(0, 3).error(), errc::invalid_argument);
  EXPECT_EQ(view->at<std::int32_t>(0, -1).error(), errc::invalid_argument);
  EXPECT_EQ(view->at<std::int32_t>(1).error(), errc::invalid_argument);
  EXPECT_EQ(view->at<std::int32_t>(0, 0, 0).error(), errc::invalid_argument);
  EXPECT_EQ(tensor_view::of(data, {2, 3, 1})->at<std::int32_t>(1, 2, 0), 5);
  EXPECT_EQ(tensor_view::of(std::span(data).first(1), {})->at<std::int32_t>(), 0);
}

TEST(tensor_view, takes_strides_of_any_sign) {
  std::vector<std::int32_t> data(24);
  std::iota(data.begin(), data.end(), 0);
  const auto strided = [&](std::size_t origin, const dims& shape, const dims& strides) {
    return tensor_view::strided(dtype::int32, data.data() + origin, shape, strides);
  };
  const auto reversed = strided(23, {24}, {-1});
  ASSERT_TRUE(reversed);
  EXPECT_EQ(reversed->at<std::int32_t>(0), 23);
  EXPECT_EQ(reversed->at<std::int32_t>(23), 0);
  EXPECT_FALSE(reversed->contiguous());
  const auto repeated = strided(5, {3, 4}, {0, 1});
  EXPECT_EQ(repeated->at<std::int32_t>(2, 1), 6);
  EXPECT_FALSE(repeated->contiguous());
  const auto column_major = strided(0, {4, 6}, {1, 4});
  EXPECT_EQ(*column_major, *tensor_view::of(data, {6, 4})->transpose(0, 1));
  const auto all_same = strided(7, {2, 2}, {0, 0});
  EXPECT_EQ(all_same->at<std::int32_t>(1, 1), 7);
  EXPECT_TRUE(strided(0, {1, 24, 1}, {99, 1, -99})->contiguous());  // the stride of a dimension of 1 says nothing
  EXPECT_TRUE(strided(0, {1}, {std::numeric_limits<std::int64_t>::min()})->contiguous());
  EXPECT_TRUE(strided(0, {0, 5}, {huge, huge})->contiguous());
  EXPECT_TRUE(strided(0, {2}, {huge / 4 - 1}));  // numbers that can be; whether the memory is there only the caller knows
  EXPECT_EQ(strided(0, {2}, {huge / 4}).error(), errc::size_overflow);
  EXPECT_EQ(strided(0, {2}, {huge}).error(), errc::size_overflow);
  EXPECT_EQ(strided(0, {2}, {std::numeric_limits<std::int64_t>::min()}).error(), errc::size_overflow);
  EXPECT_EQ(strided(0, {3}, {std::numeric_limits<std::int64_t>::min()}).error(), errc::size_overflow);
  EXPECT_EQ(strided(0, {2, 2}, {huge / 8 + 1, -huge / 8}).error(), errc::size_overflow);
  EXPECT_EQ(strided(0, {2, 2}, {1}).error(), errc::invalid_argument);
  EXPECT_EQ(tensor_view::strided(dtype::int32, nullptr, {1}, {1}).error(), errc::invalid_argument);
  EXPECT_TRUE(tensor_view::strided(dtype::int32, nullptr, {0}, {1}));
}

TEST(tensor_view, stays_inside_a_given_storage) {
  std::vector<std::int32_t> data(24);
  std::iota(data.begin(), data.end(), 0);
  const bytes_view storage = std::as_bytes(std::span(data));
  const auto code = [&](std::uint64_t offset, const dims& shape, const dims& strides) {
    const auto view = tensor_view::strided_in(storage, offset, dtype::int32, shape, strides);
    return view ? errc{} : view.error().code();
  };
  EXPECT_EQ(code(0, {24}, {1}), errc{});
  EXPECT_EQ(code(0, {25}, {1}), errc::entry_out_of_bounds);
  EXPECT_EQ(code(1, {24}, {1}), errc::entry_out_of_bounds);
  EXPECT_EQ(code(4, {23}, {1}), errc{});
  EXPECT_EQ(code(92, {24}, {-1}), errc{});
  EXPECT_EQ(code(88, {24}, {-1}), errc::entry_out_of_bounds);
  EXPECT_EQ(code(93, {24}, {-1}), errc::entry_out_of_bounds);
  EXPECT_EQ(code(40, {3, 4}, {4, -3}), errc{});
  EXPECT_EQ(code(32, {3, 4}, {4, -3}), errc::entry_out_of_bounds);
  EXPECT_EQ(code(64, {3, 4}, {4, -3}), errc::entry_out_of_bounds);
  EXPECT_EQ(code(60, {3, 4}, {4, -3}), errc{});
  EXPECT_EQ(code(92, {}, {}), errc{});
  EXPECT_EQ(code(93, {}, {}), errc::entry_out_of_bounds);
  EXPECT_EQ(code(96, {0}, {1}), errc{});
  EXPECT_EQ(code(96, {}, {}), errc::entry_out_of_bounds);
  EXPECT_EQ(code(97, {0}, {1}), errc::entry_out_of_bounds);
  EXPECT_EQ(code(~std::uint64_t{0}, {1}, {1}), errc::entry_out_of_bounds);
  EXPECT_EQ(code(0, {1000, 1000}, {0, 0}), errc{});
  EXPECT_EQ(tensor_view::strided_in({}, 0, dtype::int32, {1}, {1}).error(), errc::entry_out_of_bounds);
  EXPECT_TRUE(tensor_view::strided_in({}, 0, dtype::int32, {0}, {1}));
}

/// Random chains of slices, each against the same chain on a list of places.
TEST(tensor_view, slices_as_the_reference_does) {
  std::mt19937 random(20240607);
  const auto below = [&](std::int64_t bound) { return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound)); };
  int checked = 0;
  for (int round = 0; round < 400; ++round) {
    dims shape(static_cast<std::size_t>(below(11)));
    for (std::int64_t& size : shape) size = shape.size() > 5 ? 1 + below(2) : below(9) == 0 ? 0 : 1 + below(4);
    reference expected = reference::compact(shape);
    std::vector<std::int32_t> data(expected.places.size());
    for (std::int32_t& item : data) item = static_cast<std::int32_t>(random());
    tensor_view view = *tensor_view::of(data, shape);
    for (int step = 0; step < 5; ++step) {
      const auto rank = static_cast<std::int64_t>(view.rank());
      if (rank == 0) break;
      const auto dimension = static_cast<std::size_t>(below(rank));
      const std::int64_t size = expected.shape[dimension];
      dims to = expected.shape;
      result<tensor_view> next;
      switch (below(7)) {
        case 0: {
          if (size == 0) continue;
          const std::int64_t index = below(size);
          to.erase(to.begin() + static_cast<std::ptrdiff_t>(dimension));
          next = view.select(dimension, index);
          expected = expected.slice(to, [&](dims at) {
            at.insert(at.begin() + static_cast<std::ptrdiff_t>(dimension), index);
            return at;
          });
          break;
        }
        case 1: {
          const std::int64_t begin = below(size + 1);
          const std::int64_t end = begin + below(size - begin + 1);
          const std::int64_t stride = below(8) == 0 ? huge : 1 + below(3);
          to[dimension] = end == begin ? 0 : (end - begin - 1) / stride + 1;
          next = view.slice(dimension, begin, end, stride);
          expected = expected.slice(to, [&](dims at) {
            at[dimension] = begin + at[dimension] * stride;
            return at;
          });
          break;
        }
        case 2: {
          const std::int64_t begin = below(size + 1);
          to[dimension] = below(size - begin + 1);
          next = view.narrow(dimension, begin, to[dimension]);
          expected = expected.slice(to, [&](dims at) {
            at[dimension] += begin;
            return at;
          });
          break;
        }
        case 3:
          next = view.flip(dimension);
          expected = expected.slice(to, [&](dims at) {
            at[dimension] = size - 1 - at[dimension];
            return at;
          });
          break;
        case 4: {
          dims order(view.rank());
          std::iota(order.begin(), order.end(), std::int64_t{0});
          std::shuffle(order.begin(), order.end(), random);
          for (std::size_t i = 0; i < order.size(); ++i) to[i] = expected.shape[static_cast<std::size_t>(order[i])];
          next = view.permute(order);
          expected = expected.slice(to, [&](const dims& at) {
            dims from(at.size());
            for (std::size_t i = 0; i < at.size(); ++i) from[static_cast<std::size_t>(order[i])] = at[i];
            return from;
          });
          break;
        }
        case 5: {
          const auto other = static_cast<std::size_t>(below(rank));
          std::swap(to[dimension], to[other]);
          next = view.transpose(dimension, other);
          expected = expected.slice(to, [&](dims at) {
            std::swap(at[dimension], at[other]);
            return at;
          });
          break;
        }
        default: {
          if (view.item_count() > 200 || rank > 10) continue;
          for (std::int64_t& each : to) each = each == 1 ? below(3) : each;
          const std::int64_t added = below(3);
          const dims before = expected.shape;
          dims wide = to;
          if (added != 0) wide.insert(wide.begin(), added);
          next = view.expand(wide);
          expected = expected.slice(wide, [&](dims at) {
            if (added != 0) at.erase(at.begin());
            for (std::size_t i = 0; i < at.size(); ++i) at[i] = before[i] == 1 ? 0 : at[i];
            return at;
          });
        }
      }
      ASSERT_TRUE(next) << next.error().message();
      view = *next;
      ASSERT_NO_FATAL_FAILURE(expect_same(view, expected, data)) << "round " << round << " step " << step;
      ++checked;
    }
    if (view.contiguous()) {
      const dims flat{view.item_count()};
      ASSERT_NO_FATAL_FAILURE(expect_same(*view.reshape(flat), reference{flat, expected.places}, data));
    } else {
      EXPECT_EQ(view.reshape({view.item_count()}).error(), errc::invalid_argument);
    }
  }
  EXPECT_GT(checked, 500);
}

TEST(tensor_view, refuses_slices_that_are_not_there) {
  const std::vector<std::int32_t> data(6);
  const tensor_view view = *tensor_view::of(data, {2, 3});
  EXPECT_TRUE(view.select(1, 2));
  EXPECT_EQ(view.select(2, 0).error(), errc::invalid_argument);
  EXPECT_EQ(view.select(1, 3).error(), errc::invalid_argument);
  EXPECT_EQ(view.select(1, -1).error(), errc::invalid_argument);
  EXPECT_TRUE(view.slice(1, 0, 3, huge));
  EXPECT_EQ(view.slice(2, 0, 1).error(), errc::invalid_argument);
  EXPECT_EQ(view.slice(1, 0, 4).error(), errc::invalid_argument);
  EXPECT_EQ(view.slice(1, -1, 2).error(), errc::invalid_argument);
  EXPECT_EQ(view.slice(1, 2, 1).error(), errc::invalid_argument);
  EXPECT_EQ(view.slice(1, 0, 3, 0).error(), errc::invalid_argument);
  EXPECT_EQ(view.slice(1, 0, 3, -1).error(), errc::invalid_argument);
  EXPECT_TRUE(view.narrow(1, 3, 0));
  EXPECT_EQ(view.narrow(1, 2, 2).error(), errc::invalid_argument);
  EXPECT_EQ(view.narrow(1, 1, huge).error(), errc::invalid_argument);
  EXPECT_EQ(view.narrow(1, 0, -1).error(), errc::invalid_argument);
  EXPECT_EQ(view.narrow(9, 0, 1).error(), errc::invalid_argument);
  EXPECT_TRUE(view.flip(1));
  EXPECT_EQ(view.flip(2).error(), errc::invalid_argument);
  EXPECT_TRUE(view.permute({1, 0}));
  EXPECT_EQ(view.permute({0}).error(), errc::invalid_argument);
  EXPECT_EQ(view.permute({0, 0}).error(), errc::invalid_argument);
  EXPECT_EQ(view.permute({0, 2}).error(), errc::invalid_argument);
  EXPECT_EQ(view.permute({0, -1}).error(), errc::invalid_argument);
  EXPECT_TRUE(view.transpose(0, 1));
  EXPECT_EQ(view.transpose(0, 2).error(), errc::invalid_argument);
  EXPECT_TRUE(view.reshape({3, 2}));
  EXPECT_EQ(view.reshape({4}).error(), errc::invalid_argument);
  EXPECT_EQ(view.reshape({7}).error(), errc::invalid_argument);
  EXPECT_EQ(view.reshape({-6}).error(), errc::invalid_value);
  EXPECT_TRUE(view.expand({5, 2, 3}));
  EXPECT_EQ(view.expand({3}).error(), errc::invalid_argument);
  EXPECT_EQ(view.expand({4, 3}).error(), errc::invalid_argument);
  EXPECT_EQ(view.expand({huge, 2, 3}).error(), errc::size_overflow);
  EXPECT_EQ(view.expand({-1, 2, 3}).error(), errc::invalid_value);
  EXPECT_EQ(view.expand(dims(65, 1)).error(), errc::limit_exceeded);
}

TEST(tensor_view, copies_any_part_of_the_compact_form) {
  std::vector<std::int32_t> data(60);
  std::iota(data.begin(), data.end(), 0);
  const tensor_view view = *tensor_view::of(data, {3, 4, 5})->permute({2, 0, 1});
  std::vector<std::byte> whole(view.size_bytes());
  ASSERT_TRUE(view.copy_to(whole));
  for (std::size_t begin = 0; begin <= whole.size(); begin += 7) {
    for (std::size_t end = begin; end <= whole.size(); end += 11) {
      std::vector<std::byte> part(end - begin);
      view.gather_to(part.data(), begin, end);
      ASSERT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(begin)));
    }
  }
  std::vector<std::byte> small(view.size_bytes() - 1, std::byte{0x5A});
  const auto refused = view.copy_to(small);
  ASSERT_EQ(refused.error(), errc::buffer_too_small);
  EXPECT_EQ(refused.error().details().needed, 240U);
  EXPECT_EQ(small, std::vector<std::byte>(239, std::byte{0x5A}));
  std::vector<std::byte> large(view.size_bytes() + 1, std::byte{0x5A});
  ASSERT_TRUE(view.copy_to(large));
  EXPECT_EQ(large.back(), std::byte{0x5A});
}

TEST(tensor_view, equals_bit_for_bit) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> values{nan, 0.0F};
  const std::vector<float> same{nan, 0.0F};
  const std::vector<float> other{nan, -0.0F};
  EXPECT_EQ(*tensor_view::of(values), *tensor_view::of(same));
  EXPECT_NE(*tensor_view::of(values), *tensor_view::of(other));
  EXPECT_NE(*tensor_view::of(values), *tensor_view::of(values, {1, 2}));
  EXPECT_NE(*tensor_view::of(values, {2, 1}), *tensor_view::of(values, {1, 2}));
  EXPECT_NE(*tensor_view::from_bytes(dtype::int32, {2}, std::as_bytes(std::span(values))), *tensor_view::of(values));
  EXPECT_NE(*tensor_view::from_bytes(dtype::int32, {0}, {}), *tensor_view::from_bytes(dtype::float32, {0}, {}));
  EXPECT_NE(*tensor_view::from_bytes(dtype::int32, {0, 3}, {}), *tensor_view::from_bytes(dtype::int32, {3, 0}, {}));
  EXPECT_EQ(*tensor_view::from_bytes(dtype::int32, {3, 0}, {}), *tensor_view::from_bytes(dtype::int32, {3, 0}, {}));
}

}  // namespace
