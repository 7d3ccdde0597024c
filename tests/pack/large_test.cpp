// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Buffers of more than 4 GiB.

#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include <lading/pack/gather.hpp>
#include <lading/pack/pack.hpp>
#include <lading/pack/unpack.hpp>

#include "pack/samples.hpp"
#include "support/large_memory.hpp"

namespace {

using namespace pack_test;

using lading_test::repeated;

TEST(PackLarge, large_MoreThanFourGibibytesRoundTrip) {
  constexpr std::size_t large = (std::size_t{4} << 30) + 5;
  const repeated source(65), target(65);
  if (source.span().empty() || target.span().empty()) GTEST_SKIP() << "no address space of 8 GiB, or no memory files";
  source.fill();

  const bytes head = payload(0, 100), tail = payload(2, 3);
  const std::vector<bytes_view> items{head, source.span().first(large), tail};
  const std::size_t size = lading::calc_packed_size(items).value();
  ASSERT_GT(size, std::size_t{4} << 30);
  ASSERT_EQ(lading::pack_into(target.span(), items), size);
  const auto read = lading::unpack_from(bytes_view(target.span()).first(size));
  ASSERT_TRUE(read.has_value()) << read.error().message();
  ASSERT_EQ(read->size(), 3U);
  EXPECT_EQ(owned((*read)[0]), head);
  EXPECT_EQ(owned((*read)[2]), tail);
  ASSERT_EQ((*read)[1].size(), large);
  EXPECT_EQ(std::memcmp((*read)[1].data(), source.span().data(), large), 0);

  // A flip behind 4 GiB is seen, and a cut as well.
  std::byte& last = target.span()[static_cast<std::size_t>((*read)[1].data() - target.span().data()) + large - 1];
  last ^= std::byte{1};
  expect_error(lading::unpack_from(bytes_view(target.span()).first(size)), errc::checksum_mismatch,
               "size " + std::to_string(large) + ", at offset 320, item 1");
  expect_error(lading::unpack_from(bytes_view(target.span()).first(size - 1)), errc::truncated, "needs " + std::to_string(size));
}

TEST(PackLarge, TheTableSpeaksOfSizesBehindFourGibibytes) {
  const zeros source(std::size_t{6} << 30);
  if (source.view().empty()) GTEST_SKIP() << "no address space";
  const std::vector<bytes_view> items{source.view(), source.view()};
  const auto plan = lading::plan_gather(items, {.checksum = false});
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->size(), 128 + (std::size_t{12} << 30));
  ASSERT_EQ(plan->parts().size(), 3U);
  EXPECT_EQ(plan->parts()[2].offset, 128 + (std::size_t{6} << 30));
}

}  // namespace
