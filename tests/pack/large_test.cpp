// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Buffers of more than 4 GiB.

#include <cstring>
#include <string>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <lading/pack/gather.hpp>
#include <lading/pack/pack.hpp>
#include <lading/pack/unpack.hpp>

#include "pack/samples.hpp"

namespace {

using namespace pack_test;

/// Address space in which the same 64 MiB of memory appear again and again, but for the ends; empty where the system cannot.
///
/// What is packed repeats, so the packed buffer does too: both fit any machine.
class repeated {
 public:
  static constexpr std::size_t block = std::size_t{64} << 20;

  explicit repeated(std::size_t times) : space_(times * block) {
    const int file = ::memfd_create("lading", 0);
    if (file < 0 || space_.view().empty()) return;
    bool fine = ::ftruncate(file, static_cast<off_t>(3 * block)) == 0;
    for (std::size_t i = 0; fine && i < times; ++i) {
      const std::size_t part = i == 0 ? 0 : i + 1 < times ? 1 : 2;
      std::byte* const place = space_.span().data() + i * block;
      fine = ::mmap(place, block, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, static_cast<off_t>(part * block)) == place;
    }
    ::close(file);
    if (fine) span_ = space_.span();
  }
  [[nodiscard]] bytes_span span() const { return span_; }

 private:
  zeros space_;
  bytes_span span_;
};

TEST(PackLarge, large_MoreThanFourGibibytesRoundTrip) {
  constexpr std::size_t large = (std::size_t{4} << 30) + 5;
  const repeated source(65), target(65);
  if (source.span().empty() || target.span().empty()) GTEST_SKIP() << "no address space of 8 GiB, or no memory files";
  for (const std::size_t begin : std::initializer_list<std::size_t>{std::size_t{0}, repeated::block, source.span().size() - repeated::block}) {
    for (std::size_t at = 0; at < repeated::block; at += sizeof(at)) std::memcpy(source.span().data() + begin + at, &at, sizeof(at));
  }

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
