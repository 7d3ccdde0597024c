// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/detail/late_memory.hpp>

#include <memory>
#include <new>
#include <vector>

#include <gtest/gtest.h>

namespace lading {
namespace late_memory_test {

struct submission {
  void keep(std::shared_ptr<void> owner) {
    if (full) throw std::bad_alloc();
    kept.push_back(std::move(owner));
  }
  bool full = false;
  std::vector<std::shared_ptr<void>> kept;
};

TEST(late_memory, is_kept_by_its_submission) {
  submission moving;
  std::weak_ptr<detail::late_memory> watched;
  {
    const auto held = std::make_shared<detail::late_memory>(std::make_shared<detail::late_targets>(), 1);
    watched = held;
    detail::keep_while_moving(moving, held);
  }
  EXPECT_FALSE(watched.expired());
  moving.kept.clear();
  EXPECT_TRUE(watched.expired());
}

TEST(late_memory, is_never_freed_where_nothing_can_remember_it) {
  submission moving{.full = true, .kept = {}};
  std::weak_ptr<detail::late_memory> watched;
  {
    const auto held = std::make_shared<detail::late_memory>(std::make_shared<detail::late_targets>(), 1);
    watched = held;
    detail::keep_while_moving(moving, held);
  }
  ASSERT_FALSE(watched.expired());
  watched.lock()->itself.reset();  // for the sake of those who look for leaks
  EXPECT_TRUE(watched.expired());
}

}  // namespace late_memory_test
}  // namespace lading
