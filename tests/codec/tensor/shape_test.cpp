// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <lading/codec/tensor/shape.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using lading::shape_ref;
using lading::detail::extents;

std::vector<std::int64_t> read(shape_ref shape) { return {shape.span().begin(), shape.span().end()}; }

TEST(shape_ref, takes_lists_and_what_lies_together) {
  const std::vector<std::int64_t> vector{2, 3};
  const std::array<std::int64_t, 2> array{2, 3};
  const std::int64_t plain[2] = {2, 3};
  EXPECT_EQ(read({2, 3}), vector);
  EXPECT_EQ(read(vector), vector);
  EXPECT_EQ(read(array), vector);
  EXPECT_EQ(read(plain), vector);
  EXPECT_EQ(read(std::span(vector)), vector);
  EXPECT_TRUE(read({}).empty());
  static_assert(!std::is_convertible_v<std::vector<int>, shape_ref> && std::is_convertible_v<std::vector<std::int64_t>, shape_ref>);
}

extents filled(std::size_t rank) {
  extents made;
  EXPECT_TRUE(made.resize(rank));
  for (std::size_t i = 0; i < rank; ++i) {
    made.shape()[i] = static_cast<std::int64_t>(i);
    made.strides()[i] = -static_cast<std::int64_t>(i);
  }
  return made;
}

void expect_filled(const extents& made, std::size_t rank) {
  ASSERT_EQ(made.rank(), rank);
  for (std::size_t i = 0; i < rank; ++i) {
    EXPECT_EQ(made.shape()[i], static_cast<std::int64_t>(i));
    EXPECT_EQ(made.strides()[i], -static_cast<std::int64_t>(i));
  }
}

TEST(extents, goes_from_any_rank_to_any_rank) {
  for (const std::size_t from : {0, 1, 8, 9, 20, 64}) {
    for (const std::size_t to : {0, 1, 8, 9, 20, 64}) {
      extents target = filled(from);
      const extents source = filled(to);
      target = source;
      expect_filled(target, to);
      const extents copy = target;
      expect_filled(copy, to);
      const extents moved = std::move(target);
      expect_filled(moved, to);
      extents other = filled(from);
      extents again = filled(to);
      other = std::move(again);
      expect_filled(other, to);
      EXPECT_TRUE(other.holds(other.shape()) || to == 0);
      EXPECT_TRUE(to == 0 || other.holds(other.strides() + to - 1));
      EXPECT_FALSE(other.holds(moved.shape()));
      EXPECT_FALSE(other.holds(nullptr));
    }
  }
}

}  // namespace
