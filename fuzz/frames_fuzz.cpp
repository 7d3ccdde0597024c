// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A packed buffer, its checksums not verified, and what its payloads decode to: never more than the buffer says.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <lading/codec/decode.hpp>
#include <lading/codec/encode.hpp>
#include <lading/memory/aligned_buffer.hpp>
#include <lading/pack/transfer_queue.hpp>
#include <lading/pack/unpack.hpp>

#include "expect.hpp"

namespace {

using lading::bytes_view;

struct sample {
  std::string uid;
  std::vector<std::int32_t> tokens;
  std::map<std::string, std::vector<float>> features;
  std::variant<std::monostate, std::vector<double>, std::string> choice;
  lading::tensor weights;
  lading::jagged rows;
};
struct sample_view {
  std::string_view uid;
  std::span<const std::int32_t> tokens;
  std::map<std::string_view, std::span<const float>> features;
  std::variant<std::monostate, std::span<const double>, std::string_view> choice;
  lading::tensor_view weights;
  lading::jagged_view rows;
};

template <class T>
std::optional<std::vector<std::byte>> stream_of(const lading::result<T>& decoded) {
  if (!decoded) {
    fuzz::expect(fuzz::is_input_error(decoded.error()));
    return std::nullopt;
  }
  std::vector<std::byte> bytes(lading::encoded_size(*decoded));
  fuzz::expect(lading::encode_into(*decoded, bytes).has_value());
  return bytes;
}

template <class Frames>
void check(const Frames& frames) {
  const auto owned = lading::decode<sample>(frames);
  const auto borrowed = lading::decode<sample_view>(frames);
  const auto from_owned = stream_of(owned);
  const auto from_borrowed = stream_of(borrowed);
  if (!borrowed) fuzz::expect(!owned || borrowed.error() == lading::errc::misaligned);
  if (!owned) fuzz::expect(!borrowed);
  if (!from_owned) return;
  if (from_borrowed) fuzz::expect(*from_owned == *from_borrowed);
  // Out again and back is the same value.
  const auto again = lading::encode(*owned, {.out_of_band_threshold = 16});
  fuzz::expect(again.has_value());
  const auto back = stream_of(lading::decode<sample>(*again));
  fuzz::expect(back == from_owned);
}

template <class Layout>
void check_packed(bytes_view packed) {
  const auto items = lading::unpack_from<Layout>(packed, {.verify_checksum = false});
  if (items) check(*items);
}

/// Lengths in one byte each, then the frames themselves: what a header is not needed for.
void check_list(bytes_view source) {
  std::vector<lading::aligned_buffer> blocks;
  std::vector<bytes_view> list;
  while (!source.empty() && list.size() < 12) {
    const std::size_t wanted = std::to_integer<std::size_t>(source[0]);
    source = source.subspan(1);
    const bytes_view frame = source.first(wanted < source.size() ? wanted : source.size());
    source = source.subspan(frame.size());
    auto block = lading::aligned_buffer::allocate(frame.size());
    if (!block) return;
    if (!frame.empty()) std::memcpy(block->data(), frame.data(), frame.size());
    list.emplace_back(block->data(), frame.size());
    blocks.push_back(std::move(*block));
  }
  check(list);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  auto block = lading::aligned_buffer::allocate(size - 1);
  if (!block) return 0;
  if (size > 1) std::memcpy(block->data(), data + 1, size - 1);
  const bytes_view source(block->data(), size - 1);
  switch (data[0] % 3) {
    case 0: check_packed<lading::layout::aligned>(source); break;
    case 1: check_packed<lading::layout::transfer_queue>(source); break;
    default: check_list(source);
  }
  return 0;
}
