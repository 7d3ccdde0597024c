// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/pack/gather.hpp>

#include <array>
#include <utility>

#include <gtest/gtest.h>

#include "pack/samples.hpp"

namespace {

using namespace pack_test;
using lading::gather_part;
using lading::gather_plan;
using lading::plan_gather;

// A plan borrows payloads, so their owner must not be a temporary.
template <class Items>
concept plannable = requires(Items&& items) { plan_gather(std::forward<Items>(items)); };
static_assert(plannable<std::vector<bytes>&> && plannable<const std::vector<bytes>&> && !plannable<std::vector<bytes>>);
static_assert(plannable<std::span<const bytes_view>> && !plannable<std::array<bytes, 2>>);
static_assert(plannable<std::vector<bytes_view>> && !plannable<std::vector<std::array<std::byte, 8>>>);
template <class Plan>
concept lends = requires(Plan&& plan) { std::forward<Plan>(plan).parts().size(); };
static_assert(lends<gather_plan&> && !lends<gather_plan>);

template <class Layout>
class Gather : public testing::Test {};
using layouts = testing::Types<aligned, transfer_queue>;
TYPED_TEST_SUITE(Gather, layouts);

TYPED_TEST(Gather, ExecutingThePlanYieldsTheBytesOfPacking) {
  for (const auto& sizes : size_sets()) {
    for (const bool checksum : {true, false}) {
      const auto items = payloads(sizes);
      const lading::pack_options options{.checksum = checksum, .schema = 77};
      const bytes golden = packed_items<TypeParam>(items, options);
      const auto plan = plan_gather<TypeParam>(items, options);
      ASSERT_TRUE(plan.has_value()) << plan.error().message();
      EXPECT_EQ(plan->size(), golden.size());
      bytes target(golden.size() + 64, std::byte{0xAA});
      EXPECT_EQ(plan->execute(target), golden.size());
      EXPECT_EQ(owned(bytes_view(target).first(golden.size())), golden);
      for (std::size_t i = golden.size(); i < target.size(); ++i) EXPECT_EQ(target[i], std::byte{0xAA});
    }
  }
}

TYPED_TEST(Gather, PartsCoverTheBufferAndBorrowThePayloads) {
  for (const auto& sizes : size_sets()) {
    const auto items = payloads(sizes);
    const auto plan = plan_gather<TypeParam>(items);
    ASSERT_TRUE(plan.has_value());
    std::size_t end = 0, item = 0;
    for (const gather_part& part : plan->parts()) {
      EXPECT_EQ(part.offset, end);
      EXPECT_FALSE(part.source.empty());
      end += part.source.size();
      const bool own =
          part.source.data() >= plan->head().data() && part.source.data() + part.source.size() <= plan->head().data() + plan->head().size();
      if (own) continue;
      while (item < items.size() && items[item].empty()) ++item;
      ASSERT_LT(item, items.size());
      EXPECT_EQ(part.source.data(), items[item].data()) << "a payload was copied";
      EXPECT_EQ(part.source.size(), items[item].size());
      ++item;
    }
    EXPECT_EQ(end, plan->size());
  }
}

TYPED_TEST(Gather, PlansMayBeMoved) {
  const auto items = payloads({5, 70});
  auto plan = plan_gather<TypeParam>(items);
  ASSERT_TRUE(plan.has_value());
  gather_plan moved = std::move(*plan);
  bytes target(moved.size());
  EXPECT_EQ(moved.execute(target), target.size());
  EXPECT_EQ(target, packed_items<TypeParam>(items));
}

TYPED_TEST(Gather, NothingIsWrittenOnAnError) {
  const auto items = payloads({5, 70});
  const auto plan = plan_gather<TypeParam>(items);
  ASSERT_TRUE(plan.has_value());
  bytes target(plan->size(), std::byte{0xAA});
  const bytes before = target;
  for (std::size_t size = 0; size < plan->size(); ++size) {
    expect_error(plan->execute(bytes_span(target).first(size)), errc::buffer_too_small,
                 "needs " + std::to_string(plan->size()) + ", has " + std::to_string(size));
  }
  EXPECT_EQ(target, before);

  bytes memory(1000, std::byte{0xAA});
  const bytes memory_before = memory;
  const std::vector<bytes_view> inside{items[0], bytes_view(memory).subspan(10, 20)};
  const auto overlapping = plan_gather<TypeParam>(inside);
  ASSERT_TRUE(overlapping.has_value());
  expect_error(overlapping->execute(memory), errc::invalid_argument, "a part lies inside the target: gather into other memory");
  EXPECT_EQ(memory, memory_before);
  EXPECT_TRUE(overlapping->execute(bytes_span(memory).subspan(30)));
}

TYPED_TEST(Gather, SizesThatDoNotFitAreRefused) {
  const std::byte one{};
  const std::vector<bytes_view> items{{&one, ~std::size_t{0} / 2}, {&one, ~std::size_t{0} / 2}};
  expect_error(plan_gather<TypeParam>(items), errc::size_overflow, "item ");
  expect_error(plan_gather<TypeParam>(items, {.checksum = false}), errc::size_overflow, "item ");
}

TYPED_TEST(Gather, ItemsThatChangeTheirSizeAreRefused) {
  struct fickle {
    const std::byte* data;
    std::size_t after;
    mutable std::size_t asked = 0;
    struct iterator {
      const fickle* range;
      bytes_view operator[](std::ptrdiff_t) const { return {range->data, range->asked++ < 1 ? 20 : range->after}; }
    };
    [[nodiscard]] std::size_t size() const { return 1; }
    [[nodiscard]] iterator begin() const { return {this}; }
  };
  const bytes source(20);
  for (const std::size_t after : std::initializer_list<std::size_t>{0, 19, ~std::size_t{0}}) {
    const fickle items{source.data(), after};
    expect_error(plan_gather<TypeParam>(items, {.checksum = false}), errc::invalid_argument, "item 0: an item changed its size");
  }
  const fickle constant{source.data(), 20};
  EXPECT_TRUE(plan_gather<TypeParam>(constant));
}

TEST(GatherAligned, HugeCountsAreAnErrorAndNoCrash) {
  struct endless {
    struct iterator {
      bytes_view operator[](std::ptrdiff_t) const { return {}; }
    };
    std::size_t count;
    [[nodiscard]] std::size_t size() const { return count; }
    [[nodiscard]] iterator begin() const { return {}; }
  };
  for (const int bits : {63, 62, 59}) {
    const endless items{std::size_t{1} << bits};
    expect_error(plan_gather(items), errc::size_overflow, "needs " + std::to_string(items.count));
  }
}

}  // namespace
