// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transport/descriptor.hpp>

#include <random>

#include <gtest/gtest.h>

namespace lading {
namespace {

const std::vector<std::byte> key(13, std::byte{0x42});
const region_descriptor described{.transport = transport_tag("test"),
                                  .endpoint = 77,
                                  .generation = 5,
                                  .size = 4096,
                                  .id = region_id{9},
                                  .kind = memory_kind::host_shared,
                                  .key = key};

TEST(descriptor, comes_back_as_it_was) {
  const auto blob = encode_descriptor(described);
  const auto read = decode_descriptor(blob).value();
  EXPECT_EQ(read.transport, described.transport);
  EXPECT_EQ(read.endpoint, 77u);
  EXPECT_EQ(read.generation, 5u);
  EXPECT_EQ(read.size, 4096u);
  EXPECT_EQ(read.id, region_id{9});
  EXPECT_EQ(read.kind, memory_kind::host_shared);
  EXPECT_TRUE(std::equal(read.key.begin(), read.key.end(), key.begin(), key.end()));
}

TEST(descriptor, each_defect_has_its_code) {
  const auto good = encode_descriptor(described);
  const auto code_after = [&](auto&& spoil) {
    auto blob = good;
    spoil(blob);
    const auto read = decode_descriptor(blob);
    return read ? errc{} : read.error().code();
  };
  EXPECT_EQ(code_after([](auto&) {}), errc{});
  EXPECT_EQ(code_after([](auto& blob) { blob.clear(); }), errc::truncated);
  EXPECT_EQ(code_after([](auto& blob) { blob.pop_back(); }), errc::truncated);
  EXPECT_EQ(code_after([](auto& blob) { blob.push_back({}); }), errc::trailing_bytes);
  EXPECT_EQ(code_after([](auto& blob) { blob[0] = std::byte{0}; }), errc::bad_magic);
  EXPECT_EQ(code_after([](auto& blob) { blob[4] = std::byte{2}; }), errc::unsupported_version);
  EXPECT_EQ(code_after([](auto& blob) { blob[20] ^= std::byte{1}; }), errc::checksum_mismatch);
  EXPECT_EQ(code_after([](auto& blob) { blob.back() ^= std::byte{1}; }), errc::checksum_mismatch);
  EXPECT_EQ(code_after([](auto& blob) { detail::store_little(blob.data() + detail::descriptor_header - 4, ~std::uint32_t{0}); }),
            errc::limit_exceeded);
  const auto sealed = [](auto& blob, std::uint16_t kind) { detail::seal_blob(blob, detail::descriptor_magic, kind); };
  EXPECT_EQ(code_after([&](auto& blob) { sealed(blob, 7); }), errc::bad_header) << "no such kind of memory";
  EXPECT_EQ(code_after([&](auto& blob) {
              detail::store_little(blob.data() + detail::blob_prefix + 24, std::uint64_t{0});
              sealed(blob, 1);
            }),
            errc::bad_header)
      << "a region of no bytes";
}

TEST(descriptor, random_bytes_are_refused) {
  std::mt19937_64 random(20260101);
  for (int round = 0; round < 100'000; ++round) {
    std::vector<std::byte> blob(random() % 128);
    for (std::byte& each : blob) each = std::byte{static_cast<unsigned char>(random())};
    if (blob.size() >= 8 && round % 2 == 0) std::memcpy(blob.data(), encode_descriptor(described).data(), 8);  // past the magic and version
    EXPECT_FALSE(decode_descriptor(blob).has_value());
    EXPECT_FALSE(decode_address(blob).has_value());
  }
}

TEST(address, comes_back_as_it_was) {
  const auto blob = encode_address({.transport = 3, .identity = {.process = 4, .endpoint = 5}, .native = key});
  const auto read = decode_address(blob).value();
  EXPECT_EQ(read.transport, 3u);
  EXPECT_EQ(read.identity, (endpoint_identity{4, 5}));
  EXPECT_EQ(read.native.size(), key.size());
  EXPECT_EQ(decode_descriptor(blob).error(), errc::bad_magic);
}

}  // namespace
}  // namespace lading
