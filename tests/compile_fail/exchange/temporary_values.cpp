// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Values that are made while they are read.
// expect: lading: values are read in place while the batch runs: pass a container of them, or a range of views, not a range that makes values

#include <ranges>
#include <string>
#include <vector>

#include <lading/exchange/detail/batch_results.hpp>

template <class Values>
using value_of = typename lading::detail::values_in<Values>::type;

constexpr auto name = [](int id) { return std::to_string(id); };
constexpr auto bytes = [](int) { return lading::bytes_view(); };
template <class Make>
using made = std::ranges::transform_view<std::ranges::iota_view<int, int>, Make>;

static_assert(std::same_as<value_of<std::vector<std::string>>, std::string>);
static_assert(std::same_as<value_of<made<decltype(bytes)>>, lading::bytes_view>);
#if defined(LADING_EXPECT_FAILURE)
static_assert(std::same_as<value_of<made<decltype(name)>>, std::string>);
#endif
