// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/pack/transfer_queue.hpp>

#include <map>

#include <gtest/gtest.h>

#include <lading/core/endian.hpp>

#include "pack/samples.hpp"

namespace {

using namespace pack_test;
using lading::unpack_from;
using lading::detail::store_little;

std::vector<bytes> payloads_of(const std::string& list) {
  if (list == "none") return {};
  if (list == "rule:i*31+7") return {payload(0, 65536)};
  std::vector<bytes> items;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    bytes& item = items.emplace_back();
    for (std::size_t i = 0; word != "-" && i < word.size(); i += 2) item.push_back(static_cast<std::byte>(std::stoi(word.substr(i, 2), nullptr, 16)));
  }
  return items;
}

TEST(TransferQueue, OuterVectorsComeOutByteForByte) {
  const auto lines = manifest("transfer_queue/manifest.txt", "outer", 3);
  EXPECT_EQ(lines.size(), 8U);
  for (const auto& line : lines) {
    SCOPED_TRACE(line[1]);
    bytes golden = file_bytes("transfer_queue/outer/" + line[1] + ".bin");
    const auto items = payloads_of(line[2]);
    bytes target(golden.size(), std::byte{0xAA});
    const auto wrote = lading::pack_into<transfer_queue>(target, items);
    ASSERT_TRUE(wrote.has_value());
    EXPECT_EQ(target, golden) << "bytes behind the buffer stay as they are";
    golden.resize(*wrote);
    const auto read = unpack_from<transfer_queue>(golden);
    ASSERT_TRUE(read.has_value()) << read.error().message();
    EXPECT_EQ(owned(*read), items);
    EXPECT_EQ(read->schema(), 0U);
    EXPECT_FALSE(read->has_checksum());
  }
}

TEST(TransferQueue, WholeObjectsUnpackAndPackAgain) {
  const auto lines = manifest("transfer_queue/manifest.txt", "object", 3);
  EXPECT_GT(lines.size(), 50U);
  for (const auto& line : lines) {
    SCOPED_TRACE(line[1]);
    const bytes golden = file_bytes("transfer_queue/object/" + line[1] + ".bin");
    const auto read = unpack_from<transfer_queue>(golden);
    ASSERT_TRUE(read.has_value()) << read.error().message();
    std::vector<std::size_t> sizes;
    for (const bytes_view item : *read) sizes.push_back(item.size());
    EXPECT_EQ(sizes, sizes_of(line[2]));
    bytes again(golden.size());
    EXPECT_EQ(lading::pack_into<transfer_queue>(again, *read), golden.size());
    EXPECT_EQ(again, golden);
  }
}

TEST(TransferQueue, MalformedVectorsAreRejectedWithTheirPlace) {
  struct expectation {
    errc code;
    std::string fragment;
    bool lenient = false;  ///< in bounds, so accepted on request
  };
  const std::map<std::string, expectation> expectations{
      {"m00_empty", {errc::truncated, "needs 4, has 0"}},
      {"m01_3bytes", {errc::truncated, "needs 4, has 3"}},
      {"m02_count1_no_table", {errc::truncated, "needs 1, has 0"}},
      {"m04_count_max", {errc::truncated, "needs 4294967295, has 0"}},
      {"m05_count_2pow29", {errc::truncated, "needs 536870912, has 2"}},
      {"m06_offset_past_end", {errc::entry_out_of_bounds, "at offset 100, item 0"}},
      {"m08_offset_plus_len_wrap", {errc::entry_out_of_bounds, "needs 4294967295, has 3, at offset 12, item 0"}},
      {"m11_overlap", {errc::not_canonical, "item 1", true}},
      {"m13_reordered", {errc::not_canonical, "item 0", true}},
      {"m14_truncated_by_1", {errc::entry_out_of_bounds, "needs 40, has 39, at offset 53, item 1"}},
      {"m15_table_entry_zero", {errc::entry_out_of_bounds, "needs 0, has 0, at offset 0, item 1"}},
  };
  const auto lines = manifest("transfer_queue/manifest.txt", "malformed", 3);
  EXPECT_EQ(lines.size(), expectations.size());
  for (const auto& line : lines) {
    SCOPED_TRACE(line[1] + ": " + line[2]);
    ASSERT_TRUE(expectations.contains(line[1]));
    const expectation& expected = expectations.at(line[1]);
    const bytes buffer = file_bytes("transfer_queue/malformed/" + line[1] + ".bin");
    expect_error(try_unpack<transfer_queue>(buffer), expected.code, expected.fragment);
    const auto lenient = unpack_from<transfer_queue>(buffer, {.strict = false});
    EXPECT_EQ(lenient.has_value(), expected.lenient);
    if (!lenient) {
      EXPECT_EQ(lenient.error().code(), expected.code);
    }
  }
}

bytes table(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& entries, std::size_t size) {
  bytes buffer(size, std::byte{0x11});
  store_little<std::uint32_t>(buffer.data(), static_cast<std::uint32_t>(entries.size()));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    store_little<std::uint32_t>(buffer.data() + 4 + 8 * i, entries[i].first);
    store_little<std::uint32_t>(buffer.data() + 8 + 8 * i, entries[i].second);
  }
  return buffer;
}

TEST(TransferQueue, StrictModeAcceptsOnlyWhatItWrites) {
  EXPECT_TRUE(try_unpack<transfer_queue>(table({{20, 4}, {24, 6}}, 30)));
  expect_error(try_unpack<transfer_queue>(table({{20, 4}, {25, 5}}, 30)), errc::not_canonical, "at offset 25, item 1");   // a hole
  expect_error(try_unpack<transfer_queue>(table({{26, 4}, {20, 6}}, 30)), errc::not_canonical, "at offset 26, item 0");   // another order
  expect_error(try_unpack<transfer_queue>(table({{20, 4}, {22, 8}}, 30)), errc::not_canonical, "at offset 22, item 1");   // shared bytes
  expect_error(try_unpack<transfer_queue>(table({{20, 4}, {20, 4}}, 30)), errc::not_canonical, "at offset 20, item 1");   // an alias
  expect_error(try_unpack<transfer_queue>(table({{20, 4}, {24, 5}}, 30)), errc::trailing_bytes, "needs 29, has 30");      // a trailer
  expect_error(try_unpack<transfer_queue>(table({{30, 0}, {20, 10}}, 30)), errc::not_canonical, "at offset 30, item 0");  // a misplaced empty item
  expect_error(try_unpack<transfer_queue>(table({}, 5)), errc::trailing_bytes, "needs 4, has 5");
}

TEST(TransferQueue, LenientModeAcceptsWhatLiesInside) {
  const lading::unpack_options lenient{.strict = false};
  for (const auto& entries : std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>>{
           {{20, 4}, {25, 5}}, {{26, 4}, {20, 6}}, {{20, 4}, {22, 8}}, {{20, 10}, {20, 10}}, {{20, 4}, {24, 5}}, {{30, 0}, {20, 10}}}) {
    const bytes buffer = table(entries, 30);
    const auto read = unpack_from<transfer_queue>(buffer, lenient);
    ASSERT_TRUE(read.has_value()) << read.error().message();
    ASSERT_EQ(read->size(), 2U);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ((*read)[i].data(), buffer.data() + entries[i].first);
      EXPECT_EQ((*read)[i].size(), entries[i].second);
    }
  }
  expect_error(try_unpack<transfer_queue>(table({{20, 4}, {31, 0}}, 30), lenient), errc::entry_out_of_bounds, "needs 0, has 0, at offset 31, item 1");
  expect_error(try_unpack<transfer_queue>(table({{20, 4}, {24, 7}}, 30), lenient), errc::entry_out_of_bounds, "needs 7, has 6, at offset 24, item 1");
  expect_error(try_unpack<transfer_queue>(table({{20, 4}, {19, 1}}, 30), lenient), errc::entry_out_of_bounds,
               "at offset 19, item 1: the payload begins inside");
  const bytes slack = file_bytes("transfer_queue/outer/slack_target.bin");
  expect_error(try_unpack<transfer_queue>(slack), errc::trailing_bytes, "needs 15, has 64");
  const auto read = unpack_from<transfer_queue>(slack, lenient);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(owned(*read), payloads_of("616263"));
}

TEST(TransferQueue, IgnoresWhatItHasNoPlaceFor) {
  const auto items = payloads({5, 6});
  EXPECT_EQ(packed_items<transfer_queue>(items, {.checksum = true, .schema = 7}), packed_items<transfer_queue>(items, {.checksum = false}));
  const bytes buffer = packed_items<transfer_queue>(items);
  EXPECT_TRUE(try_unpack<transfer_queue>(buffer, {.expected_schema = 7}));
}

}  // namespace
