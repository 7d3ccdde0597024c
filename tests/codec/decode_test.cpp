// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/codec/decode.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <lading/codec/encode.hpp>
#include <lading/codec/schema.hpp>

namespace decode_test {

class celsius {
 public:
  celsius() = default;
  explicit celsius(double degrees) : degrees_(degrees) {}
  [[nodiscard]] double degrees() const { return degrees_; }

 private:
  double degrees_ = 0;
};

class port {  // no default constructor
 public:
  explicit port(std::uint16_t number) : number_(number) {}
  [[nodiscard]] std::uint16_t number() const { return number_; }

 private:
  std::uint16_t number_;
};

}  // namespace decode_test

template <>
struct lading::codec<decode_test::celsius> {
  static double to(const decode_test::celsius& value) { return value.degrees(); }
  static lading::result<decode_test::celsius> from(double degrees) { return decode_test::celsius(degrees); }
};

template <>
struct lading::codec<decode_test::port> {
  static std::uint16_t to(const decode_test::port& value) { return value.number(); }
  static lading::result<decode_test::port> from(std::uint16_t number) {
    if (number == 0) return lading::fail(lading::errc::invalid_value, {.what = "a port is not 0"});
    return decode_test::port(number);
  }
};

namespace {

using decode_test::celsius;
using decode_test::port;

struct cell {
  std::int32_t x, y;
};

// What may travel as a frame follows from the wire, not from how the reader's type lies in memory: the same schema decodes at every size.
TEST(decode, a_frame_suits_every_type_of_its_schema) {
  static_assert(lading::schema_of<std::vector<cell>>() == lading::schema_of<std::vector<std::pair<std::int32_t, std::int32_t>>>());
  for (const std::size_t count : {std::size_t{100}, std::size_t{5000}}) {
    std::vector<cell> cells(count);
    for (std::size_t i = 0; i < count; ++i) cells[i] = {static_cast<std::int32_t>(i), -static_cast<std::int32_t>(i)};
    const auto sent = lading::encode(cells);
    ASSERT_TRUE(sent.has_value());
    EXPECT_EQ(sent->size(), count == 100 ? 1U : 2U);
    const auto read = lading::decode<std::vector<std::pair<std::int32_t, std::int32_t>>>(*sent);
    ASSERT_TRUE(read.has_value()) << read.error().message();
    ASSERT_EQ(read->size(), count);
    EXPECT_EQ(read->back(), std::pair(cells.back().x, cells.back().y));

    const std::vector<double> degrees(count, 21.5);
    const auto temperatures = lading::encode(degrees);
    ASSERT_TRUE(temperatures.has_value());
    const auto hooked = lading::decode<std::vector<celsius>>(*temperatures);
    ASSERT_TRUE(hooked.has_value()) << hooked.error().message();
    EXPECT_EQ(hooked->at(count - 1).degrees(), 21.5);
  }
}

TEST(decode, a_type_without_default_constructor_comes_from_its_codec) {
  const port sent{443};
  const auto frames = lading::encode(sent);
  ASSERT_TRUE(frames.has_value());
  const auto read = lading::decode<port>(*frames);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(read->number(), 443);

  const std::array<std::byte, 2> zero{};
  const std::vector<lading::bytes_view> refused{zero};
  const auto none = lading::decode<port>(refused);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().message(), "invalid_value: at offset 0: a port is not 0");
  const std::vector<lading::bytes_view> too_many{(*frames)[0], zero};
  EXPECT_EQ(lading::decode<port>(too_many).error().code(), lading::errc::trailing_bytes);
  EXPECT_EQ(lading::decode<port>(std::vector<lading::bytes_view>{}).error().code(), lading::errc::truncated);
}

struct heavy {
  std::array<float, std::size_t{1} << 20> weights;  // 4 MiB
  std::string name;
};

// A thread's stack is 8 MiB: there is room for one T, not for a second.
TEST(decode, a_large_struct_is_made_where_it_is_returned) {
  const auto sent = std::make_unique<heavy>();
  sent->weights.back() = 7;
  sent->name = "layer";
  std::vector<std::byte> stream(lading::encoded_size(*sent));
  ASSERT_TRUE(lading::encode_into(*sent, stream).has_value());
  const auto into = std::make_unique<heavy>();
  ASSERT_TRUE(lading::decode_into(*into, lading::bytes_view(stream)).has_value());
  EXPECT_EQ(into->weights.back(), 7);
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
  std::thread([&] {
    const auto read = lading::decode_from<heavy>(lading::bytes_view(stream));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->weights.back(), 7);
    EXPECT_EQ(read->name, "layer");
  }).join();
#endif
}

// A peer may write the buffer while it is read: what was checked is what arrives.
TEST(decode, bools_are_bools_whatever_a_writer_does) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the race is the test";
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "the race is the test";
#endif
#endif
  struct flags {
    std::array<bool, 64> set;
  };
  alignas(64) std::array<std::byte, 64> shared{};
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    // Safety: the race is what is tested; volatile keeps each write.
    for (volatile std::byte* at = shared.data(); !stop.load(std::memory_order_relaxed);) {
      at[63] = std::byte{2};
      at[63] = std::byte{1};
    }
  });
  std::size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    const auto read = lading::decode_from<flags>(lading::bytes_view(shared));
    if (!read) continue;
    ++accepted;
    unsigned char bit = 0;
    std::memcpy(&bit, &read->set[63], 1);
    ASSERT_LE(bit, 1);
  }
  stop = true;
  writer.join();
  RecordProperty("accepted", std::to_string(accepted));
}

}  // namespace
