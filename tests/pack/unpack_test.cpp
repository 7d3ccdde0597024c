// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/pack/unpack.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstring>
#include <iterator>
#include <random>
#include <type_traits>

#include <gtest/gtest.h>

#include <lading/core/endian.hpp>
#include <lading/memory/aligned_buffer.hpp>
#include <lading/memory/thread.hpp>

#include "pack/samples.hpp"

namespace {

using namespace pack_test;
using lading::unpack_from;
using lading::unpack_options;
using lading::unpacked;

// The result is a contiguous range, can be moved, and cannot be made out of a buffer that is about to vanish.
static_assert(lading::frame_range<unpacked>);
static_assert(std::contiguous_iterator<unpacked::const_iterator>);
static_assert(std::is_nothrow_move_constructible_v<unpacked> && std::is_nothrow_move_assignable_v<unpacked>);
static_assert(!std::is_copy_constructible_v<unpacked>);
template <class Packed>
concept unpackable = requires(Packed&& packed) { unpack_from(std::forward<Packed>(packed)); };
static_assert(unpackable<bytes&> && unpackable<const bytes&> && !unpackable<bytes> && !unpackable<const bytes>);
static_assert(unpackable<bytes_view> && unpackable<bytes_span> && unpackable<bytes_view&>);
static_assert(unpackable<std::array<std::byte, 64>&> && !unpackable<std::array<std::byte, 64>>);
static_assert(unpackable<lading::aligned_buffer&> && !unpackable<lading::aligned_buffer>);

template <class Layout>
class Unpack : public testing::Test {};
using layouts = testing::Types<aligned, transfer_queue>;
TYPED_TEST_SUITE(Unpack, layouts);

TYPED_TEST(Unpack, RejectsEveryTruncation) {
  ASSERT_GE(size_sets().size(), 30U);
  for (const auto& sizes : size_sets()) {
    for (const bool checksum : {true, false}) {
      const bytes buffer = packed<TypeParam>(sizes, {.checksum = checksum});
      ASSERT_TRUE(try_unpack<TypeParam>(buffer));
      for (std::size_t size = 0; size < buffer.size(); ++size) {
        const bytes cut = exact(bytes_view(buffer).first(size));
        const auto read = try_unpack<TypeParam>(cut);
        ASSERT_FALSE(read.has_value()) << size << " of " << buffer.size();
        ASSERT_TRUE(read.error().code() == errc::truncated || read.error().code() == errc::entry_out_of_bounds) << read.error().message();
        const auto& details = read.error().details();
        ASSERT_TRUE(details.needed != details.unset && details.available != details.unset) << read.error().message();
      }
    }
  }
}

TYPED_TEST(Unpack, RejectsEveryTrailer) {
  for (const auto& sizes : size_sets()) {
    bytes buffer = packed<TypeParam>(sizes);
    for (const std::size_t extra : std::initializer_list<std::size_t>{1, 2, 63, 64}) {
      bytes longer = buffer;
      longer.resize(buffer.size() + extra);
      expect_error(try_unpack<TypeParam>(longer), errc::trailing_bytes,
                   "needs " + std::to_string(buffer.size()) + ", has " + std::to_string(longer.size()));
    }
  }
}

TEST(UnpackAligned, RejectsEveryBitFlipOfCheckedBuffers) {
  std::size_t flips = 0;
  for (const auto& sizes : size_sets()) {
    bytes buffer = packed(sizes, {.schema = sizes.size()});
    ASSERT_TRUE(try_unpack(buffer));
    for (std::size_t bit = 0; bit < 8 * buffer.size(); ++bit, ++flips) {
      buffer[bit / 8] ^= std::byte(1U << bit % 8);
      ASSERT_FALSE(try_unpack(buffer).has_value()) << "bit " << bit;
      buffer[bit / 8] ^= std::byte(1U << bit % 8);
    }
    ASSERT_TRUE(try_unpack(buffer));
  }
  EXPECT_GT(flips, 100'000U);
}

TEST(UnpackAligned, WithoutPayloadVerificationOnlyPayloadFlipsPass) {
  const auto items = payloads({5, 0, 70, 64});
  bytes buffer = packed_items(items);
  std::vector<bool> is_payload(buffer.size());
  const auto read = unpack_from(buffer);
  ASSERT_TRUE(read.has_value());
  for (const bytes_view item : *read) {
    for (std::size_t i = 0; i < item.size(); ++i) is_payload[static_cast<std::size_t>(item.data() - buffer.data()) + i] = true;
  }
  for (std::size_t bit = 0; bit < 8 * buffer.size(); ++bit) {
    buffer[bit / 8] ^= std::byte(1U << bit % 8);
    ASSERT_EQ(try_unpack(buffer, {.verify_checksum = false}).has_value(), is_payload[bit / 8]) << "bit " << bit;
    buffer[bit / 8] ^= std::byte(1U << bit % 8);
  }
}

/// Without checksums a flip may yield another buffer, but only one that the writer would have written.
TYPED_TEST(Unpack, WhatIsAcceptedAfterABitFlipPacksToTheSameBytes) {
  std::size_t accepted = 0, rejected = 0;
  for (const auto& sizes : size_sets()) {
    bytes buffer = packed<TypeParam>(sizes, {.checksum = false});
    for (std::size_t bit = 0; bit < 8 * buffer.size(); ++bit) {
      buffer[bit / 8] ^= std::byte(1U << bit % 8);
      if (const auto read = unpack_from<TypeParam>(buffer); read) {
        ++accepted;
        bytes again(buffer.size(), std::byte{0xAA});
        ASSERT_EQ(lading::pack_into<TypeParam>(again, *read, {.checksum = false, .schema = read->schema()}), buffer.size());
        ASSERT_EQ(again, buffer) << "bit " << bit;
      } else {
        ++rejected;
      }
      buffer[bit / 8] ^= std::byte(1U << bit % 8);
    }
  }
  EXPECT_GT(accepted, 0U);
  EXPECT_GT(rejected, 0U);
}

TYPED_TEST(Unpack, LenientViewsStayInsideTheBuffer) {
  std::mt19937_64 random(7);
  std::size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    bytes buffer = packed<TypeParam>({4, 4, 8}, {.checksum = false});
    for (std::uint64_t changes = 1 + random() % 3; changes > 0; --changes) buffer[random() % buffer.size()] = static_cast<std::byte>(random() % 64);
    buffer.resize(buffer.size() - random() % 3);
    const bytes packed = exact(buffer);
    const auto read = unpack_from<TypeParam>(packed, {.strict = false});
    if (!read) continue;
    ++accepted;
    for (const bytes_view item : *read) {
      ASSERT_GE(item.data(), packed.data());
      ASSERT_LE(item.data() + item.size(), packed.data() + packed.size());
    }
  }
  EXPECT_GT(accepted, 100U);
}

TYPED_TEST(Unpack, BuffersMayLieAtAnyAddress) {
  const auto items = payloads({5, 64, 0, 33});
  const bytes buffer = packed_items<TypeParam>(items);
  bytes memory(buffer.size() + 16);
  for (std::size_t shift = 0; shift < 16; ++shift) {
    std::copy(buffer.begin(), buffer.end(), memory.begin() + static_cast<std::ptrdiff_t>(shift));
    const auto read = unpack_from<TypeParam>(bytes_view(memory).subspan(shift, buffer.size()));
    ASSERT_TRUE(read.has_value()) << read.error().message();
    EXPECT_EQ(owned(*read), items);
  }
}

TYPED_TEST(Unpack, IsARangeOfViewsIntoTheBuffer) {
  const auto items = payloads({5, 64, 0, 33});
  const bytes buffer = packed_items<TypeParam>(items);
  auto read = unpack_from<TypeParam>(buffer);
  ASSERT_TRUE(read.has_value());
  EXPECT_FALSE(read->empty());
  ASSERT_EQ(read->size(), 4U);
  EXPECT_EQ(read->end() - read->begin(), 4);
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ((*read)[i].size(), items[i].size());
    EXPECT_GE((*read)[i].data(), buffer.data());
    EXPECT_LE((*read)[i].data(), buffer.data() + buffer.size());
  }
  const bytes_view* const first = read->begin();
  unpacked moved = std::move(*read);
  EXPECT_EQ(moved.begin(), first);
  EXPECT_TRUE(read->empty());
  EXPECT_EQ(read->begin(), read->end());
  unpacked assigned = *unpack_from<TypeParam>(buffer);
  assigned = std::move(moved);
  EXPECT_EQ(owned(assigned), items);
}

/// What a batch does with one object after the other: the block is used again, and a failure leaves nothing of the one before.
TYPED_TEST(Unpack, AnObjectThatExistsIsUsedAgain) {
  const bytes first = packed<TypeParam>({1, 2, 3, 4, 5});
  auto items = *unpack_from<TypeParam>(first);
  const bytes smaller = packed<TypeParam>({70, 80}), larger = packed<TypeParam>(std::vector<std::size_t>(50, 3));
  for (const bytes* const buffer : {&smaller, &larger, &smaller}) {
    ASSERT_TRUE(lading::detail::unpacker::unpack<TypeParam>(*buffer, {}, items).has_value());
    const auto fresh = unpack_from<TypeParam>(*buffer);
    ASSERT_TRUE(fresh.has_value());
    EXPECT_EQ(owned(items), owned(*fresh));
  }
  EXPECT_FALSE(lading::detail::unpacker::unpack<TypeParam>(bytes_view(smaller).first(smaller.size() - 1), {}, items).has_value());
  EXPECT_TRUE(items.empty());
}

TYPED_TEST(Unpack, NoItemsAreAnEmptyRange) {
  const bytes buffer = packed<TypeParam>(std::vector<std::size_t>{});
  const auto read = unpack_from<TypeParam>(buffer);
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->empty());
  EXPECT_EQ(read->begin(), read->end());
}

TYPED_TEST(Unpack, EmptyInputIsTruncated) {
  expect_error(unpack_from<TypeParam>(bytes_view{}), errc::truncated,
               "needs " + std::to_string(TypeParam::header_size) + ", has 0: the buffer ends inside the header");
}

TEST(UnpackAligned, ChecksTheSchemaThatIsExpected) {
  const bytes typed = packed({5}, {.schema = 42}), untyped = packed({5});
  EXPECT_TRUE(try_unpack(typed));
  EXPECT_TRUE(try_unpack(typed, {.expected_schema = 42}));
  expect_error(try_unpack(typed, {.expected_schema = 43}), errc::schema_mismatch,
               "needs 43, has 42: the buffer was packed from a type of another structure");
  EXPECT_TRUE(try_unpack(untyped));
  expect_error(try_unpack(untyped, {.expected_schema = 43}), errc::schema_mismatch, "needs 43, has 0");
}

TEST(UnpackAligned, ReportsStructureThenChecksumThenSchemaThenPayloads) {
  bytes buffer = packed({5, 6}, {.schema = 42});
  const unpack_options options{.expected_schema = 43};
  buffer[192] ^= std::byte{1};  // payload 1... of which nothing is said while something else is wrong
  expect_error(try_unpack(buffer, options), errc::schema_mismatch, "needs 43");
  buffer[24] ^= std::byte{1};
  expect_error(try_unpack(buffer, options), errc::checksum_mismatch, "header and table");
  buffer[140] ^= std::byte{1};
  expect_error(try_unpack(buffer, options), errc::not_canonical, "at offset 140");
}

TEST(UnpackTransferQueue, BuffersAboveTheLayoutsLimitAreRefused) {
  const zeros memory(std::size_t{5} << 30);
  if (memory.view().empty()) GTEST_SKIP() << "no address space";
  expect_error(unpack_from<transfer_queue>(memory.view()), errc::trailing_bytes, "needs 4294967295, has 5368709120");
  expect_error(unpack_from<transfer_queue>(memory.view().first(0xFFFFFFFF)), errc::trailing_bytes, "needs 4, has 4294967295");
  EXPECT_TRUE(unpack_from<transfer_queue>(memory.view(), {.strict = false}));
}

/// A peer that writes the buffer while it is being read: after the header was read it is hostile, after an entry was read the table is.
struct raced : aligned {
  static inline bytes* shared = nullptr;
  static lading::result<lading::packed_header> read_header(const std::byte* place, std::size_t size) {
    EXPECT_FALSE(inside(place)) << "the header is used where the peer can write it";
    auto header = aligned::read_header(place, size);
    lading::detail::store_little<std::uint64_t>(shared->data() + 8, 1'000'000);
    lading::detail::store_little<std::uint64_t>(shared->data() + 16, 1 << 30);
    return header;
  }
  static bool read_entry(const std::byte* place, lading::packed_entry& entry) noexcept {
    EXPECT_FALSE(inside(place)) << "the table is used where the peer can write it";
    std::memset(shared->data() + 64, 0xFF, 64);
    return aligned::read_entry(place, entry);
  }
  static bool inside(const std::byte* place) { return place >= shared->data() && place < shared->data() + shared->size(); }
};

TEST(UnpackRaced, HeaderAndTableAreReadOnce) {
  const auto items = payloads({5, 70});
  for (const bool checksum : {true, false}) {
    bytes buffer = packed_items(items, {.checksum = checksum});
    raced::shared = &buffer;
    const auto read = unpack_from<raced>(buffer);
    ASSERT_TRUE(read.has_value()) << read.error().message();
    EXPECT_EQ(owned(*read), items);
  }
}

#if defined(__SANITIZE_THREAD__)
#define LADING_TEST_RACES 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LADING_TEST_RACES 0
#endif
#endif
#if !defined(LADING_TEST_RACES)
#define LADING_TEST_RACES 1
#endif

TEST(UnpackRaced, ViewsStayInsideWhateverAPeerWrites) {
  if (!LADING_TEST_RACES) GTEST_SKIP() << "the race is the point of this test";
  struct shared_memory {
    bytes buffer = packed<transfer_queue>({40, 40, 40});
    lading::detail::shared_counter stop{0};
  } shared;
  const bytes good = shared.buffer;
  lading::detail::thread writer;
  ASSERT_TRUE(writer.start(
      [](void* context) -> void* {
        auto& memory = *static_cast<shared_memory*>(context);
        volatile std::byte* const table = memory.buffer.data();
        for (std::uint64_t state = 1; memory.stop.load() == 0;) {
          state = state * 6364136223846793005U + 1442695040888963407U;
          const std::size_t at = (state >> 33) % 28;
          const std::byte before = table[at];
          table[at] = static_cast<std::byte>(state >> 56);
          table[at] = before;
        }
        return nullptr;
      },
      &shared));
  std::size_t accepted = 0, rejected = 0;
  for (int round = 0; round < 300'000; ++round) {
    const auto read = unpack_from<transfer_queue>(shared.buffer, {.strict = false});
    ++(read ? accepted : rejected);
    if (!read) continue;
    for (const bytes_view item : *read) {
      ASSERT_TRUE(item.data() >= shared.buffer.data() && item.size() <= shared.buffer.size() &&
                  item.data() - shared.buffer.data() <= static_cast<std::ptrdiff_t>(shared.buffer.size() - item.size()));
    }
  }
  shared.stop.store(1);
  writer.join();
  EXPECT_GT(accepted, 0U);
  EXPECT_EQ(shared.buffer, good);
  RecordProperty("rejected", static_cast<int>(rejected));
}

}  // namespace
