// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/core/limits.hpp>

#include <type_traits>

#include <gtest/gtest.h>

namespace {

static_assert(std::is_aggregate_v<lading::decode_limits>, "limits are named where they are given");
static_assert(lading::decode_limits{}.max_depth == 64);
static_assert(lading::decode_limits{.max_depth = 8}.max_empty_elements == lading::decode_limits{}.max_empty_elements);

TEST(limits, defaults_bound_what_the_input_cannot) {
  constexpr lading::decode_limits limits;
  EXPECT_EQ(limits.max_depth, 64U);
  EXPECT_EQ(limits.max_empty_elements, 65536U);
}

}  // namespace
