// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/pack/aligned.hpp>

#include <gtest/gtest.h>

#include <lading/core/endian.hpp>

#include "pack/samples.hpp"

// Bytes in hexadecimal stay as they are grouped.
// clang-format off

namespace {

using namespace pack_test;
using lading::unpack_from;
using lading::detail::load_little;
using lading::detail::store_little;

/// Changes a header field of a good buffer, and its checksum with it, so that only the structure can be what is wrong.
template <class Number>
bytes with_field(bytes buffer, std::size_t offset, Number value) {
  store_little<Number>(buffer.data() + offset, value);
  if ((load_little<std::uint16_t>(buffer.data() + 6) & 1) != 0) {
    bytes head(buffer.begin(), buffer.begin() + 32);
    const auto count = load_little<std::uint64_t>(buffer.data() + 8);
    const std::size_t table = count <= (buffer.size() - 64) / 32 ? 32 * static_cast<std::size_t>(count) : 0;
    head.insert(head.end(), buffer.begin() + 64, buffer.begin() + 64 + static_cast<std::ptrdiff_t>(table));
    store_little<std::uint64_t>(buffer.data() + 32, lading::checksum_of(head.data(), head.size()));
  }
  return buffer;
}

TEST(Aligned, GoldenBuffersComeOutByteForByte) {
  for (const auto& line : manifest("aligned/manifest.txt", "", 4)) {
    SCOPED_TRACE(line[0]);
    const bytes golden = file_bytes("aligned/" + line[0] + ".bin");
    const auto items = payloads(sizes_of(line[3]));
    const lading::pack_options options{.checksum = line[1] == "1", .schema = std::stoull(line[2])};
    EXPECT_EQ(packed_items(items, options), golden);

    const auto read = unpack_from(golden, {.expected_schema = options.schema});
    ASSERT_TRUE(read.has_value()) << read.error().message();
    EXPECT_EQ(owned(*read), items);
    EXPECT_EQ(read->schema(), options.schema);
    EXPECT_EQ(read->has_checksum(), options.checksum);
  }
}

TEST(Aligned, FieldsLieWhereTheFormatSays) {
  const bytes buffer = packed({5, 70}, {.schema = 0x1122334455667788});
  ASSERT_EQ(buffer.size(), 128U + 64U + 70U);
  EXPECT_EQ(load_little<std::uint32_t>(buffer.data()), 0x4744414CU);
  EXPECT_EQ(buffer[0], std::byte{'L'});
  EXPECT_EQ(buffer[3], std::byte{'G'});
  EXPECT_EQ(load_little<std::uint16_t>(buffer.data() + 4), 1);
  EXPECT_EQ(load_little<std::uint16_t>(buffer.data() + 6), 1);
  EXPECT_EQ(load_little<std::uint64_t>(buffer.data() + 8), 2U);
  EXPECT_EQ(load_little<std::uint64_t>(buffer.data() + 16), buffer.size());
  EXPECT_EQ(load_little<std::uint64_t>(buffer.data() + 24), 0x1122334455667788U);
  EXPECT_NE(load_little<std::uint64_t>(buffer.data() + 32), 0U);
  for (std::size_t i = 40; i < 64; ++i) EXPECT_EQ(buffer[i], std::byte{0});
  EXPECT_EQ(load_little<std::uint64_t>(buffer.data() + 64), 128U);
  EXPECT_EQ(load_little<std::uint64_t>(buffer.data() + 72), 5U);
  EXPECT_EQ(load_little<std::uint64_t>(buffer.data() + 80), lading::checksum_of(buffer.data() + 128, 5));
  EXPECT_EQ(load_little<std::uint64_t>(buffer.data() + 88), 0U);
  EXPECT_EQ(load_little<std::uint64_t>(buffer.data() + 96), 192U);
  EXPECT_EQ(load_little<std::uint64_t>(buffer.data() + 104), 70U);
  for (std::size_t i = 133; i < 192; ++i) EXPECT_EQ(buffer[i], std::byte{0});
}

TEST(Aligned, RejectsAnotherMagic) {
  const bytes good = packed({5});
  EXPECT_TRUE(try_unpack(with_field<std::uint16_t>(good, 4, 1)));
  expect_error(try_unpack(with_field<std::uint32_t>(good, 0, 0x4744414D)), errc::bad_magic, "at offset 0: the buffer does not start with LADG");
}

TEST(Aligned, RejectsAnotherVersion) {
  expect_error(try_unpack(with_field<std::uint16_t>(packed({5}), 4, 2)), errc::unsupported_version, "needs 2, has 1, at offset 4");
  expect_error(try_unpack(with_field<std::uint16_t>(packed({5}), 4, 0)), errc::unsupported_version, "needs 0, has 1, at offset 4");
}

TEST(Aligned, RejectsUnknownFlags) {
  for (std::uint16_t flags = 2; flags != 0; flags = static_cast<std::uint16_t>(flags << 1)) {
    expect_error(try_unpack(with_field<std::uint16_t>(packed({5}), 6, static_cast<std::uint16_t>(flags | 1))), errc::bad_header, "at offset 6: an unknown flag");
  }
}

TEST(Aligned, RejectsReservedBytesOfTheHeader) {
  for (std::size_t at = 40; at < 64; ++at) {
    bytes buffer = packed({5});
    buffer[at] = std::byte{0x80};
    expect_error(try_unpack(buffer), errc::bad_header, "at offset " + std::to_string(at / 8 * 8) + ": a reserved byte is not zero");
  }
}

TEST(Aligned, RejectsReservedBytesOfAnEntry) {
  for (std::size_t at = 64 + 32 + 24; at < 64 + 64; ++at) {
    bytes buffer = packed({5, 6}, {.checksum = false});
    buffer[at] = std::byte{1};
    expect_error(try_unpack(buffer), errc::bad_header, "at offset 96, item 1: the entry has a reserved field set");
  }
}

TEST(Aligned, RejectsChecksumsWithoutTheFlag) {
  const bytes good = packed({5}, {.checksum = false});
  EXPECT_TRUE(try_unpack(good));
  bytes buffer = good;
  buffer[32] = std::byte{1};
  expect_error(try_unpack(buffer), errc::bad_header, "at offset 32: there is a checksum, but the flags say that there is none");
  buffer = good;
  buffer[64 + 16] = std::byte{1};
  expect_error(try_unpack(buffer), errc::bad_header, "at offset 64, item 0: the entry has a reserved field set, or a checksum");
}

TEST(Aligned, RejectsSizesThatContradictTheBuffer) {
  const bytes good = packed({5});  // 133 bytes
  expect_error(try_unpack(with_field<std::uint64_t>(good, 16, 134)), errc::truncated, "needs 134, has 133: the buffer is shorter than its header says");
  expect_error(try_unpack(with_field<std::uint64_t>(good, 16, 132)), errc::trailing_bytes, "needs 132, has 133: the buffer is longer than its header says");
  expect_error(try_unpack(with_field<std::uint64_t>(good, 16, ~std::uint64_t{0} - 1)), errc::truncated, "needs 18446744073709551614, has 133");
  bytes longer = with_field<std::uint64_t>(good, 16, 140);
  longer.resize(140);
  expect_error(try_unpack(longer), errc::trailing_bytes, "needs 133, has 140: the buffer goes on after the last payload");
}

TEST(Aligned, RejectsCountsThatDoNotFit) {
  const bytes good = packed({5});
  for (const std::uint64_t count : {std::uint64_t{3}, std::uint64_t{1} << 29, std::uint64_t{1} << 32, std::uint64_t{1} << 59, std::uint64_t{1} << 61, ~std::uint64_t{0} - 1}) {
    expect_error(try_unpack(with_field(good, 8, count)), errc::truncated, "needs " + std::to_string(count) + ", has 2: there is no room for the table's entries");
  }
  expect_error(try_unpack(with_field<std::uint64_t>(good, 8, 0)), errc::trailing_bytes, "needs 64, has 133");
}

TEST(Aligned, RejectsMisplacedPayloads) {
  const bytes good = packed({5, 70, 3});  // payloads at 192, 256, 384
  const auto with_entry = [&](std::size_t item, std::uint64_t offset, std::uint64_t size) {
    return with_field<std::uint64_t>(with_field<std::uint64_t>(good, 64 + 32 * item, offset), 72 + 32 * item, size);
  };
  EXPECT_TRUE(try_unpack(with_entry(1, 256, 70)));
  expect_error(try_unpack(with_entry(0, 0, 5)), errc::entry_out_of_bounds, "needs 5, has 0, at offset 0, item 0: the payload begins inside header or table");
  expect_error(try_unpack(with_entry(0, 64, 5)), errc::entry_out_of_bounds, "at offset 64, item 0: the payload begins inside header or table");
  expect_error(try_unpack(with_entry(1, 192, 5)), errc::not_canonical, "at offset 192, item 1: the payload does not lie where the sizes before it put it");
  expect_error(try_unpack(with_entry(1, 320, 5)), errc::not_canonical, "at offset 320, item 1");
  expect_error(try_unpack(with_entry(1, 257, 5)), errc::not_canonical, "at offset 257, item 1");
  expect_error(try_unpack(with_entry(1, 256, 132)), errc::entry_out_of_bounds, "needs 132, has 131, at offset 256, item 1: the payload ends behind the buffer");
  expect_error(try_unpack(with_entry(1, 256, ~std::uint64_t{0} - 1)), errc::entry_out_of_bounds, "has 131, at offset 256, item 1");
  expect_error(try_unpack(with_entry(1, ~std::uint64_t{0} - 63, 64)), errc::entry_out_of_bounds, "needs 64, has 0, at offset 18446744073709551552, item 1");
  expect_error(try_unpack(with_entry(2, 384, 2)), errc::trailing_bytes, "needs 386, has 387");
  // The last payload may only be empty where the one before it ends, rounded up.
  const bytes empty_last = packed({70, 0});
  EXPECT_TRUE(try_unpack(empty_last));
  bytes moved = with_field<std::uint64_t>(empty_last, 96, 192);
  expect_error(try_unpack(moved), errc::not_canonical, "at offset 192, item 1");
}

TEST(Aligned, RejectsBytesInGaps) {
  const bytes good = packed({5, 70, 3}, {.checksum = false});
  for (std::size_t at = 0; at < good.size(); ++at) {
    const bool gap = (at >= 160 && at < 192) || (at >= 197 && at < 256) || (at >= 326 && at < 384);
    if (!gap) continue;
    bytes buffer = good;
    buffer[at] = std::byte{0x40};
    expect_error(try_unpack(buffer), errc::not_canonical, "at offset " + std::to_string(at) + ", item ");
  }
}

TEST(Aligned, ChecksumsCoverHeaderTableAndPayloads) {
  const bytes good = packed({5, 70}, {.schema = 9});
  bytes buffer = good;
  buffer[24] ^= std::byte{1};  // the schema
  expect_error(try_unpack(buffer), errc::checksum_mismatch, "at offset 0: header and table are not those that were packed");
  buffer = good;
  buffer[64 + 16] ^= std::byte{1};  // a payload's checksum
  expect_error(try_unpack(buffer), errc::checksum_mismatch, "at offset 0: header and table");
  buffer = good;
  buffer[192] ^= std::byte{1};
  expect_error(try_unpack(buffer), errc::checksum_mismatch, "size 70, at offset 192, item 1: the payload is not the one that was packed");
  EXPECT_TRUE(try_unpack(buffer, {.verify_checksum = false}));
}

TEST(Aligned, IsStrictInEveryMode) {
  bytes buffer = packed({5, 70}, {.checksum = false});
  EXPECT_TRUE(try_unpack(buffer, {.strict = false}));
  buffer[140] = std::byte{1};
  expect_error(try_unpack(buffer, {.strict = false}), errc::not_canonical, "at offset 140, item 1");
}

}  // namespace
