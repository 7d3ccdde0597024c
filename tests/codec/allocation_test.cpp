// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// What the codec allocates: nothing while encoding into memory, little for hostile input; and what happens where there is no memory.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "support/codec_checks.hpp"

namespace {

constexpr std::size_t never = ~std::size_t{0};
thread_local std::size_t allocations = 0, live_bytes = 0, peak_bytes = 0, fail_after = never;
thread_local bool counting = false;

/// Before each block: its size, so that what is live can be counted.
constexpr std::size_t prefix = 64;

void* counted(std::size_t size, std::size_t alignment) noexcept {
  if (counting) {
    ++allocations;
    if (fail_after == 0) return nullptr;
    if (fail_after != never) --fail_after;
  }
  const std::size_t unit = std::max(alignment, prefix);
  auto* const block = static_cast<std::byte*>(std::aligned_alloc(unit, (size + unit + unit - 1) / unit * unit));
  if (block == nullptr) return nullptr;
  const std::size_t kept[2] = {unit, counting ? size : 0};
  std::memcpy(block + unit - sizeof(kept), kept, sizeof(kept));
  if (counting) peak_bytes = std::max(peak_bytes, live_bytes += size);
  return block + unit;
}

void* counted_or_throw(std::size_t size, std::size_t alignment) {
  void* const memory = counted(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void released(void* memory) noexcept {
  if (memory == nullptr) return;
  std::size_t kept[2];
  std::memcpy(kept, static_cast<std::byte*>(memory) - sizeof(kept), sizeof(kept));
  if (counting) live_bytes -= std::min(live_bytes, kept[1]);
  std::free(static_cast<std::byte*>(memory) - kept[0]);
}

}  // namespace

void* operator new(std::size_t size) { return counted_or_throw(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t size, std::align_val_t alignment) { return counted_or_throw(size, static_cast<std::size_t>(alignment)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return counted(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return counted(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size) { return counted_or_throw(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new[](std::size_t size, std::align_val_t alignment) { return counted_or_throw(size, static_cast<std::size_t>(alignment)); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return counted(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { released(memory); }
void operator delete(void* memory, std::size_t) noexcept { released(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { released(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { released(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { released(memory); }
void operator delete[](void* memory) noexcept { released(memory); }
void operator delete[](void* memory, std::size_t) noexcept { released(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { released(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { released(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { released(memory); }

namespace {

using lading::errc;
using lading_test::stream_of;

/// Counts while it lives.
struct counted_scope {
  explicit counted_scope(std::size_t failing = never) {
    allocations = live_bytes = peak_bytes = 0;
    fail_after = failing;
    counting = true;
  }
  ~counted_scope() {
    counting = false;
    fail_after = never;
  }
  counted_scope(const counted_scope&) = delete;
  counted_scope& operator=(const counted_scope&) = delete;
};

struct sample {
  std::int64_t id;
  std::string uid;
  std::vector<std::int32_t> tokens;
  std::map<std::string, std::vector<float>> features;
  std::unordered_map<std::string, bool> flags;
  std::optional<std::string> note;
  std::variant<std::monostate, std::string, std::vector<std::string>> choice;
  std::unique_ptr<std::string> pointer;
  std::list<std::string> names;
  std::vector<bool> mask;
  std::set<std::string> keys;
  lading::tensor weights;
  lading::jagged rows;
};

const char* const long_text = "a string that is too long for the small buffer of any implementation";

sample make_sample() {
  sample value{};
  value.id = 7;
  value.uid = long_text;
  value.tokens.assign(100, 5);
  value.features = {{long_text, {1, 2, 3}}, {"b", {}}};
  value.flags = {{long_text, true}, {"y", false}};
  value.note = long_text;
  value.choice = std::vector<std::string>{long_text, "z"};
  value.pointer = std::make_unique<std::string>(long_text);
  value.names = {long_text, "n"};
  value.mask.assign(70, true);
  value.keys = {long_text, "k"};
  value.weights = *lading::tensor::of(std::vector<float>(12, 0.5F), {1, 1, 1, 1, 1, 1, 1, 1, 3, 4});
  const std::vector<std::int64_t> lengths{1, 2};
  value.rows = *lading::jagged::uninitialized(lading::dtype::int64, lengths, {2});
  std::memset(value.rows.bytes().data(), 1, value.rows.size_bytes());
  return value;
}

TEST(codec_allocation, the_counter_counts) {
  const counted_scope scope;
  auto made = std::make_unique<std::vector<std::byte>>(100);
  const std::size_t seen = allocations;
  made.reset();
  EXPECT_EQ(seen, 2U);
  EXPECT_EQ(live_bytes, 0U);
  EXPECT_GE(peak_bytes, 100U);
}

TEST(codec_allocation, encoding_into_memory_allocates_nothing) {
  const sample value = make_sample();
  std::vector<std::byte> target(lading::encoded_size(value));
  std::byte small[16];
  std::size_t made = 0;
  bool fine = false;
  {
    const counted_scope scope;
    fine = lading::encoded_size(value) == target.size() && lading::encode_into(value, target).has_value() &&
           !lading::encode_into(value, small).has_value();
    made = allocations;
  }
  EXPECT_TRUE(fine);
  EXPECT_EQ(made, 0U);
}

TEST(codec_allocation, reading_views_allocates_nothing) {
  struct owner {
    std::string a;
    std::vector<double> b;
  };
  struct view {
    std::string_view a;
    std::span<const double> b;
  };
  const std::vector<std::byte> stream = stream_of(owner{long_text, std::vector<double>(100)});
  const counted_scope scope;
  const bool fine = lading::decode_from<view>(stream).has_value();
  EXPECT_EQ(allocations, 0U);
  EXPECT_TRUE(fine);
}

TEST(codec_allocation, reading_over_the_same_value_again_allocates_nothing) {
  struct reused {
    std::string a;
    std::vector<std::vector<int>> b;
    std::optional<std::string> c;
    std::variant<int, std::string> d;
    std::unique_ptr<std::string> e;
    std::vector<std::string> f;
    lading::tensor g;
  };
  reused value{long_text,
               {{1, 2}, {3}},
               long_text,
               long_text,
               std::make_unique<std::string>(long_text),
               {long_text},
               *lading::tensor::of(std::vector<int>{1, 2})};
  const std::vector<std::byte> stream = stream_of(value);
  const counted_scope scope;
  const bool fine = lading::decode_into(value, stream).has_value();
  EXPECT_EQ(allocations, 0U);
  EXPECT_TRUE(fine);
}

/// The most memory that reading `input` as a T ever holds.
template <class T>
std::size_t peak_of(const std::vector<std::byte>& input) {
  const counted_scope scope;
  (void)lading::decode_from<T>(input);
  return peak_bytes;
}

/// `factor`: bytes in memory for each byte of the input, at the worst; 2 for what lies in memory as on the wire.
template <class T>
void expect_bounded(std::size_t factor) {
  for (const std::uint32_t count : {0xfffffffeU, 0x7fffffffU, 0x10000000U, 0x00100000U, 100'000U, 20'000U, 4'000U, 1'000U}) {
    for (const std::size_t size : {std::size_t{4}, std::size_t{100}, std::size_t{4096}, std::size_t{100'000}}) {
      for (const std::byte fill : {std::byte{0}, std::byte{1}, std::byte{0xff}}) {
        std::vector<std::byte> input(size, fill);
        std::memcpy(input.data(), &count, sizeof(count));
        // A count that the input does hold may cost what its elements take; one that it does not is refused first.
        ASSERT_LE(peak_of<T>(input), (count > size - 4 ? 2 : factor) * size + 65536) << count << " elements in " << size << " bytes";
      }
    }
  }
}

TEST(codec_allocation, hostile_counts_allocate_within_the_bound) {
  expect_bounded<std::string>(2);
  expect_bounded<std::vector<std::uint8_t>>(2);
  expect_bounded<std::vector<double>>(2);
  expect_bounded<std::vector<bool>>(2);
  expect_bounded<std::list<bool>>(24);                                    // a node for each byte
  expect_bounded<std::vector<std::string>>(3 * sizeof(std::string) / 4);  // while it grows, old and new elements
  expect_bounded<std::vector<std::vector<std::string>>>(3 * sizeof(std::string) / 4);
  expect_bounded<std::map<std::uint8_t, std::string>>(16);
  expect_bounded<std::unordered_map<std::uint32_t, std::string>>(12);
  expect_bounded<std::unordered_set<std::uint8_t>>(16);
  expect_bounded<std::vector<std::optional<std::uint64_t>>>(3 * sizeof(std::optional<std::uint64_t>));
  expect_bounded<std::vector<std::optional<std::array<char, 4096>>>>(3 * 4097);  // the factor is the type's
  expect_bounded<std::vector<std::deque<int>>>(3 * 160);
  expect_bounded<std::vector<sample>>(12);
}

TEST(codec_allocation, hostile_tensors_allocate_within_the_bound) {
  for (const unsigned rank : {0U, 1U, 2U, 8U, 9U, 64U, 65U, 255U}) {
    for (const std::uint64_t dimension : {0ULL, 1ULL, 1ULL << 31, 1ULL << 32, 1ULL << 62, ~0ULL}) {
      std::vector<std::byte> input{static_cast<std::byte>(lading::dtype::float32), static_cast<std::byte>(rank)};
      for (unsigned i = 0; i < rank; ++i) {
        for (int byte = 0; byte < 8; ++byte) input.push_back(static_cast<std::byte>(dimension >> (8 * byte)));
      }
      for (const std::size_t tail : {0U, 4U, 8U, 64U}) {
        std::vector<std::byte> whole = input;
        whole.resize(input.size() + tail, std::byte{0xfe});
        ASSERT_LE(peak_of<lading::tensor>(whole), 2 * whole.size() + 65536);
        ASSERT_LE(peak_of<lading::jagged>(whole), 2 * whole.size() + 65536);
      }
    }
  }
}

/// Every N-th allocation fails: no_memory or success, nothing lost, and the value can be used.
template <class Run>
void fail_every_allocation(Run run) {
  std::size_t failing = 0;
  for (; failing < 1000; ++failing) {
    std::size_t lost = 0;
    lading::result<void> how;
    {
      const counted_scope scope(failing);
      how = run();
      lost = live_bytes;
    }
    ASSERT_EQ(lost, 0U) << "allocation " << failing;
    if (how) break;
    ASSERT_EQ(how.error().code(), errc::no_memory) << how.error().message();
  }
  ASSERT_GT(failing, 0U) << "nothing was allocated";
  ASSERT_LT(failing, 1000U);
}

TEST(codec_allocation, any_allocation_may_fail_while_decoding) {
  const std::vector<std::byte> stream = stream_of(make_sample());
  fail_every_allocation([&]() -> lading::result<void> {
    const auto decoded = lading::decode_from<sample>(stream);
    if (!decoded) return lading::fail(decoded.error());
    return {};
  });
}

/// libstdc++'s deque allocates before it has elements.
TEST(codec_allocation, a_default_constructor_may_fail) {
  const std::deque<std::string> value{long_text, "b"};
  const std::vector<std::byte> stream = stream_of(value);
  const auto frames = lading::encode(value);
  ASSERT_TRUE(frames.has_value());
  const auto run = [&](auto decode) {
    fail_every_allocation([&]() -> lading::result<void> {
      const auto decoded = decode();
      if (!decoded) return lading::fail(decoded.error());
      return {};
    });
  };
  run([&] { return lading::decode_from<std::deque<std::string>>(stream); });
  run([&] { return lading::decode<std::deque<std::string>>(*frames); });
}

TEST(codec_allocation, any_allocation_may_fail_while_decoding_into) {
  const std::vector<std::byte> stream = stream_of(make_sample());
  fail_every_allocation([&]() -> lading::result<void> {
    sample value{};
    const auto decoded = lading::decode_into(value, stream);
    std::byte target[4096];
    fail_after = never;
    if (!lading::encode_into(value, target)) return lading::fail(errc::closed);  // whatever it holds, it is a value
    return decoded;
  });
}

TEST(codec_allocation, any_allocation_may_fail_while_encoding) {
  const sample value = make_sample();
  for (const bool sorted : {false, true}) {
    fail_every_allocation([&]() -> lading::result<void> {
      const auto frames = lading::encode(value, {.out_of_band_threshold = 0, .sort_unordered = sorted});
      if (!frames) return lading::fail(frames.error());
      return {};
    });
  }
}

TEST(codec_allocation, any_allocation_may_fail_while_decoding_frames) {
  const sample value = make_sample();
  const auto frames = lading::encode(value, {.out_of_band_threshold = 0});
  ASSERT_TRUE(frames.has_value());
  fail_every_allocation([&]() -> lading::result<void> {
    const auto decoded = lading::decode<sample>(*frames);
    if (!decoded) return lading::fail(decoded.error());
    return {};
  });
}

}  // namespace
