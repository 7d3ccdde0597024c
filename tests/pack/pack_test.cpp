// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/pack/pack.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <random>
#include <string_view>

#include <gtest/gtest.h>

#include "pack/samples.hpp"

namespace {

using namespace pack_test;
using lading::calc_packed_size;
using lading::pack_into;

template <class Layout>
class Pack : public testing::Test {};
using layouts = testing::Types<aligned, transfer_queue>;
TYPED_TEST_SUITE(Pack, layouts);

TYPED_TEST(Pack, RoundTripsEverySize) {
  for (const auto& sizes : size_sets()) {
    for (const bool checksum : {true, false}) {
      const auto items = payloads(sizes);
      const bytes buffer = packed_items<TypeParam>(items, {.checksum = checksum});
      const auto read = lading::unpack_from<TypeParam>(buffer);
      ASSERT_TRUE(read.has_value()) << read.error().message();
      EXPECT_EQ(owned(*read), items);
      EXPECT_EQ(packed_items<TypeParam>(owned(*read), {.checksum = checksum}), buffer);
    }
  }
}

TYPED_TEST(Pack, RoundTripsRandomPayloads) {
  std::mt19937_64 random(20240611);
  for (int round = 0; round < 2000; ++round) {
    std::vector<bytes> items(random() % 9);
    for (bytes& item : items) {
      item.resize(random() % 2 == 0 ? random() % 70 : random() % 3000);
      for (std::byte& byte : item) byte = static_cast<std::byte>(random());
    }
    const bytes buffer = packed_items<TypeParam>(items, {.checksum = random() % 2 == 0, .schema = random()});
    const auto read = lading::unpack_from<TypeParam>(buffer);
    ASSERT_TRUE(read.has_value()) << "round " << round << ": " << read.error().message();
    ASSERT_EQ(owned(*read), items) << "round " << round;
  }
}

TYPED_TEST(Pack, WritesNothingBehindTheResultAndLeavesNothingUnwritten) {
  const auto items = payloads({62, 512, 0, 65, 1});
  const bytes golden = packed_items<TypeParam>(items);
  for (const std::size_t extra : std::initializer_list<std::size_t>{0, 1, 63, 64, 1000}) {
    for (const unsigned fill : {0x00U, 0xAAU, 0xFFU}) {
      bytes target(golden.size() + extra, std::byte(fill));
      EXPECT_EQ(pack_into<TypeParam>(target, items), golden.size());
      EXPECT_TRUE(std::equal(golden.begin(), golden.end(), target.begin()));
      EXPECT_TRUE(std::all_of(target.begin() + static_cast<std::ptrdiff_t>(golden.size()), target.end(),
                              [&](std::byte byte) { return byte == std::byte(fill); }));
    }
  }
}

TYPED_TEST(Pack, TargetsMayLieAnywhere) {
  const auto items = payloads({5, 300, 64});
  const bytes golden = packed_items<TypeParam>(items);
  bytes memory(golden.size() + 64);
  for (std::size_t shift = 0; shift < 64; ++shift) {
    const bytes_span target = bytes_span(memory).subspan(shift, golden.size());
    ASSERT_EQ(pack_into<TypeParam>(target, items), golden.size());
    ASSERT_EQ(owned(target), golden) << shift;
    const auto read = lading::unpack_from<TypeParam>(target);
    ASSERT_TRUE(read.has_value()) << shift;
    ASSERT_EQ(owned(*read), items) << shift;
  }
}

TYPED_TEST(Pack, TakesAnyRangeOfBytes) {
  const auto items = payloads({5, 6, 7});
  const bytes golden = packed_items<TypeParam>(items);
  const std::vector<bytes_view> views(items.begin(), items.end());
  const std::array<bytes_view, 3> array{views[0], views[1], views[2]};
  const std::deque<bytes> deque(items.begin(), items.end());
  std::vector<bytes> mutable_items = items;
  const std::array<bytes_span, 3> spans{bytes_span(mutable_items[0]), bytes_span(mutable_items[1]), bytes_span(mutable_items[2])};
  const bytes_view plain[] = {views[0], views[1], views[2]};
  bytes target(golden.size());
  const auto check = [&](const auto& range) {
    std::fill(target.begin(), target.end(), std::byte{1});
    EXPECT_EQ(calc_packed_size<TypeParam>(range), golden.size());
    EXPECT_EQ(pack_into<TypeParam>(target, range), golden.size());
    EXPECT_EQ(target, golden);
  };
  check(views);
  check(std::span<const bytes_view>(views));
  check(array);
  check(deque);
  check(spans);
  check(plain);
  check(items);
}

TYPED_TEST(Pack, RefusesATargetThatIsTooSmallBeforeWriting) {
  const auto items = payloads({62, 512, 0, 65, 1});
  const std::size_t size = calc_packed_size<TypeParam>(items).value();
  for (std::size_t available = 0; available < size; ++available) {
    bytes target(size + 8, std::byte{0xAA});
    const bytes before = target;
    expect_error(pack_into<TypeParam>(bytes_span(target).first(available), items), errc::buffer_too_small,
                 "needs " + std::to_string(size) + ", has " + std::to_string(available) + ": pass a target of calc_packed_size(items) bytes");
    ASSERT_EQ(target, before);
  }
  bytes target(size);
  EXPECT_TRUE(pack_into<TypeParam>(target, items));
}

TYPED_TEST(Pack, RefusesItemsThatOverlapTheTargetBeforeWriting) {
  bytes memory(1000, std::byte{0xAA});
  const bytes outside(100, std::byte{7});
  const std::size_t size = calc_packed_size<TypeParam>(std::vector<bytes_view>{outside, bytes_view(memory).first(100)}).value();
  const bytes_span target = bytes_span(memory).subspan(200, 700);
  const auto pack_with = [&](std::size_t begin, std::size_t length) {
    return pack_into<TypeParam>(target, std::vector<bytes_view>{outside, bytes_view(memory).subspan(begin, length)});
  };
  const bytes before = memory;
  for (const auto& [begin, length] :
       std::vector<std::pair<std::size_t, std::size_t>>{{150, 100}, {101, 100}, {200, 100}, {250, 100}, {200 + size - 1, 100}}) {
    expect_error(pack_with(begin, length), errc::invalid_argument, "item 1: an item lies inside the target: pack into other memory");
    ASSERT_EQ(memory, before) << begin;
  }
  // Neighbours, empty items and the unused end of the target are fine.
  EXPECT_TRUE(pack_with(100, 100));
  EXPECT_TRUE(pack_with(200 + size, 100));
  EXPECT_TRUE(pack_with(300, 0));
}

TYPED_TEST(Pack, CountsThatDoNotFitAreRefused) {
  struct endless {
    struct iterator {
      bytes_view operator[](std::ptrdiff_t) const { return {}; }
    };
    std::size_t count;
    [[nodiscard]] std::size_t size() const { return count; }
    [[nodiscard]] iterator begin() const { return {}; }
  };
  bytes target(64, std::byte{0xAA});
  const bytes before = target;
  const std::size_t most = (lading::payload_cursor<TypeParam>::limit - TypeParam::header_size) / TypeParam::entry_size;
  for (const std::size_t count : std::initializer_list<std::size_t>{~std::size_t{0} - 1, ~std::size_t{0} / 8, ~std::size_t{0} / 32, most + 1}) {
    if (count <= most) continue;
    expect_error(calc_packed_size<TypeParam>(endless{count}), errc::size_overflow, "needs " + std::to_string(count));
    expect_error(pack_into<TypeParam>(target, endless{count}), errc::size_overflow, "the buffer would outgrow the layout");
  }
  EXPECT_EQ(target, before);
  EXPECT_TRUE(calc_packed_size<TypeParam>(endless{1000}));
}

TYPED_TEST(Pack, SumsThatWrapAreRefused) {
  // Never read: only the sizes count.
  const std::byte one{};
  const bytes_view half(&one, ~std::size_t{0} / 2), all(&one, ~std::size_t{0});
  bytes target(256, std::byte{0xAA});
  const bytes before = target;
  for (const auto& items : {std::vector<bytes_view>{half, half, half}, std::vector<bytes_view>{all}, std::vector<bytes_view>{{}, all},
                            std::vector<bytes_view>{half, {}}}) {
    expect_error(calc_packed_size<TypeParam>(items), errc::size_overflow, "item ");
    expect_error(pack_into<TypeParam>(target, items), errc::size_overflow, "item ");
  }
  EXPECT_EQ(target, before);
}

/// Gives an item another size from the second time on that it is asked for.
struct fickle {
  const std::byte* data;
  std::size_t before, after;
  mutable std::size_t asked = 0;
  struct iterator {
    const fickle* range;
    bytes_view operator[](std::ptrdiff_t index) const {
      if (index == 0) return {};
      return {range->data, range->asked++ < 2 ? range->before : range->after};
    }
  };
  [[nodiscard]] std::size_t size() const { return 2; }
  [[nodiscard]] iterator begin() const { return {this}; }
};

TYPED_TEST(Pack, ItemsThatChangeTheirSizeNeverLeaveTheTarget) {
  const bytes source(300, std::byte{7});
  const std::size_t size = calc_packed_size<TypeParam>(std::vector<bytes>{{}, bytes(200)}).value();
  for (const std::size_t after : std::initializer_list<std::size_t>{0, 199, 201, 300, ~std::size_t{0}}) {
    bytes target(size + 200, std::byte{0xAA});
    expect_error(pack_into<TypeParam>(target, fickle{source.data(), 200, after}), errc::invalid_argument, "item 1: an item changed its size");
    EXPECT_TRUE(
        std::all_of(target.begin() + static_cast<std::ptrdiff_t>(size), target.end(), [](std::byte byte) { return byte == std::byte{0xAA}; }));
  }
  bytes target(size);
  EXPECT_TRUE(pack_into<TypeParam>(target, fickle{source.data(), 200, 200}));
}

TYPED_TEST(Pack, SchemaIsOnTheWireWhereTheLayoutHasAPlace) {
  const bytes buffer = packed<TypeParam>({5}, {.schema = 0x0123456789ABCDEF});
  EXPECT_EQ(lading::unpack_from<TypeParam>(buffer)->schema(), TypeParam::has_schema ? 0x0123456789ABCDEF : 0);
}

TEST(PackTransferQueue, FourGibibytesAreRefusedBeforeTheFirstByte) {
  const zeros source(std::size_t{5} << 30);
  if (source.view().empty()) GTEST_SKIP() << "no address space";
  const zeros target(std::size_t{9} << 30, true);
  if (target.view().empty()) GTEST_SKIP() << "no address space";
  const bytes_view all = source.view();
  constexpr std::size_t limit = 0xFFFFFFFF;
  const auto size = [](const std::vector<bytes_view>& items) { return calc_packed_size<transfer_queue>(items); };
  EXPECT_EQ(size({all.first(limit - 12)}), limit);
  EXPECT_EQ(size({all.first(limit - 20), {}}), limit);
  const std::vector<std::vector<bytes_view>> too_large{
      {all.first(limit - 11)},    {all.first(limit)}, {all.first(limit + 1)}, {all}, {all.first(limit / 2), all.first(limit / 2)},
      {{}, all.first(limit - 19)}};
  for (const auto& items : too_large) {
    expect_error(size(items), errc::size_overflow, "the buffer would outgrow the layout");
    const auto packed = pack_into<transfer_queue>(target.span(), items);
    expect_error(packed, errc::size_overflow, "item " + std::to_string(items.size() - 1));
    ASSERT_EQ(lading::detail::first_non_zero(target.view().data(), 4096), 4096U);
  }
  expect_error(size({all.first(1), all}), errc::size_overflow, "needs 5368709120, has 4294967274, item 1");
}

TEST(PackAligned, LargeBuffersTakeTheStreamingPath) {
  std::vector<bytes> items;
  for (const std::size_t size :
       std::initializer_list<std::size_t>{std::size_t{9} << 20, std::size_t{5000}, std::size_t{100}, (std::size_t{3} << 20) + 17, std::size_t{4096}})
    items.push_back(payload(items.size(), size));
  for (const bool checksum : {true, false}) {
    const bytes buffer = packed_items(items, {.checksum = checksum});
    const auto read = lading::unpack_from(buffer);
    ASSERT_TRUE(read.has_value()) << read.error().message();
    EXPECT_TRUE(owned(*read) == items);
  }
}

TEST(RangesOverlap, ComparesEveryPosition) {
  const std::byte memory[16] = {};
  for (std::size_t a = 0; a < 8; ++a) {
    for (std::size_t b = 0; b < 8; ++b) {
      for (std::size_t n = 0; n < 4; ++n) {
        for (std::size_t m = 0; m < 4; ++m) {
          bool shared = false;
          for (std::size_t i = 0; i < 16; ++i) shared = shared || (i >= a && i < a + n && i >= b && i < b + m);
          EXPECT_EQ(lading::detail::ranges_overlap(memory + a, n, memory + b, m), shared) << a << ' ' << n << ' ' << b << ' ' << m;
        }
      }
    }
  }
}

}  // namespace
