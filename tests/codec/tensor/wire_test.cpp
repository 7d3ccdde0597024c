// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/tensor/wire.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support/codec_checks.hpp"

// Bytes in hexadecimal stay as they are grouped.
// clang-format off

namespace {

using lading::bytes_view;
using lading::dtype;
using lading::errc;
using lading::jagged;
using lading::jagged_view;
using lading::strided_list;
using lading::strided_list_view;
using lading::tensor;
using lading::tensor_view;
using lading_test::check_twin;
using lading_test::check_value;
using lading_test::exact_bytes;
using lading_test::from_hex;
using lading_test::hex_of;
using lading_test::stream_of;

const std::vector<std::int16_t> six{1, 2, 3, 4, 5, 6};

TEST(tensor_wire, dtype_rank_dimensions_items) {
  EXPECT_EQ(hex_of(*tensor::of(six, {2, 3})),
            "21" "02" "0200000000000000" "0300000000000000"  // 18 bytes
            "06000000" "0000"                                // the count at 18, items at 24
            "010002000300040005000600");
  EXPECT_EQ(hex_of(*tensor::of(std::vector<std::uint8_t>{7}, {})), "10" "00" "01000000" "0000" "07");
  EXPECT_EQ(hex_of(tensor()), "31" "01" "0000000000000000" "00000000" "0000");
}

TEST(tensor_wire, owners_and_views_round_trip) {
  check_value(*tensor::of(six, {2, 3}), *tensor::of(six, {6}));
  check_value(tensor(), *tensor::of(six, {6}));
  check_value(*tensor::of(std::vector<double>{1.5}, {}));
  check_value(*tensor::of(std::vector<std::uint8_t>{1}, {}));
  check_value(*tensor::zeros(dtype::complex128, {2, 0, 3}));
  check_value(std::vector<tensor>{*tensor::of(six, {3, 2}), tensor()}, std::vector<tensor>(3));
  check_twin<tensor_view>(*tensor::of(six, {2, 3}));
}

TEST(tensor_wire, every_dtype) {
  for (const auto& row : lading::detail::dtype_rows) {
    std::vector<std::byte> items(6 * row.size);
    for (std::size_t i = 0; i < items.size(); ++i) items[i] = static_cast<std::byte>(row.type == dtype::boolean ? i % 2 : i + 1);
    const auto value = tensor::from_bytes(row.type, {2, 3}, items);
    ASSERT_TRUE(value.has_value()) << row.name;
    const auto stream = stream_of(*value);
    ASSERT_EQ(stream.size(), 2 + 16 + 4 + 2 + items.size());
    const auto decoded = lading::decode_from<tensor>(stream);
    ASSERT_TRUE(decoded.has_value()) << row.name;
    EXPECT_EQ(*decoded, *value);
    lading_test::check_truncations(lading_test::type<tensor>(), stream);
  }
}

TEST(tensor_wire, every_rank) {
  for (std::size_t rank = 0; rank <= 64; ++rank) {
    std::vector<std::int64_t> shape(rank, 1);
    if (rank > 2) shape[1] = 3;
    const std::vector<std::int32_t> items(rank > 2 ? 3 : 1, 5);
    const auto value = tensor::of(items, shape);
    ASSERT_TRUE(value.has_value()) << rank;
    const exact_bytes stream(bytes_view{stream_of(*value)});
    const auto decoded = lading::decode_from<tensor>(stream.view());
    ASSERT_TRUE(decoded.has_value()) << rank;
    EXPECT_EQ(*decoded, *value);
    const bytes_view source = stream.view();
    const auto view = lading::decode_from<tensor_view>(source);
    ASSERT_TRUE(view.has_value());
    EXPECT_EQ(*decoded, *view);
  }
  std::vector<std::byte> too_many(2 + 65 * 8 + 64, std::byte{0});
  too_many[0] = static_cast<std::byte>(dtype::uint8);
  too_many[1] = std::byte{65};
  EXPECT_EQ(lading::decode_from<tensor>(too_many).error().message(), "invalid_value: at offset 1: a tensor has at most 64 dimensions");
}

TEST(tensor_wire, items_that_lie_apart_are_gathered) {
  const tensor whole = *tensor::of(six, {2, 3});
  const tensor_view transposed = *whole.view().transpose(0, 1);
  ASSERT_FALSE(transposed.contiguous());
  const tensor wanted = *tensor::copy_of(transposed);
  EXPECT_EQ(hex_of(transposed), hex_of(wanted));
  for (const std::size_t threshold : {std::size_t{0}, std::size_t{12}, std::size_t{13}}) {
    const auto frames = lading::encode(transposed, {.out_of_band_threshold = threshold});
    ASSERT_TRUE(frames.has_value());
    EXPECT_EQ(frames->size(), threshold < 13 ? 2U : 1U);
    EXPECT_EQ(lading::decode<tensor>(*frames), wanted);
  }
  const tensor_view repeated = *tensor_view::strided(dtype::int16, six.data(), {4}, {0});
  EXPECT_EQ(lading::decode_from<tensor>(stream_of(repeated)), *tensor::of(std::vector<std::int16_t>{1, 1, 1, 1}));
  const tensor_view backwards = *tensor_view(whole.view()).reshape({6})->flip(0);
  EXPECT_EQ(lading::decode_from<tensor>(stream_of(backwards)), *tensor::of(std::vector<std::int16_t>{6, 5, 4, 3, 2, 1}));
}

TEST(tensor_wire, contiguous_items_are_borrowed) {
  const tensor whole = *tensor::of(six, {2, 3});
  const auto frames = lading::encode(whole, {.out_of_band_threshold = 12});
  ASSERT_TRUE(frames.has_value());
  ASSERT_EQ(frames->size(), 2U);
  EXPECT_EQ((*frames)[1].data(), whole.data());
  const auto view = lading::decode<tensor_view>(*frames);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->data(), whole.data());
  std::vector<bytes_view> list(frames->begin(), frames->end());
  list[1] = list[1].first(11);
  EXPECT_EQ(lading::decode<tensor>(list).error().code(), errc::invalid_value);
  list[1] = {};
  EXPECT_EQ(lading::decode<tensor>(list).error().code(), errc::not_canonical);
  list.pop_back();
  EXPECT_EQ(lading::decode<tensor>(list).error().code(), errc::truncated);
}

TEST(tensor_wire, hostile_shapes) {
  const auto read = [](std::string_view text) { return lading::decode_from<tensor>(from_hex(text)); };
  EXPECT_TRUE(read("10" "01" "0100000000000000" "01000000" "0000" "07").has_value());
  const std::pair<const char*, errc> cases[] = {
      {"00" "01" "0100000000000000" "01000000" "0000" "07", errc::invalid_value},                      // no dtype
      {"ff" "01" "0100000000000000" "01000000" "0000" "07", errc::invalid_value},                      // no dtype
      {"10" "01" "0200000000000000" "01000000" "0000" "07", errc::invalid_value},                      // fewer items than the shape says
      {"10" "01" "0000000000000000" "01000000" "0000" "07", errc::invalid_value},                      // more items
      {"10" "01" "ffffffffffffffff" "01000000" "0000" "07", errc::invalid_value},                      // negative
      {"10" "02" "0000000000000000" "ffffffffffffffff" "00000000" "0000", errc::invalid_value},        // negative beside zero
      {"10" "02" "0000000001000000" "0000000001000000" "00000000" "0000", errc::size_overflow},        // 2^64 items
      {"10" "02" "0000008000000000" "0000000002000000" "00000000" "0000", errc::size_overflow},        // wraps to 0
      {"13" "01" "0100000000000010" "01000000" "0000" "0700000000000000", errc::size_overflow},        // times the item's size wraps
      {"10" "01" "0100000000000000" "01000000" "0100" "07", errc::not_canonical},                      // padding
      {"10" "01" "0100000000000000" "ffffffff", errc::truncated},                                      // a frame in a stream
      {"10" "01" "0100000000000000" "feffffff" "0000" "07", errc::truncated},
  };
  for (const auto& [text, code] : cases) {
    const auto decoded = read(text);
    ASSERT_FALSE(decoded.has_value()) << text;
    EXPECT_EQ(decoded.error().code(), code) << text << ": " << decoded.error().message();
  }
}

jagged three_rows() {
  const std::vector<std::int32_t> items{1, 2, 3, 4, 5, 6};
  const std::vector<std::int64_t> lengths{1, 0, 2};
  jagged value = *jagged::uninitialized(dtype::int32, lengths, {2});
  std::memcpy(value.bytes().data(), items.data(), 24);
  return value;
}

TEST(tensor_wire, jagged) {
  EXPECT_EQ(hex_of(three_rows()),
            "22" "02" "0300000000000000" "0200000000000000"                                            // of the values
            "04000000" "0000" "0000000000000000" "0100000000000000" "0100000000000000" "0300000000000000"  // offsets, aligned at 24
            "06000000" "00000000" "010000000200000003000000040000000500000006000000");
  check_value(three_rows(), jagged());
  check_value(jagged(), three_rows());
  check_twin<jagged_view>(three_rows());
  const jagged rows = three_rows();
  const auto frames = lading::encode(rows.view(), {.out_of_band_threshold = ~std::size_t{0}});
  ASSERT_TRUE(frames.has_value());
}

TEST(tensor_wire, jagged_offsets_are_checked) {
  const std::vector<std::byte> stream = stream_of(three_rows());
  ASSERT_TRUE(lading::decode_from<jagged>(stream).has_value());
  for (const auto& [at, value] : {std::pair{24, 1}, {32, 4}, {40, 0}, {48, 2}, {48, 4}, {31, 0x80}}) {
    std::vector<std::byte> changed = stream;
    changed[static_cast<std::size_t>(at)] = static_cast<std::byte>(value);
    EXPECT_EQ(lading::decode_from<jagged>(changed).error().code(), errc::invalid_value) << at;
    const exact_bytes exact{bytes_view(changed)};
    const bytes_view source = exact.view();
    EXPECT_EQ(lading::decode_from<jagged_view>(source).error().code(), errc::invalid_value) << at;
  }
}

TEST(tensor_wire, nested_lists_agree_in_dtype_and_rank) {
  strided_list list;
  ASSERT_TRUE(list.push_back(*tensor::of(six, {2, 3})).has_value());
  ASSERT_TRUE(list.push_back(*tensor::of(six, {6, 1})).has_value());
  check_value(list, strided_list());
  check_value(strided_list(), list);
  EXPECT_EQ(hex_of(list), hex_of(std::vector<tensor>(list.begin(), list.end())));
  const auto mixed = lading::decode_from<strided_list>(stream_of(std::vector<tensor>{*tensor::of(six, {2, 3}), *tensor::of(six, {6})}));
  ASSERT_FALSE(mixed.has_value());
  EXPECT_EQ(mixed.error().code(), errc::invalid_value);
  const strided_list_view views = *view_of(list);
  EXPECT_EQ(hex_of(views), hex_of(list));
}

TEST(tensor_wire, misaligned_buffers) {
  const std::vector<std::byte> stream = stream_of(three_rows());
  alignas(64) std::byte memory[256] = {};
  std::memcpy(memory + 4, stream.data(), stream.size());
  const bytes_view source(memory + 4, stream.size());
  EXPECT_EQ(lading::decode_from<jagged_view>(source).error().code(), errc::misaligned);
  EXPECT_EQ(lading::decode_from<jagged>(source), three_rows());
}

TEST(tensor_wire, what_would_be_the_callers_mistake_is_the_inputs) {
  // A jagged tensor of rank 0: dtype, rank, values (one item), offsets (0, 1).
  const auto decoded = lading::decode_from<jagged>(from_hex("01" "00" "01000000" "0000" "0500000000000000" "02000000" "00000000" "0000000000000000" "0100000000000000"));
  ASSERT_FALSE(decoded.has_value());
  EXPECT_NE(decoded.error().code(), errc::invalid_argument) << decoded.error().message();
}

}  // namespace
