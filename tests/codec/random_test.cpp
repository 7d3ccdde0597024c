// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Values made of a seed: out and back, cut short, and with changed bytes. Each run has other seeds and prints where they begin;
// LADING_TEST_SEED=<number> makes one failing value again.

#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "support/codec_checks.hpp"
#include "support/random_value.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LADING_TEST_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LADING_TEST_SANITIZED
#endif
#endif

namespace {

using lading_test::exact_bytes;
using lading_test::order;
using lading_test::random_source;
using lading_test::type_under_test;

#if defined(LADING_TEST_SANITIZED) || !defined(NDEBUG)
constexpr std::uint64_t values_of_each_type = 1000;
#else
constexpr std::uint64_t values_of_each_type = 15'000;
#endif

struct numbers {
  bool a;
  std::int8_t b;
  std::uint16_t c;
  std::int32_t d;
  std::uint64_t e;
  float f;
  double g;
  long double h;
  char16_t i;
  std::complex<float> j;
  std::bitset<13> k;
  std::chrono::milliseconds l;
  std::array<std::uint8_t, 3> m;
  std::int16_t n[2][2];
  std::byte o;
};
struct containers {
  std::string a;
  std::vector<std::uint16_t> b;
  std::vector<bool> c;
  std::deque<double> d;
  std::list<std::string> e;
  std::forward_list<std::uint8_t> f;
  std::map<std::string, std::int32_t> g;
  std::set<std::uint16_t> h;
  std::multimap<std::uint8_t, std::string> i;
  std::multiset<std::int8_t> j;
  std::vector<numbers> k;
  std::u16string l;
};
struct choices {
  std::optional<std::uint32_t> a;
  std::variant<std::monostate, std::string, double, std::vector<std::uint64_t>> b;
  std::unique_ptr<std::string> c;
  std::optional<std::vector<std::optional<bool>>> d;
  std::tuple<std::uint8_t, std::optional<std::string>, std::pair<std::uint32_t, bool>> e;
  std::variant<std::uint8_t, std::uint8_t> f;
};
struct tree {
  std::uint32_t a;
  std::string b;
  std::vector<tree> c;
  std::map<std::uint8_t, tree> d;
  std::unique_ptr<tree> e;
};
struct nested {
  std::vector<std::vector<std::vector<std::int64_t>>> a;
  std::map<std::vector<std::uint8_t>, std::map<std::string, std::vector<float>>> b;
  std::array<std::vector<std::string>, 2> c;
  std::optional<numbers> d;
};
struct records {
  std::vector<std::pair<std::uint8_t, std::uint64_t>> a;
  std::vector<std::array<std::uint32_t, 2>> b;
  std::vector<numbers> c;
  std::deque<std::tuple<bool, std::uint32_t>> d;
};
struct tensors {
  lading::tensor a;
  std::vector<lading::tensor> b;
  std::map<std::string, lading::tensor> c;
  lading::jagged d;
  std::optional<lading::jagged> e;
};
__extension__ using int128 = __int128;
__extension__ using uint128 = unsigned __int128;
struct rare {
  int128 a;
  uint128 b;
  std::vector<long double> c;
  std::filesystem::path e;
  std::chrono::sys_time<std::chrono::microseconds> f;
  std::u8string g;
  std::vector<std::complex<double>> h;
};
struct hashed {
  std::unordered_map<std::string, std::uint32_t> a;
  std::unordered_set<std::uint64_t> b;
  std::unordered_multiset<std::uint8_t> c;
};

/// A value, as it is checked: cut at one place, and with up to four changes.
void check_stream(const type_under_test& type, random_source& random, const std::vector<std::byte>& stream, const void* value, void* stale) {
  const exact_bytes exact{lading::bytes_view(stream)};
  for (const auto& again : {type.decode_from(exact.view()), type.decode_into(stale, exact.view())}) {
    ASSERT_TRUE(again.has_value()) << again.error().message() << "\n" << lading_test::hex(stream);
    ASSERT_EQ(again->size(), stream.size());
    if (type.elements == order::fixed) {
      ASSERT_TRUE(lading_test::same_bytes(*again, stream)) << lading_test::hex(stream) << "\n" << lading_test::hex(*again);
    }
  }
  const auto frames = type.encode(value, random.below(40));
  ASSERT_TRUE(frames.has_value());
  const auto from_frames = type.decode(*frames);
  ASSERT_TRUE(from_frames.has_value()) << from_frames.error().message();
  ASSERT_EQ(from_frames->size(), stream.size());
  if (stream.empty()) return;
  ASSERT_NO_FATAL_FAILURE(lading_test::check_truncation(type, stream, random.below(stream.size())));
  for (std::size_t changes = 1 + random.below(4); changes-- > 0;) {
    switch (random.below(3)) {
      case 0: exact[random.below(stream.size())] ^= static_cast<std::byte>(1U << random.below(8)); break;
      case 1: exact[random.below(stream.size())] = static_cast<std::byte>(random.below(4)); break;
      default: exact[random.below(stream.size())] = static_cast<std::byte>(random.next());
    }
    const auto changed = type.decode_from(exact.view());
    if (!changed) {
      ASSERT_TRUE(lading_test::is_input_error(changed.error().code())) << changed.error().message();
    } else if (type.elements == order::fixed) {
      ASSERT_TRUE(lading_test::same_bytes(*changed, exact.view())) << lading_test::hex(exact.view()) << "\n" << lading_test::hex(*changed);
    } else {
      ASSERT_EQ(changed->size(), exact.size());
    }
  }
}

template <class T>
void check_random(order elements = order::fixed) {
  static const std::uint64_t first_seed = std::random_device()() * std::uint64_t{1'000'003};
  std::cout << "seeds from " << first_seed << '\n';
  const type_under_test type = lading_test::type<T>(elements);
  const std::uint64_t chosen = lading_test::test_seed(0);
  T stale{};
  for (std::uint64_t i = 0; i < (chosen == 0 ? values_of_each_type : 1); ++i) {
    const std::uint64_t seed = chosen == 0 ? first_seed + i : chosen;
    SCOPED_TRACE("LADING_TEST_SEED=" + std::to_string(seed));
    random_source random(seed);
    const T value = lading_test::random_value<T>(random);
    check_stream(type, random, lading_test::stream_of(value), &value, &stale);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(random, numbers) { check_random<numbers>(); }
TEST(random, containers) { check_random<containers>(); }
TEST(random, choices) { check_random<choices>(); }
TEST(random, trees) { check_random<tree>(); }
TEST(random, nested) { check_random<nested>(); }
TEST(random, records) { check_random<records>(); }
TEST(random, hashed) { check_random<hashed>(order::free); }
TEST(random, tensors) { check_random<tensors>(); }
TEST(random, rare) { check_random<rare>(); }

}  // namespace
