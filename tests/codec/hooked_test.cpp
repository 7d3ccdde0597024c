// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/hooked.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include <lading/codec/schema.hpp>

#include "support/codec_checks.hpp"

namespace {

/// Fixed size, an invariant, no default constructor.
class port {
 public:
  static lading::result<port> of(std::uint16_t number) {
    if (number == 0) return lading::fail(lading::errc::invalid_value, {.what = "no port is 0"});
    return port(number);
  }
  [[nodiscard]] std::uint16_t number() const { return number_; }
  friend bool operator==(const port&, const port&) = default;
  [[maybe_unused]] friend auto operator<=>(const port&, const port&) = default;

 private:
  explicit port(std::uint16_t number) : number_(number) {}
  std::uint16_t number_;
};

/// Variable size, lends a reference to what it holds.
class name {
 public:
  name() = default;
  explicit name(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] const std::string& text() const { return text_; }
  friend bool operator==(const name&, const name&) = default;
  [[maybe_unused]] friend auto operator<=>(const name&, const name&) = default;

 private:
  std::string text_;
};

/// Its representation is a temporary.
class samples {
 public:
  samples() = default;
  explicit samples(std::vector<std::int32_t> numbers) : numbers_(std::move(numbers)) {}
  [[nodiscard]] std::vector<std::int32_t> doubled() const {
    std::vector<std::int32_t> made = numbers_;
    for (std::int32_t& number : made) number *= 2;
    return made;
  }
  friend bool operator==(const samples&, const samples&) = default;

 private:
  std::vector<std::int32_t> numbers_;
};

/// Writes a view of itself; only encoded.
struct label {
  explicit label(const char* text) : text_(text) {}
  const char* text_;
};

/// A hook whose representation has a hook.
class endpoint {
 public:
  explicit endpoint(port number) : port_(number) {}
  [[nodiscard]] const port& number() const { return port_; }
  friend bool operator==(const endpoint&, const endpoint&) = default;

 private:
  port port_;
};

/// A hook that contains itself, in private.
class json {
 public:
  using choice = std::variant<std::monostate, double, std::string, std::vector<json>>;
  json() = default;
  explicit json(choice value) : value_(std::move(value)) {}
  [[nodiscard]] const choice& value() const { return value_; }
  friend bool operator==(const json& left, const json& right) { return left.value_ == right.value_; }

 private:
  choice value_;
};

}  // namespace

template <>
struct lading::codec<json> {
  static const json::choice& to(const json& value) noexcept { return value.value(); }
  static result<json> from(json::choice value) { return json(std::move(value)); }
};
template <>
struct lading::codec<port> {
  static std::uint16_t to(const port& value) noexcept { return value.number(); }
  static result<port> from(std::uint16_t number) { return port::of(number); }
};
template <>
struct lading::codec<name> {
  static const std::string& to(const name& value) noexcept { return value.text(); }
  static result<name> from(std::string text) {
    if (text.starts_with("bad")) return fail(errc::already_exists);
    return name(std::move(text));
  }
};
template <>
struct lading::codec<samples> {
  static std::vector<std::int32_t> to(const samples& value) { return value.doubled(); }
  static result<samples> from(std::vector<std::int32_t> doubled) {
    for (std::int32_t& number : doubled) {
      if (number % 2 != 0) return fail(errc::invalid_value);
      number /= 2;
    }
    return samples(std::move(doubled));
  }
};
template <>
struct lading::codec<label> {
  static std::string_view to(const label& value) noexcept { return value.text_; }
};
template <>
struct lading::codec<endpoint> {
  static const port& to(const endpoint& value) noexcept { return value.number(); }
  static result<endpoint> from(port number) { return endpoint(number); }
};

namespace {

using lading::errc;
using lading_test::check_value;
using lading_test::from_hex;
using lading_test::hex_of;
using lading_test::stream_of;

port http() { return *port::of(80); }

static_assert(lading::schema_of<port>() == lading::schema_of<std::uint16_t>());
static_assert(lading::schema_of<name>() == lading::schema_of<std::string>());
static_assert(lading::schema_of<endpoint>() == lading::schema_of<std::uint16_t>());

TEST(hooked, on_the_wire_a_type_is_its_representation) {
  EXPECT_EQ(hex_of(http()), "5000");
  EXPECT_EQ(hex_of(name("x")), "0100000078");
  EXPECT_EQ(hex_of(samples({1, 2})), hex_of(std::vector<std::int32_t>{2, 4}));
  EXPECT_EQ(hex_of(label("x")), "0100000078");
  EXPECT_EQ(hex_of(endpoint(http())), "5000");
}

TEST(hooked, round_trips) {
  check_value(http(), *port::of(1));
  check_value(name("x"), name("stale"));
  check_value(name("a name that is longer than the small buffer of a string"));
  check_value(samples({1, -2}), samples({3}));
}

TEST(hooked, without_a_default_constructor_anywhere) {
  static_assert(!std::is_default_constructible_v<port> && !std::is_default_constructible_v<endpoint>);
  check_value(std::vector<port>{http(), *port::of(443)}, std::vector<port>(3, *port::of(1)));
  check_value(std::map<std::uint8_t, port>{{1, http()}}, std::map<std::uint8_t, port>{{2, *port::of(7)}});
  check_value(std::optional<port>(http()), std::optional<port>(*port::of(7)));
  check_value(std::optional<port>());
  check_value(std::variant<std::monostate, port>(http()), std::variant<std::monostate, port>(*port::of(7)));
  const auto pointer = lading::decode_from<std::unique_ptr<port>>(from_hex("015000"));
  ASSERT_TRUE(pointer.has_value());
  EXPECT_EQ((*pointer)->number(), 80);
}

TEST(hooked, hooks_of_hooks) {
  EXPECT_EQ(lading::decode_from<std::vector<endpoint>>(from_hex("01000000"
                                                                "5000")),
            (std::vector<endpoint>{endpoint(http())}));
  EXPECT_EQ(lading::decode_from<endpoint>(from_hex("5000")), endpoint(http()));
  EXPECT_EQ(lading::decode_from<endpoint>(from_hex("0000")).error().code(), errc::invalid_value);
}

struct holder {
  std::uint8_t a;
  name b;
  std::optional<port> c;
  samples d;
  friend bool operator==(const holder&, const holder&) = default;
};

TEST(hooked, members) { check_value(holder{1, name("x"), http(), samples({5})}, holder{2, name("stale"), *port::of(1), samples({9, 9})}); }

TEST(hooked, what_from_returns_is_what_decoding_returns) {
  const auto refused = lading::decode_from<port>(from_hex("0000"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message(), "invalid_value: at offset 0: no port is 0");
  EXPECT_EQ(lading::decode_from<std::vector<port>>(from_hex("02000000"
                                                            "5000"
                                                            "0000"))
                .error()
                .message(),
            "invalid_value: at offset 6: no port is 0");
  EXPECT_EQ((lading::decode_from<std::map<std::uint8_t, port>>(from_hex("01000000"
                                                                        "01"
                                                                        "0000"))
                 .error()
                 .code()),
            errc::invalid_value);
  EXPECT_EQ(lading::decode_from<std::optional<port>>(from_hex("010000")).error().code(), errc::invalid_value);
  EXPECT_EQ(lading::decode_from<name>(stream_of(std::string("bad"))).error().code(), errc::already_exists);
  EXPECT_TRUE(lading::decode_from<name>(stream_of(std::string("good"))).has_value());
  name value("before");
  EXPECT_FALSE(lading::decode_into(value, stream_of(std::string("bad"))).has_value());
}

TEST(hooked, only_lasting_representations_are_lent_to_frames) {
  const name long_name(std::string(100, 'n'));
  const auto lent = lading::encode(long_name, {.out_of_band_threshold = 50});
  ASSERT_TRUE(lent.has_value());
  ASSERT_EQ(lent->size(), 2U);
  EXPECT_EQ(static_cast<const void*>((*lent)[1].data()), long_name.text().data());
  const samples numbers(std::vector<std::int32_t>(100, 1));
  const auto copied = lading::encode(numbers, {.out_of_band_threshold = 50});
  ASSERT_TRUE(copied.has_value());
  EXPECT_EQ(copied->size(), 1U);
  EXPECT_EQ(lading::decode<samples>(*copied), numbers);
}

TEST(hooked, a_hook_may_contain_itself) {
  const json value(std::vector<json>{json(1.5), json(std::string("a")), json(std::vector<json>{json(), json(std::vector<json>())})});
  check_value(value, json(std::string("stale")));
  check_value(std::vector<json>{value, json()});
  static_assert(lading::schema_of<json>() != lading::schema_of<std::vector<json>>());
  json deep;
  for (int i = 0; i < 1100; ++i) deep = json(std::vector<json>{deep});
  EXPECT_EQ(lading::encode(deep).error().code(), errc::limit_exceeded);
  std::vector<std::byte> bomb;
  for (int i = 0; i < 100'000; ++i) bomb.insert(bomb.end(), {std::byte{3}, std::byte{1}, std::byte{0}, std::byte{0}, std::byte{0}});
  EXPECT_EQ(lading::decode_from<json>(bomb).error().code(), errc::limit_exceeded);
}

}  // namespace
