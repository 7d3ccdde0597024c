// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/sequence.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <list>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "support/codec_checks.hpp"

namespace {

using namespace std::string_literals;
using lading::bytes_view;
using lading::errc;
using lading_test::check_twin;
using lading_test::check_value;
using lading_test::exact_bytes;
using lading_test::from_hex;
using lading_test::hex_of;
using lading_test::stream_of;

TEST(sequence, strings_of_every_unit) {
  EXPECT_EQ(hex_of("abc"s), "03000000616263");
  EXPECT_EQ(hex_of(std::u8string(u8"\u00e9")), "02000000c3a9");
  EXPECT_EQ(hex_of(std::u16string(u"ab")), "0200000061006200");
  EXPECT_EQ(hex_of(std::u32string(U"a")), "0100000061000000");
  check_value("a\0b"s, "something longer than the small buffer"s);
  check_value(std::string(100, 'x'), ""s);
  check_value(std::u8string(u8"\u00e9t\u00e9"));
  check_value(std::u16string(u"ab"));
  check_value(std::u32string(U"a\x1f600"));
  check_value(std::wstring(L"wide"));
}

TEST(sequence, elements_lie_at_their_alignment) {
  EXPECT_EQ(hex_of(std::vector<std::uint8_t>{1, 2}), "020000000102");
  EXPECT_EQ(hex_of(std::vector<std::uint16_t>{1}), "010000000100");
  EXPECT_EQ(hex_of(std::vector<std::int64_t>{-1}), "0100000000000000ffffffffffffffff");
  EXPECT_EQ(hex_of(std::vector<double>{}), "0000000000000000");  // there even without elements
  EXPECT_EQ(hex_of(std::vector<std::vector<std::uint8_t>>{{1}, {}}), "02000000010000000100000000");
  __extension__ using wide = __int128;
  EXPECT_EQ(hex_of(std::vector<wide>{1}),
            "01000000000000000000000000000000"
            "01000000000000000000000000000000");
}

TEST(sequence, owning_containers_round_trip) {
  check_value(std::vector<std::int32_t>{1, -2, 3}, std::vector<std::int32_t>(100, 7));
  check_value(std::vector<std::int32_t>{}, std::vector<std::int32_t>(3));
  check_value(std::vector<double>{1.5, -0.0}, std::vector<double>{1});
  check_value(std::vector<std::byte>(9, std::byte{1}));
  check_value(std::vector<std::string>{"a", "", "ccc"}, std::vector<std::string>{"x"});
  check_value(std::vector<std::vector<std::uint16_t>>{{1, 2}, {}, {3}}, std::vector<std::vector<std::uint16_t>>{{9, 9, 9}, {9}, {9}, {9}});
  check_value(std::vector<long double>{1, 2});
  check_value(std::vector<std::array<std::uint8_t, 3>>{{1, 2, 3}, {4, 5, 6}});
}

TEST(sequence, vectors_of_bool_are_bytes) {
  EXPECT_EQ(hex_of(std::vector<bool>{true, false, true}), "03000000010001");
  check_value(std::vector<bool>{true, false, true}, std::vector<bool>(70, true));
  check_value(std::vector<std::vector<bool>>{{true}, {}});
  EXPECT_EQ(lading::decode_from<std::vector<bool>>(from_hex("0100000002")).error().code(), errc::invalid_value);
}

TEST(sequence, other_containers_share_the_format) {
  const std::string expected = hex_of(std::vector<std::uint32_t>{1, 2, 3});
  EXPECT_EQ(hex_of(std::deque<std::uint32_t>{1, 2, 3}), expected);
  EXPECT_EQ(hex_of(std::list<std::uint32_t>{1, 2, 3}), expected);
  EXPECT_EQ(hex_of(std::forward_list<std::uint32_t>{1, 2, 3}), expected);
  check_value(std::deque<std::uint32_t>{1, 2, 3}, std::deque<std::uint32_t>(9, 9));
  check_value(std::list<std::string>{"a", "bb"}, std::list<std::string>{"x", "y", "z"});
  check_value(std::forward_list<std::uint32_t>{1, 2, 3}, std::forward_list<std::uint32_t>{9});
  check_value(std::deque<bool>{true, false});
}

/// Remembers nothing, but is not std::allocator.
template <class T>
struct plain_allocator {
  using value_type = T;
  plain_allocator() = default;
  template <class Other>
  plain_allocator(const plain_allocator<Other>&) noexcept {}
  T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* memory, std::size_t count) { std::allocator<T>().deallocate(memory, count); }
  friend bool operator==(const plain_allocator&, const plain_allocator&) { return true; }
};

TEST(sequence, custom_allocators) {
  check_value(std::vector<std::int16_t, plain_allocator<std::int16_t>>{1, 2});
  check_value(std::basic_string<char, std::char_traits<char>, plain_allocator<char>>("text"));
  check_value(std::pmr::vector<std::pmr::string>{"one", "two"});

  std::array<std::byte, 4096> arena;
  std::pmr::monotonic_buffer_resource resource(arena.data(), arena.size(), std::pmr::null_memory_resource());
  std::pmr::vector<std::pmr::string> decoded(&resource);
  ASSERT_TRUE(lading::decode_into(decoded, stream_of(std::vector<std::string>(5, "a string that does not fit its small buffer"))).has_value());
  EXPECT_EQ(decoded.size(), 5U);
  EXPECT_EQ(decoded[4].get_allocator().resource(), &resource);

  std::pmr::vector<std::pmr::string> starved(std::pmr::null_memory_resource());
  const auto refused = lading::decode_into(starved, stream_of(std::vector<std::string>{"x"}));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), errc::no_memory);
}

TEST(sequence, move_only_elements) {
  std::vector<std::unique_ptr<int>> pointers;
  pointers.push_back(std::make_unique<int>(7));
  pointers.push_back(nullptr);
  const auto decoded = lading::decode_from<std::vector<std::unique_ptr<int>>>(stream_of(pointers));
  ASSERT_TRUE(decoded.has_value());
  ASSERT_EQ(decoded->size(), 2U);
  EXPECT_EQ(*(*decoded)[0], 7);
  EXPECT_EQ((*decoded)[1], nullptr);
}

TEST(sequence, paths_keep_their_characters) {
  EXPECT_EQ(hex_of(std::filesystem::path("a/../b")), "06000000612f2e2e2f62");
  check_value(std::filesystem::path("/a//b/"), std::filesystem::path("stale"));
  check_value(std::filesystem::path());
}

TEST(sequence, views_read_what_owners_write) {
  check_twin<std::string_view>("text"s);
  check_twin<std::u16string_view>(std::u16string(u"text"));
  check_twin<std::wstring_view>(std::wstring(L"text"));
  check_twin<bytes_view>(std::vector<std::byte>(5, std::byte{1}));
  check_twin<std::span<const double>>(std::vector<double>{1, 2, 3});
  check_twin<std::span<const bool>>(std::deque<bool>{true, false});
  check_twin<std::span<const long double>>(std::vector<long double>{1, 2, 3});
  check_twin<std::span<const std::array<float, 3>>>(std::vector<std::array<float, 3>>(2));
  check_twin<std::vector<std::string_view>>(std::vector<std::string>{"a", "b"});
}

TEST(sequence, views_point_into_the_buffer) {
  const exact_bytes stream(bytes_view{stream_of(std::vector<std::int32_t>{1, 2, 3})});
  const bytes_view source = stream.view();
  const auto view = lading::decode_from<std::span<const std::int32_t>>(source);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(static_cast<const void*>(view->data()), source.data() + 4);
  EXPECT_EQ((*view)[2], 3);
}

TEST(sequence, views_of_any_span_are_written) {
  std::int32_t numbers[2] = {1, 2};
  EXPECT_EQ(hex_of(std::span<std::int32_t>(numbers)), "020000000100000002000000");
  EXPECT_EQ(hex_of(std::span<std::int32_t, 2>(numbers)), "020000000100000002000000");
  EXPECT_EQ(hex_of(std::span<const std::int32_t, 2>(numbers)), "020000000100000002000000");
}

TEST(sequence, misaligned_views_are_refused_and_owners_are_not) {
  const std::vector<std::byte> stream = stream_of(std::vector<std::int64_t>{1, 2});
  alignas(64) std::byte memory[64 + 64] = {};
  for (std::size_t shift = 0; shift < 16; ++shift) {
    std::memcpy(memory + shift, stream.data(), stream.size());
    const bytes_view source(memory + shift, stream.size());
    const auto view = lading::decode_from<std::span<const std::int64_t>>(source);
    if (shift % 8 == 0) {
      ASSERT_TRUE(view.has_value());
    } else {
      ASSERT_FALSE(view.has_value());
      ASSERT_EQ(view.error().code(), errc::misaligned);
      ASSERT_EQ(view.error().details().needed, 8U);
      ASSERT_NE(view.error().message().find("decode owning values"), std::string::npos);
    }
    ASSERT_EQ(lading::decode_from<std::vector<std::int64_t>>(source), (std::vector<std::int64_t>{1, 2})) << shift;
    ASSERT_EQ(lading::decode_from<std::deque<std::int64_t>>(source), (std::deque<std::int64_t>{1, 2})) << shift;
    ASSERT_TRUE(lading::decode_from<std::string_view>(source.first(4)).has_value() == false);
  }
}

TEST(sequence, padding_before_elements_is_zero) {
  const std::vector<std::byte> stream = from_hex(
      "0100000000000000"
      "0100000000000000");
  ASSERT_TRUE(lading::decode_from<std::vector<std::int64_t>>(stream).has_value());
  for (std::size_t i = 4; i < 8; ++i) {
    std::vector<std::byte> changed = stream;
    changed[i] = std::byte{0x80};
    const auto decoded = lading::decode_from<std::vector<std::int64_t>>(changed);
    ASSERT_FALSE(decoded.has_value());
    EXPECT_EQ(decoded.error().message(), "not_canonical: at offset 4: the padding before an array is not zero");
  }
  const auto empty = lading::decode_from<std::vector<std::int64_t>>(from_hex("0000000000000001"));
  ASSERT_FALSE(empty.has_value());
  EXPECT_EQ(empty.error().code(), errc::not_canonical);
}

TEST(sequence, marks_of_frames_are_no_part_of_a_stream) {
  const auto mark = from_hex("ffffffff");
  EXPECT_EQ(lading::decode_from<std::vector<std::int32_t>>(mark).error().code(), errc::truncated);
  EXPECT_EQ(lading::decode_from<std::string>(mark).error().message(),
            "truncated: needs 2, has 0, at offset 4: the stream refers to a frame; decode it with decode()");
  EXPECT_EQ(lading::decode_from<std::span<const char>>(mark).error().code(), errc::truncated);
  EXPECT_EQ(lading::decode_from<std::vector<std::string>>(mark).error().code(), errc::not_canonical);
  EXPECT_FALSE(lading::decode_from<std::vector<bool>>(mark).has_value());
  EXPECT_FALSE(lading::decode_from<std::filesystem::path>(mark).has_value());
}

TEST(sequence, reading_over_an_object_reuses_its_memory) {
  std::vector<std::string> value{std::string(100, 'a'), std::string(100, 'b'), std::string(100, 'c')};
  const char* const first = value[0].data();
  const auto* const block = value.data();
  ASSERT_TRUE(lading::decode_into(value, stream_of(std::vector<std::string>{std::string(50, 'x'), ""})).has_value());
  EXPECT_EQ(value, (std::vector<std::string>{std::string(50, 'x'), ""}));
  EXPECT_EQ(value.data(), block);
  EXPECT_EQ(value[0].data(), first);
}

}  // namespace
