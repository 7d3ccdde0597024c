// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A value whose array is larger than 4 GiB: values to packed slots and back.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <lading/lading.hpp>

#include "support/large_memory.hpp"

namespace {

struct shard {
  std::string_view name;
  std::span<const std::uint64_t> weights;
};

TEST(BatchLargeValue, large_ValueOfMoreThanFourGibibytesRoundTrips) {
  constexpr std::size_t count = (std::size_t{1} << 29) + 3;  // 4 GiB and 24 bytes
  const lading_test::repeated source(65), target(65);
  if (source.span().empty() || target.span().empty()) GTEST_SKIP() << "no address space of 8 GiB, or no memory files";
  source.fill();
  const std::vector<shard> batch{{"decoder.embedding", {reinterpret_cast<const std::uint64_t*>(source.span().data()), count}}};

  const auto slots = [&](std::span<const std::size_t> sizes) { return std::vector<lading::bytes_span>{target.span().first(sizes[0])}; };
  const auto encoded = lading::batch_encode_into(batch, slots, {.num_workers = 2});
  ASSERT_TRUE(encoded.has_value()) << encoded.error().message();
  EXPECT_GT(encoded->sizes[0], std::size_t{4} << 30);

  const auto decoded = lading::batch_decode_from<shard>(*encoded);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
  EXPECT_EQ((*decoded)[0].name, batch[0].name);
  ASSERT_EQ((*decoded)[0].weights.size(), count);
  EXPECT_EQ(std::memcmp((*decoded)[0].weights.data(), batch[0].weights.data(), count * sizeof(std::uint64_t)), 0);

  // A count has 32 bits in a stream, so the same number of smaller elements cannot be written inline; the error says what to do.
  const lading::bytes_view bytes = source.span().first(std::size_t{1} << 32);
  const auto refused = lading::encode_into(bytes, target.span());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), lading::errc::size_overflow);
  EXPECT_NE(refused.error().message().find("frames of any size"), std::string::npos) << refused.error().message();

  // TransferQueue's layout has 32-bit offsets: refused before the first byte.
  std::vector<std::byte> small(64, std::byte{0x5a});
  const auto frames = lading::encode(batch[0]);
  ASSERT_TRUE(frames.has_value());
  const auto packed = lading::pack_into<lading::layout::transfer_queue>(lading::bytes_span(small), *frames);
  ASSERT_FALSE(packed.has_value());
  EXPECT_EQ(packed.error().code(), lading::errc::size_overflow);
  for (const std::byte byte : small) EXPECT_EQ(byte, std::byte{0x5a});
}

}  // namespace
