// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transport/detail/chain.hpp>

#include <vector>

#include <gtest/gtest.h>

namespace chain_test {

struct node {
  int number = 0;
  lading::detail::chain_link<node> row = {}, column = {};
};
using nodes = lading::detail::chain<node>;

std::vector<int> numbers(const nodes& all) {
  std::vector<int> found;
  for (const node* each = all.first(); each != nullptr; each = each->row.next) found.push_back(each->number);
  std::vector<int> backwards;
  for (const node* each = all.last(); each != nullptr; each = each->row.previous) backwards.insert(backwards.begin(), each->number);
  EXPECT_EQ(found, backwards);
  return found;
}

TEST(chain, keeps_its_order_whichever_is_removed) {
  for (int gone = 0; gone < 3; ++gone) {
    node all[] = {{.number = 0}, {.number = 1}, {.number = 2}};
    nodes row;
    EXPECT_TRUE(row.empty());
    for (node& each : all) row.push_back<&node::row>(each);
    EXPECT_EQ(numbers(row), (std::vector{0, 1, 2}));
    row.remove<&node::row>(all[gone]);
    std::vector<int> left{0, 1, 2};
    left.erase(left.begin() + gone);
    EXPECT_EQ(numbers(row), left);
    row.push_back<&node::row>(all[gone]);
    left.push_back(gone);
    EXPECT_EQ(numbers(row), left);
    for (node& each : all) row.remove<&node::row>(each);
    EXPECT_TRUE(row.empty());
    EXPECT_EQ(row.last(), nullptr);
  }
}

TEST(chain, of_another_member_is_not_touched) {
  node first{.number = 1}, second{.number = 2};
  nodes row, column;
  row.push_back<&node::row>(first);
  row.push_back<&node::row>(second);
  column.push_back<&node::column>(second);
  column.push_back<&node::column>(first);
  row.remove<&node::row>(first);
  EXPECT_EQ(numbers(row), std::vector{2});
  EXPECT_EQ(column.first(), &second);
  EXPECT_EQ(second.column.next, &first);
}

}  // namespace chain_test
