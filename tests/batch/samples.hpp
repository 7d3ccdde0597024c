// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Objects, and allocators that give slots of every kind.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lading/batch/decode.hpp>
#include <lading/batch/encode.hpp>
#include <lading/pack/transfer_queue.hpp>

namespace batch_test {

using lading::bytes_span;
using lading::bytes_view;
using lading::errc;
using sizes_view = std::span<const std::size_t>;

struct sample {
  std::int64_t id = 0;
  std::string uid;
  std::vector<std::int32_t> tokens;
  std::map<std::string, std::vector<float>> features;
  std::optional<double> reward;
  bool operator==(const sample&) const = default;
};

/// Objects of about the given sizes: some all in their head, some with large arrays.
inline std::vector<sample> samples(const std::vector<std::size_t>& sizes) {
  std::mt19937 random(7);
  std::vector<sample> made;
  for (const std::size_t size : sizes) {
    sample& one = made.emplace_back();
    one.id = static_cast<std::int64_t>(random());
    one.uid = "object-" + std::to_string(made.size());
    one.tokens.resize(size / 8);
    for (auto& token : one.tokens) token = static_cast<std::int32_t>(random());
    one.features["logits"].assign(size / 16, 0.5F);
    one.features["values"].assign(size / 16, static_cast<float>(made.size()));
    if (size % 2 == 0) one.reward = 1.25;
  }
  return made;
}

inline std::vector<std::size_t> many_sizes(std::size_t count, std::size_t most) {
  std::mt19937 random(3);
  std::vector<std::size_t> sizes(count);
  for (auto& size : sizes) size = random() % most;
  return sizes;
}

enum class placing { dense, ascending, odd, descending, shuffled };

/// Slots in one block whose every byte is a canary until it is written.
class arena {
 public:
  static constexpr std::byte canary{0xA5};

  explicit arena(placing how = placing::ascending, std::size_t extra = 0) : how_(how), extra_(extra) {}

  std::vector<bytes_span> operator()(sizes_view sizes) {
    ++calls;
    asked.assign(sizes.begin(), sizes.end());
    std::size_t room = 256;
    for (const std::size_t size : sizes) room += size + extra_ + 128;
    bytes.assign(room, canary);
    std::vector<std::size_t> order(sizes.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = how_ == placing::descending ? order.size() - 1 - i : i;
    if (how_ == placing::shuffled) std::shuffle(order.begin(), order.end(), std::mt19937(5));
    std::vector<bytes_span> slots(sizes.size());
    std::size_t at = how_ == placing::odd ? 13 : 0;
    for (const std::size_t index : order) {
      slots[index] = bytes_span(bytes).subspan(at, sizes[index] + extra_);
      at += sizes[index] + extra_;
      if (how_ == placing::odd) at += 2 - at % 2 + 1;
      if (how_ == placing::ascending || how_ == placing::shuffled || how_ == placing::descending) at = (at + 63) / 64 * 64;
    }
    return slots;
  }

  [[nodiscard]] bool untouched() const {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == canary; });
  }
  /// Every byte that no packed buffer has is as it was.
  [[nodiscard]] bool only_wrote(const lading::packed_batch& batch) const {
    std::vector<std::pair<std::size_t, std::size_t>> written;
    for (std::size_t i = 0; i < batch.buffers.size(); ++i) {
      written.emplace_back(static_cast<std::size_t>(batch.buffers[i].data() - bytes.data()), batch.sizes[i]);
    }
    std::sort(written.begin(), written.end());
    written.emplace_back(bytes.size(), 0);
    std::size_t end = 0;
    for (const auto& [begin, size] : written) {
      for (; end < begin; ++end) {
        if (bytes[end] != canary) return false;
      }
      end = begin + size;
    }
    return true;
  }

  std::vector<std::byte> bytes;
  std::vector<std::size_t> asked;
  int calls = 0;

 private:
  placing how_;
  std::size_t extra_;
};

/// The exact bytes of each buffer.
inline std::vector<std::vector<std::byte>> contents(const lading::packed_batch& batch) {
  std::vector<std::vector<std::byte>> all;
  for (std::size_t i = 0; i < batch.buffers.size(); ++i) {
    const auto exact = batch.buffers[i].first(batch.sizes[i]);
    all.emplace_back(exact.begin(), exact.end());
  }
  return all;
}

/// Whether each buffer holds what is expected, without copies: tests run unoptimised too.
inline bool holds(const lading::packed_batch& batch, const std::vector<std::vector<std::byte>>& expected) {
  if (batch.buffers.size() != expected.size() || batch.sizes.size() != expected.size()) return false;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (batch.sizes[i] != expected[i].size() || std::memcmp(batch.buffers[i].data(), expected[i].data(), expected[i].size()) != 0) return false;
  }
  return true;
}

/// What encode and pack_into make of each object alone.
template <class Layout = lading::layout::aligned, class Objects>
std::vector<std::vector<std::byte>> one_by_one(const Objects& objects, const lading::batch_options& options = {}) {
  std::vector<std::vector<std::byte>> all;
  for (const auto& object : objects) {
    const auto frames = lading::encode(object, options.encode);
    std::vector<std::byte>& packed = all.emplace_back(*lading::calc_packed_size<Layout>(*frames));
    const std::uint64_t schema = lading::schema_of<std::remove_cvref_t<decltype(object)>>();
    if (!lading::pack_into<Layout>(packed, *frames, {.checksum = options.checksum, .schema = schema})) all.pop_back();
  }
  return all;
}

}  // namespace batch_test
