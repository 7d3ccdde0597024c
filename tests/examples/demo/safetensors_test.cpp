// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "safetensors.hpp"

#include <array>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <support/problem.hpp>

namespace {

using demo::read_safetensors;

std::vector<std::byte> content_of(const std::string& name) {
  std::ifstream file(LADING_TEST_DATA "/safetensors/" + name, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

const demo::file_tensor& named(const std::vector<demo::file_tensor>& tensors, std::string_view name) {
  for (const demo::file_tensor& each : tensors) {
    if (each.name == name) return each;
  }
  throw std::out_of_range(std::string(name));
}

bool inside(lading::bytes_view part, lading::bytes_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

/// Reads a copy in memory of exactly that size; true where it is accepted, and then every tensor lies inside.
bool accepts(lading::bytes_view file) {
  const auto copy = std::make_unique<std::byte[]>(file.size());
  if (!file.empty()) std::memcpy(copy.get(), file.data(), file.size());
  const lading::bytes_view bytes{copy.get(), file.size()};
  try {
    for (const demo::file_tensor& each : read_safetensors("file", bytes)) EXPECT_TRUE(inside(each.data.bytes().value(), bytes)) << each.name;
    return true;
  } catch (const support::problem& why) {
    EXPECT_EQ(std::string_view(why.what()).substr(0, 36), "file: not a valid safetensors file: ");
    return false;
  }
}

TEST(demo_safetensors, reads_every_kind_of_tensor) {
  const auto file = content_of("model.safetensors");
  const auto tensors = read_safetensors("model", file);
  ASSERT_EQ(tensors.size(), 17u);
  EXPECT_EQ(named(tensors, "model.embed_tokens.weight").data.dtype(), lading::dtype::bfloat16);
  EXPECT_EQ(named(tensors, "model.layers.0.self_attn.q_proj.weight").data.at<float>(1, 2).value(), 0.125f * (50 % 17 - 8));
  EXPECT_EQ(named(tensors, "model.layers.0.mlp.experts").data.rank(), 4u);
  EXPECT_EQ(named(tensors, "model.position_ids").data.at<std::int64_t>(0, 15).value(), 15);
  EXPECT_TRUE(named(tensors, "model.causal_mask").data.at<bool>(3, 1).value());
  EXPECT_FALSE(named(tensors, "model.causal_mask").data.at<bool>(1, 3).value());
  EXPECT_EQ(named(tensors, "step").data.rank(), 0u);
  EXPECT_EQ(named(tensors, "step").data.at<std::int32_t>().value(), 20'000);
  EXPECT_TRUE(named(tensors, "unused").data.empty());
  EXPECT_EQ(named(tensors, "tokens.u64").data.at<std::uint64_t>(0).value(), ~std::uint64_t{0});
  EXPECT_EQ(named(tensors, "größe ∑").data.dtype(), lading::dtype::complex64);
  for (const demo::file_tensor& each : tensors) EXPECT_TRUE(inside(each.data.bytes().value(), file)) << each.name << " was copied";
}

TEST(demo_safetensors, reads_tensors_at_any_address) {
  const auto file = content_of("unaligned.safetensors");
  const auto tensors = read_safetensors("unaligned", file);
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_TRUE(tensors[1].data.at<double>(1).has_value());
}

TEST(demo_safetensors, every_truncation_is_refused) {
  for (const char* name : {"model.safetensors", "unaligned.safetensors", "only_metadata.safetensors"}) {
    const auto file = content_of(name);
    ASSERT_TRUE(accepts(file)) << name;
    const std::size_t step = file.size() > 4096 ? 31 : 1;
    for (std::size_t size = 0; size < file.size(); size += step) ASSERT_FALSE(accepts(lading::bytes_view(file).first(size))) << name << ' ' << size;
  }
}

TEST(demo_safetensors, flipped_bits_of_a_header_are_refused_or_harmless) {
  for (const char* name : {"model.safetensors", "unaligned.safetensors"}) {
    auto file = content_of(name);
    std::uint64_t header = 0;
    std::memcpy(&header, file.data(), sizeof header);
    std::size_t refused = 0, tried = 0;
    const std::size_t step = header > 512 ? 23 : 1;
    for (std::size_t bit = 0; bit < (8 + header) * 8; bit += step, ++tried) {
      file[bit / 8] ^= std::byte{1} << (bit % 8);
      refused += accepts(file) ? 0 : 1;
      file[bit / 8] ^= std::byte{1} << (bit % 8);
    }
    EXPECT_GT(refused, tried / 8) << "most bits of " << name << " matter";
    EXPECT_TRUE(accepts(file));
  }
}

}  // namespace
