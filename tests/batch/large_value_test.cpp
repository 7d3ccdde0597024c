// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A value whose array is larger than 4 GiB: values to packed slots and back. Takes 9 GiB of memory.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <lading/lading.hpp>

namespace {

struct shard {
  std::string name;
  std::vector<std::uint64_t> weights;
};
struct shard_view {
  std::string_view name;
  std::span<const std::uint64_t> weights;
};

std::size_t available_gibibytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;) {
    std::size_t kibibytes = 0;
    if (word == "MemAvailable:" && file >> kibibytes) return kibibytes >> 20;
  }
  return 0;
}

TEST(BatchLargeValue, large_ValueOfMoreThanFourGibibytesRoundTrips) {
  if (available_gibibytes() < 14) GTEST_SKIP() << "needs 14 GiB of available memory, has " << available_gibibytes();
  constexpr std::size_t count = (std::size_t{1} << 29) + 3;  // 4 GiB and 24 bytes
  std::vector<shard> batch(1);
  batch[0].name = "decoder.embedding";
  batch[0].weights.resize(count);
  for (std::size_t i = 0; i < count; i += 4096) batch[0].weights[i] = i;
  batch[0].weights.back() = 42;

  std::vector<std::byte> slab;
  const auto slots = [&](std::span<const std::size_t> sizes) {
    slab.resize(sizes[0] + 64);
    const std::size_t skip = (64 - reinterpret_cast<std::uintptr_t>(slab.data()) % 64) % 64;
    return std::vector<lading::bytes_span>{lading::bytes_span(slab).subspan(skip, sizes[0])};
  };
  const auto encoded = lading::batch_encode_into(batch, slots, {.num_workers = 2});
  ASSERT_TRUE(encoded.has_value()) << encoded.error().message();
  EXPECT_GT(encoded->sizes[0], std::size_t{4} << 30);

  const auto decoded = lading::batch_decode_from<shard_view>(*encoded);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
  EXPECT_EQ((*decoded)[0].name, batch[0].name);
  ASSERT_EQ((*decoded)[0].weights.size(), count);
  EXPECT_EQ(std::memcmp((*decoded)[0].weights.data(), batch[0].weights.data(), count * sizeof(std::uint64_t)), 0);

  // A count has 32 bits in a stream, so the same number of smaller elements cannot be written inline; the error says what to do.
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(batch[0].weights.data()), std::size_t{1} << 32);
  const auto refused = lading::encode_into(bytes, lading::bytes_span(slab));
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
