// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/pack/layout.hpp>

#include <gtest/gtest.h>

#include <lading/pack/gather.hpp>

#include "pack/samples.hpp"

namespace {

using namespace pack_test;

/// A user's own layout, small enough to overflow: "T", count u8, then (offset u16 | reserved bit 15, size u8) an item, payloads at multiples of 8.
struct tiny {
  static constexpr std::size_t header_size = 2;
  static constexpr std::size_t entry_size = 3;
  static constexpr std::size_t payload_alignment = 8;
  static constexpr std::uint64_t max_size = 255;
  static constexpr bool has_checksum = false;
  static constexpr bool has_schema = false;
  static constexpr bool always_strict = true;

  static void write_entry(std::byte* place, const lading::packed_entry& entry) noexcept {
    place[0] = static_cast<std::byte>(entry.offset & 0xFF);
    place[1] = static_cast<std::byte>(entry.offset >> 8);
    place[2] = static_cast<std::byte>(entry.size);
  }
  static void write_header(std::byte* buffer, const lading::packed_header& header) noexcept {
    buffer[0] = std::byte{'T'};
    buffer[1] = static_cast<std::byte>(header.count);
  }
  static lading::result<lading::packed_header> read_header(const std::byte* place, std::size_t buffer_size) {
    if (place[0] != std::byte{'T'}) return lading::fail(lading::errc::bad_magic, {.offset = 0});
    return lading::packed_header{.count = std::to_integer<std::uint64_t>(place[1]), .size = buffer_size};
  }
  static bool read_entry(const std::byte* place, lading::packed_entry& entry) noexcept {
    entry = {std::to_integer<std::uint64_t>(place[0]) + 256 * (std::to_integer<std::uint64_t>(place[1]) & 0x7F),
             std::to_integer<std::uint64_t>(place[2]), 0};
    return (place[1] & std::byte{0x80}) == std::byte{0};
  }
};

struct no_alignment : tiny {
  static constexpr std::size_t payload_alignment = 3;
};
struct no_hash : tiny {
  static constexpr bool has_checksum = true;
};
struct no_read : tiny {
  static void read_entry(const std::byte*, lading::packed_entry&) noexcept {}
};
static_assert(lading::packed_layout<tiny> && lading::packed_layout<aligned> && lading::packed_layout<transfer_queue>);
static_assert(!lading::packed_layout<no_alignment> && !lading::packed_layout<no_hash> && !lading::packed_layout<no_read> &&
              !lading::packed_layout<int>);

TEST(Layout, AUsersOwnIsPackedUnpackedAndPlanned) {
  for (const auto& sizes : std::vector<std::vector<std::size_t>>{{}, {0}, {5}, {8, 0, 3}, {100, 100}, {1, 2, 3, 4, 5, 6, 7}}) {
    const auto items = payloads(sizes);
    const bytes buffer = packed_items<tiny>(items);
    const auto read = lading::unpack_from<tiny>(buffer);
    ASSERT_TRUE(read.has_value()) << read.error().message();
    EXPECT_EQ(owned(*read), items);
    const auto plan = lading::plan_gather<tiny>(items);
    bytes target(buffer.size());
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->execute(target), buffer.size());
    EXPECT_EQ(target, buffer);
    for (std::size_t size = 0; size < buffer.size(); ++size) EXPECT_FALSE(try_unpack<tiny>(exact(bytes_view(buffer).first(size))));
  }
  bytes reserved = packed<tiny>({5});
  reserved[3] |= std::byte{0x80};
  expect_error(try_unpack<tiny>(reserved), errc::bad_header, "at offset 2, item 0: the entry has a reserved field set");
  bytes other = packed<tiny>({5});
  other[0] = std::byte{'U'};
  expect_error(try_unpack<tiny>(other), errc::bad_magic, "at offset 0");
}

TEST(Layout, ALayoutsOwnLimitIsKept) {
  const auto size = [](std::size_t payload_size) { return lading::calc_packed_size<tiny>(std::vector<bytes>{bytes(payload_size)}); };
  EXPECT_EQ(size(247), 255U);
  expect_error(size(248), errc::size_overflow, "needs 248, has 250, item 0");
  // A gap that would end behind the limit, though nothing is in it.
  EXPECT_EQ(lading::calc_packed_size<tiny>(std::vector<bytes>{bytes(240), {}}), 248U);
  expect_error(lading::calc_packed_size<tiny>(std::vector<bytes>{bytes(241), {}}), errc::size_overflow, "needs 0, has 6, item 1");
  expect_error(lading::calc_packed_size<tiny>(std::vector<bytes>(85)), errc::size_overflow, "needs 85, has 85");
}

/// Entries of one byte, in which a buffer can claim more items than there can be views.
struct thin : tiny {
  static constexpr std::size_t header_size = 32;
  static constexpr std::size_t entry_size = 1;
  static inline std::uint64_t count = 0;
  static lading::result<lading::packed_header> read_header(const std::byte*, std::size_t buffer_size) {
    return lading::packed_header{.count = count, .size = buffer_size};
  }
};

TEST(Layout, CountsThatNoMemoryCanHoldAreAnError) {
  const bytes header(32);
  const bytes_view claimed(header.data(), ~std::size_t{0} / 2);  // only the header is ever read
  for (const std::uint64_t count : {std::uint64_t{1} << 61, (std::uint64_t{1} << 60) - 1, std::uint64_t{1} << 59}) {
    thin::count = count;
    const auto read = lading::unpack_from<thin>(claimed);
    expect_error(read, errc::no_memory, "the copy of header and table could not be allocated");
  }
}

TEST(PayloadCursor, PlacesAtTheNextMultipleAndStaysOnFailure) {
  static_assert(lading::payload_cursor<tiny>::fits(84) && !lading::payload_cursor<tiny>::fits(85));
  lading::payload_cursor<tiny> cursor(1);
  std::size_t offset = 99;
  EXPECT_EQ(cursor.end(), 5U);
  EXPECT_EQ(cursor.next(), 8U);
  EXPECT_FALSE(cursor.place(248, offset));
  EXPECT_EQ(offset, 99U);
  EXPECT_EQ(cursor.end(), 5U);
  EXPECT_TRUE(cursor.place(3, offset));
  EXPECT_EQ(offset, 8U);
  EXPECT_EQ(cursor.end(), 11U);
}

/// A batch knows the sizes first, puts the payloads in place by itself, and writes the table last.
template <class Layout>
void write_table_completes_payloads_in_place() {
  for (const auto& sizes : size_sets()) {
    for (const bool checksum : {true, false}) {
      const auto items = payloads(sizes);
      const lading::pack_options options{.checksum = checksum, .schema = 5};
      const bytes golden = packed_items<Layout>(items, options);
      bytes target(golden.size(), std::byte{0xAA});
      std::vector<lading::packed_entry> entries;
      lading::payload_cursor<Layout> cursor(items.size());
      for (const bytes& item : items) {
        std::size_t offset = 0;
        ASSERT_TRUE(cursor.place(item.size(), offset));
        std::copy(item.begin(), item.end(), target.begin() + static_cast<std::ptrdiff_t>(offset));
        entries.push_back({offset, item.size(), lading::checksum_of(item.data(), item.size())});
      }
      EXPECT_EQ(cursor.end(), golden.size());
      lading::write_table<Layout>(target.data(), entries, options);
      EXPECT_EQ(target, golden);
    }
  }
}

TEST(WriteTable, CompletesPayloadsInPlace) {
  write_table_completes_payloads_in_place<aligned>();
  write_table_completes_payloads_in_place<transfer_queue>();
}

TEST(FirstNonZero, FindsEveryPosition) {
  for (std::size_t size = 0; size < 40; ++size) {
    bytes memory(size);
    EXPECT_EQ(lading::detail::first_non_zero(memory.data(), size), size);
    for (std::size_t at = 0; at < size; ++at) {
      memory[at] = std::byte{0x80};
      EXPECT_EQ(lading::detail::first_non_zero(memory.data(), size), at);
      if (at + 1 < size) memory[size - 1] = std::byte{1};
      EXPECT_EQ(lading::detail::first_non_zero(memory.data(), size), at);
      memory[at] = memory[size - 1] = std::byte{0};
    }
  }
}

}  // namespace
