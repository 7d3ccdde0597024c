// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/memory/strided.hpp>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

using lading::errc;
using lading::gather;
using lading::is_contiguous;
using lading::strided_size;
using lading::strided_source;

/// A source that owns what it points to.
struct strided {
  std::vector<std::byte> memory;
  std::size_t item_size = 1;
  std::vector<std::int64_t> shape, strides;
  std::size_t origin = 0;

  [[nodiscard]] strided_source view() const { return {memory.data() + origin, item_size, shape.size(), shape.data(), strides.data()}; }

  /// What gathering should yield, item by item.
  [[nodiscard]] std::vector<std::byte> expected() const {
    std::vector<std::byte> result;
    add(result, 0, static_cast<std::ptrdiff_t>(origin));
    return result;
  }

 private:
  void add(std::vector<std::byte>& result, std::size_t dimension, std::ptrdiff_t at) const {
    if (dimension == shape.size()) {
      result.insert(result.end(), memory.begin() + at, memory.begin() + at + static_cast<std::ptrdiff_t>(item_size));
      return;
    }
    for (std::int64_t i = 0; i < shape[dimension]; ++i) add(result, dimension + 1, at + static_cast<std::ptrdiff_t>(i * strides[dimension]));
  }
};

void expect_gathered(const strided& source) {
  const std::vector<std::byte> expected = source.expected();
  ASSERT_EQ(strided_size(source.view()), expected.size());
  std::vector<std::byte> target(expected.size() + 2, std::byte{0xAA});
  gather(target.data() + 1, source.view());
  ASSERT_EQ(target.front(), std::byte{0xAA});
  ASSERT_EQ(target.back(), std::byte{0xAA});
  ASSERT_EQ(std::vector<std::byte>(target.begin() + 1, target.end() - 1), expected);
}

std::vector<std::byte> counting(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 37 + i / 256);
  return bytes;
}

TEST(Strided, RowMajorSourcesAreContiguous) {
  const strided source{counting(240), 4, {3, 4, 5}, {80, 20, 4}};
  EXPECT_TRUE(is_contiguous(source.view()));
  expect_gathered(source);
  const strided odd_strides_of_ones{counting(240), 4, {1, 12, 1, 5, 1}, {7, 20, -3, 4, 1000}};
  EXPECT_TRUE(is_contiguous(odd_strides_of_ones.view()));
  expect_gathered(odd_strides_of_ones);
}

TEST(Strided, ScalarsAreOneItem) {
  const strided source{counting(8), 8, {}, {}};
  EXPECT_TRUE(is_contiguous(source.view()));
  expect_gathered(source);
}

TEST(Strided, NothingGathersNothing) {
  for (const auto& shape : std::vector<std::vector<std::int64_t>>{{0}, {0, 3}, {3, 0}, {2, 0, 4}}) {
    const strided source{{}, 4, shape, std::vector<std::int64_t>(shape.size(), 999)};
    EXPECT_TRUE(is_contiguous(source.view()));
    EXPECT_EQ(strided_size(source.view()), 0U);
    gather(nullptr, source.view());
  }
  const strided no_bytes{{}, 0, {5}, {1}};
  EXPECT_TRUE(is_contiguous(no_bytes.view()));
  EXPECT_EQ(strided_size(no_bytes.view()), 0U);
  const std::int64_t huge[] = {0, INT64_MAX, INT64_MAX};
  EXPECT_EQ(strided_size({nullptr, 8, 3, huge, huge}), 0U);
}

TEST(Strided, TransposedSlicedReversedAndBroadcast) {
  for (const std::size_t item : std::initializer_list<std::size_t>{1, 2, 3, 4, 8, 12, 16, 40}) {
    const auto bytes = static_cast<std::int64_t>(item);
    const strided transposed{counting(35 * item), item, {7, 5}, {bytes, 7 * bytes}};
    EXPECT_FALSE(is_contiguous(transposed.view()));
    expect_gathered(transposed);
    expect_gathered({counting(40 * item), item, {10}, {4 * bytes}});
    expect_gathered({counting(10 * item), item, {10}, {-bytes}, 9 * item});
    expect_gathered({counting(20 * item), item, {4, 5}, {-5 * bytes, bytes}, 15 * item});
    expect_gathered({counting(item), item, {6}, {0}});
    expect_gathered({counting(3 * item), item, {4, 3, 5}, {0, bytes, 0}});
    expect_gathered({counting(60 * item), item, {3, 2, 5}, {20 * bytes, 10 * bytes, 2 * bytes}});
    expect_gathered({counting(60 * item), item, {3, 4, 5}, {20 * bytes, 5 * bytes, bytes}});
    expect_gathered({counting(60 * item), item, {3, 2, 5}, {20 * bytes, 5 * bytes, bytes}});
  }
}

TEST(Strided, PartsMakeTheWhole) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 3000; ++round) {
    strided source;
    source.item_size = std::vector<std::size_t>{1, 2, 3, 4, 8, 16, 24}[random() % 7];
    const std::size_t rank = random() % 5;
    std::int64_t low = 0, high = 0;
    for (std::size_t i = 0; i < rank; ++i) {
      const auto extent = static_cast<std::int64_t>(random() % 4 + (random() % 16 == 0 ? 0 : 1));
      const auto stride = static_cast<std::int64_t>(random() % 9) - 4;
      source.shape.push_back(extent);
      source.strides.push_back(stride * static_cast<std::int64_t>(random() % 2 == 0 ? source.item_size : 1 + random() % 30));
      if (extent > 0) (source.strides.back() < 0 ? low : high) += source.strides.back() * (extent - 1);
    }
    if (random() % 3 == 0) {  // dimensions that follow one another, so that merging has something to do
      std::int64_t stride = static_cast<std::int64_t>(source.item_size);
      low = high = 0;
      for (std::size_t i = rank; i-- > 0;) {
        source.strides[i] = stride;
        stride *= source.shape[i] == 0 ? 1 : source.shape[i];
        if (random() % 4 == 0) stride *= 2;
        if (source.shape[i] > 0) high += source.strides[i] * (source.shape[i] - 1);
      }
    }
    source.origin = static_cast<std::size_t>(-low);
    source.memory = counting(static_cast<std::size_t>(high - low) + source.item_size);
    expect_gathered(source);
    const std::vector<std::byte> expected = source.expected();
    if (is_contiguous(source.view())) {
      ASSERT_TRUE(std::equal(expected.begin(), expected.end(), source.view().data));
    }
    for (int part = 0; part < 6; ++part) {
      std::size_t begin = random() % (expected.size() + 1), end = random() % (expected.size() + 1);
      if (begin > end) std::swap(begin, end);
      std::vector<std::byte> target(end - begin + 1, std::byte{0xAA});
      gather(target.data(), source.view(), begin, end);
      ASSERT_EQ(target.back(), std::byte{0xAA});
      target.pop_back();
      ASSERT_EQ(target,
                std::vector<std::byte>(expected.begin() + static_cast<std::ptrdiff_t>(begin), expected.begin() + static_cast<std::ptrdiff_t>(end)))
          << "round " << round << " [" << begin << ", " << end << ")";
    }
  }
}

TEST(Strided, ShapesThatMakeNoSenseAreRefused) {
  const std::int64_t negative[] = {3, -1};
  const auto bad = strided_size({nullptr, 4, 2, negative, negative});
  ASSERT_FALSE(bad.has_value());
  EXPECT_EQ(bad.error().code(), errc::invalid_argument);
  EXPECT_EQ(bad.error().details().item, 1U);
  const std::int64_t zero_first[] = {0, -1};
  EXPECT_FALSE(strided_size({nullptr, 4, 2, zero_first, zero_first}).has_value());

  const std::int64_t huge[] = {INT64_C(1) << 32, INT64_C(1) << 31, 2};
  const auto large = strided_size({nullptr, 1, 3, huge, huge});
  ASSERT_FALSE(large.has_value());
  EXPECT_EQ(large.error().code(), errc::size_overflow);
  EXPECT_EQ(large.error().details().item, 2U);
  EXPECT_TRUE(strided_size({nullptr, 1, 2, huge, huge}).has_value());

  const std::vector<std::int64_t> ones(65, 1);
  EXPECT_TRUE(strided_size({nullptr, 1, 64, ones.data(), ones.data()}).has_value());
  const auto deep = strided_size({nullptr, 1, 65, ones.data(), ones.data()});
  ASSERT_FALSE(deep.has_value());
  EXPECT_EQ(deep.error().code(), errc::invalid_argument);
  EXPECT_NE(deep.error().message().find("needs 65, has 64"), std::string::npos) << deep.error().message();
}

TEST(Strided, SixtyFourDimensionsWork) {
  strided source{counting(256), 1, std::vector<std::int64_t>(64, 1), std::vector<std::int64_t>(64, 3)};
  for (std::size_t i = 0; i < 7; ++i) {
    source.shape[9 * i] = 2;
    source.strides[9 * i] = INT64_C(1) << i;
  }
  expect_gathered(source);
}

}  // namespace
