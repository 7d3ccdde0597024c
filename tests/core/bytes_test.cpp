// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/core/bytes.hpp>

#include <array>
#include <cstddef>
#include <deque>
#include <initializer_list>
#include <list>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

namespace {

using lading::bytes_span;
using lading::bytes_view;
using lading::frame_range;
using lading::detail::owning_temporary;

static_assert(std::is_same_v<bytes_view, std::span<const std::byte>> && std::is_same_v<bytes_span, std::span<std::byte>>);
static_assert(std::is_convertible_v<bytes_span, bytes_view> && !std::is_convertible_v<bytes_view, bytes_span>);

// Anything sized and random-access whose elements are bytes, borrowed or owned.
static_assert(frame_range<std::vector<bytes_view>> && frame_range<std::vector<bytes_span>> && frame_range<std::deque<bytes_view>>);
static_assert(frame_range<std::array<bytes_view, 3>> && frame_range<std::span<const bytes_view>> && frame_range<bytes_view[2]>);
static_assert(frame_range<std::vector<std::vector<std::byte>>> && frame_range<std::vector<std::array<std::byte, 4>>> &&
              frame_range<std::initializer_list<bytes_view>>);

// Not: no random access, no size, elements that are not std::byte, one run of bytes.
static_assert(!frame_range<std::list<bytes_view>> && !frame_range<bytes_view*> && !frame_range<int>);
static_assert(!frame_range<std::vector<std::vector<char>>> && !frame_range<std::vector<std::string>> && !frame_range<std::vector<std::byte>> &&
              !frame_range<bytes_view>);

// What would dangle when borrowed from: an rvalue that owns its elements.
static_assert(owning_temporary<std::vector<bytes_view>> && owning_temporary<std::array<std::byte, 4>> && owning_temporary<std::string>);
static_assert(!owning_temporary<std::vector<bytes_view>&> && !owning_temporary<const std::vector<bytes_view>&> &&
              !owning_temporary<std::array<std::byte, 4>&>);
static_assert(!owning_temporary<bytes_view> && !owning_temporary<std::span<const bytes_view>> && !owning_temporary<bytes_view&>);

TEST(bytes, a_frame_range_is_indexed_and_counted) {
  const std::vector<std::vector<std::byte>> items{{}, {std::byte{1}}, {std::byte{2}, std::byte{3}}};
  const auto total = [](const frame_range auto& frames) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < std::size(frames); ++i) sum += bytes_view{std::begin(frames)[static_cast<std::ptrdiff_t>(i)]}.size();
    return sum;
  };
  EXPECT_EQ(total(items), 3U);
  EXPECT_EQ(total(std::array<bytes_view, 2>{bytes_view{items[2]}, bytes_view{items[2]}}), 4U);
}

}  // namespace
