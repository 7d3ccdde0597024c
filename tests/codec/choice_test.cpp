// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/choice.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include <gtest/gtest.h>
#if __has_include(<tl/expected.hpp>)
#include <tl/expected.hpp>
#endif
#if __has_include(<expected>)
#include <expected>
#endif

#include "support/codec_checks.hpp"

namespace {

using namespace std::string_literals;
using lading::errc;
using lading_test::check_encoding;
using lading_test::check_twin;
using lading_test::check_value;
using lading_test::from_hex;
using lading_test::hex_of;
using lading_test::stream_of;

TEST(choice, optional) {
  using text = std::optional<std::string>;
  EXPECT_EQ(hex_of(std::optional<std::uint16_t>()), "00");
  EXPECT_EQ(hex_of(std::optional<std::uint16_t>(0x0102)), "010201");
  check_value(text("x"), text());
  check_value(text("x"), text("stale and long enough for the heap"));
  check_value(text(), text("stale"));
  check_value(std::optional<std::optional<std::uint8_t>>(std::optional<std::uint8_t>()), std::optional<std::optional<std::uint8_t>>(3));
  check_value(std::optional<bool>(true));
  check_value(std::optional<std::vector<double>>(std::vector<double>{1, 2}));
  check_twin<std::optional<std::string_view>>(text("x"));
}

TEST(choice, an_engaged_optional_is_reused) {
  std::optional<std::string> value(std::string(100, 'a'));
  const char* const memory = value->data();
  ASSERT_TRUE(lading::decode_into(value, stream_of(std::optional<std::string>(std::string(90, 'b')))).has_value());
  EXPECT_EQ(value, std::string(90, 'b'));
  EXPECT_EQ(value->data(), memory);
}

TEST(choice, unique_pointers_are_optionals) {
  EXPECT_EQ(hex_of(std::make_unique<std::uint16_t>(std::uint16_t{0x0102})), "010201");
  EXPECT_EQ(hex_of(std::unique_ptr<std::uint16_t>()), "00");
  auto value = std::make_unique<std::string>("x");
  check_value<std::unique_ptr<std::string>>(nullptr, std::make_unique<std::string>("stale"));
  std::unique_ptr<std::string> stale = std::make_unique<std::string>("stale");
  const std::string* const object = stale.get();
  ASSERT_TRUE(lading::decode_into(stale, stream_of(value)).has_value());
  EXPECT_EQ(stale.get(), object);
  EXPECT_EQ(*stale, "x");
}

TEST(choice, variants) {
  using many = std::variant<std::monostate, std::uint16_t, std::string, std::vector<std::uint32_t>, std::uint16_t>;
  EXPECT_EQ(hex_of(many()), "00");
  EXPECT_EQ(hex_of(many(std::in_place_index<1>, std::uint16_t{7})), "010700");
  EXPECT_EQ(hex_of(many(std::in_place_index<4>, std::uint16_t{7})), "040700");
  EXPECT_EQ(hex_of(many("x"s)), "020100000078");
  check_value(many(), many("stale"s));
  check_value(many("x"s), many(std::vector<std::uint32_t>{1}));
  check_value(many("x"s), many("stale"s));
  check_value(many(std::vector<std::uint32_t>{1, 2}), many("stale"s));
  check_value(many(std::in_place_index<4>, std::uint16_t{7}), many(std::in_place_index<1>, std::uint16_t{9}));
  check_twin<std::variant<std::uint8_t, std::string_view>>(std::variant<std::uint8_t, std::string>("x"));
}

TEST(choice, every_other_tag_is_refused) {
  for (unsigned tag = 0; tag < 256; ++tag) {
    const std::byte bytes[3] = {static_cast<std::byte>(tag)};
    const lading::bytes_view one(bytes, 1), all(bytes);
    const auto optional = lading::decode_from<std::optional<std::uint16_t>>(tag == 0 ? one : all);
    ASSERT_EQ(optional.has_value(), tag < 2);
    const auto pointer = lading::decode_from<std::unique_ptr<std::uint16_t>>(tag == 0 ? one : all);
    ASSERT_EQ(pointer.has_value(), tag < 2);
    const auto variant = lading::decode_from<std::variant<std::uint16_t, std::uint16_t, std::uint16_t>>(all);
    ASSERT_EQ(variant.has_value(), tag < 3);
    if (tag >= 3) {
      ASSERT_EQ(optional.error().code(), errc::invalid_value);
      ASSERT_EQ(pointer.error().code(), errc::invalid_value);
      ASSERT_EQ(variant.error().message(), "invalid_value: at offset 0: no alternative of an optional, expected or variant has this number");
    }
  }
}

template <std::size_t... Index>
auto wide_variant(std::index_sequence<Index...>) -> std::variant<std::integral_constant<std::size_t, Index>...>;

TEST(choice, many_alternatives) {
  using wide = decltype(wide_variant(std::make_index_sequence<64>{}));
  wide value;
  value.emplace<63>();
  EXPECT_EQ(hex_of(value), "3f");
  const auto decoded = lading::decode_from<wide>(from_hex("3e"));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->index(), 62U);
  EXPECT_EQ(lading::decode_from<wide>(from_hex("40")).error().code(), errc::invalid_value);
}

struct throws_when_copied {
  throws_when_copied() = default;
  throws_when_copied(const throws_when_copied&) { throw 1; }
  throws_when_copied& operator=(const throws_when_copied&) = default;
};

}  // namespace
template <>
struct lading::codec<throws_when_copied> {
  static std::uint8_t to(const throws_when_copied&) { return 0; }
};
namespace {

TEST(choice, a_variant_without_a_value_is_not_encoded) {
  std::variant<std::uint8_t, throws_when_copied> value;
  const throws_when_copied bad;
  EXPECT_EQ(hex_of(value), "0000");
  EXPECT_THROW(value.emplace<1>(bad), int);
  ASSERT_TRUE(value.valueless_by_exception());
  std::byte target[8];
  const auto written = lading::encode_into(value, target);
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().message(), "invalid_value: a variant lost its value to an exception");
  EXPECT_EQ(lading::encode(value).error().code(), errc::invalid_value);
}

template <template <class, class> class Expected, class Unexpected>
void check_expected(Unexpected unexpected) {
  using text = Expected<std::string, std::uint16_t>;
  EXPECT_EQ(hex_of(text("x")), "010100000078");
  EXPECT_EQ(hex_of(text(unexpected(std::uint16_t{5}))), "000500");
  check_value(text("x"), text(unexpected(std::uint16_t{5})));
  check_value(text(unexpected(std::uint16_t{5})), text("stale"));
  using nothing = Expected<void, std::string>;
  EXPECT_EQ(hex_of(nothing()), "01");
  check_encoding(nothing(), nothing(unexpected("stale"s)));
  check_encoding(nothing(unexpected("bad"s)), nothing());
  using same = Expected<std::uint8_t, std::uint8_t>;
  check_value(same(std::uint8_t{1}), same(unexpected(std::uint8_t{2})));
  check_value(same(unexpected(std::uint8_t{1})), same(std::uint8_t{2}));
  using move_only = Expected<std::unique_ptr<int>, std::uint8_t>;
  const auto decoded = lading::decode_from<move_only>(stream_of(move_only(std::make_unique<int>(3))));
  ASSERT_TRUE(decoded.has_value() && decoded->has_value());
  EXPECT_EQ(***decoded, 3);
  using flags = Expected<bool, bool>;
  check_value(flags(false), flags(unexpected(true)));
}

#if __has_include(<tl/expected.hpp>)
TEST(choice, tl_expected) {
  check_expected<tl::expected>([]<class Error>(Error error) { return tl::unexpected<Error>(std::move(error)); });
}
#endif
#if defined(__cpp_lib_expected) && __cpp_lib_expected >= 202202L
TEST(choice, std_expected) {
  check_expected<std::expected>([]<class Error>(Error error) { return std::unexpected<Error>(std::move(error)); });
}
#endif

TEST(choice, truncation_names_the_byte) {
  EXPECT_EQ(lading::decode_from<std::optional<std::uint16_t>>(from_hex("01")).error().message(),
            "truncated: needs 2, has 0, at offset 1: the input ends inside a value");
}

}  // namespace
