// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Keys that are made while they are read.
// expect: lading: keys are read in place while the batch runs: pass a container of strings or string views, not a range that makes strings

#include <ranges>
#include <string>
#include <vector>

#include <lading/exchange/detail/batch_results.hpp>

struct item {
  std::size_t index = 0;
  std::string_view key;
};

std::size_t count(const std::vector<int>& ids) {
  const auto name = [](int id) { return std::to_string(id); };
#if defined(LADING_EXPECT_FAILURE)
  return lading::detail::items_of<item>(ids | std::views::transform(name)).size();
#else
  std::vector<std::string> names;
  for (const int id : ids) names.push_back(name(id));
  return lading::detail::items_of<item>(names).size();
#endif
}
