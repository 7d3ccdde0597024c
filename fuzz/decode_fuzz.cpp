// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// The first byte chooses a type, the rest is its stream: an error of the input's own kind, or a value that encodes to exactly these bytes.

#include <array>
#include <bitset>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include <lading/codec/stream.hpp>

#include "expect.hpp"

namespace {

using lading::bytes_view;

struct padded {
  std::uint8_t a;
  std::uint32_t b;
  bool c;
  long double d;
};
struct sample {
  std::int64_t id;
  std::string uid;
  std::vector<std::int32_t> tokens;
  std::map<std::string, std::vector<float>> features;
  std::optional<double> reward;
  std::vector<bool> mask;
};
struct sample_view {
  std::int64_t id;
  std::string_view uid;
  std::span<const std::int32_t> tokens;
  std::map<std::string_view, std::span<const float>> features;
  std::optional<double> reward;
  std::span<const bool> mask;
};
struct json {
  std::variant<std::monostate, bool, double, std::string, std::vector<json>, std::map<std::string, json>> value;
};
struct choices {
  std::variant<std::monostate, std::string, std::vector<std::uint64_t>> a;
  std::unique_ptr<std::optional<std::uint16_t>> b;
  std::multimap<std::uint8_t, std::string> c;
  std::set<std::pair<std::uint8_t, std::int16_t>> d;
  std::bitset<13> e;
  std::list<std::array<std::string, 2>> f;
  std::vector<std::tuple<std::chrono::milliseconds, bool>> g;
};
struct hashed {
  std::unordered_map<std::string, std::uint8_t> a;
};
struct nothing {};
struct tensors {
  lading::tensor a;
  lading::jagged b;
  lading::strided_list c;
};
struct tensor_views {
  lading::tensor_view a;
  lading::jagged_view b;
  lading::strided_list_view c;
};

template <class T, bool Canonical = true>
void check(bytes_view source) {
  const lading::decode_limits limits{.max_depth = 20, .max_empty_elements = 1000};
  const auto decoded = lading::decode_from<T>(source, limits);
  T reused{};
  const auto again = lading::decode_into(reused, source, limits);
  fuzz::expect(decoded.has_value() == again.has_value());
  fuzz::expect(decoded.has_value() || (fuzz::is_input_error(decoded.error()) && decoded.error() == again.error()));
  const T* const values[] = {decoded ? &*decoded : nullptr, again ? &reused : nullptr};
  for (const T* const value : values) {
    if (value == nullptr) continue;
    std::vector<std::byte> bytes(lading::encoded_size(*value));
    const auto written = lading::encode_into(*value, bytes);
    fuzz::expect(written.has_value() && *written == source.size());
    if constexpr (Canonical) fuzz::expect(bytes.empty() || std::memcmp(bytes.data(), source.data(), bytes.size()) == 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // A block of exactly the stream's size, aligned for any view.
  const std::size_t length = size - 1;
  const std::unique_ptr<std::byte[]> block(new std::byte[length]);
  if (length != 0) std::memcpy(block.get(), data + 1, length);
  const bytes_view source(block.get(), length);
  switch (data[0] % 12) {
    case 0: check<sample>(source); break;
    case 1: check<sample_view>(source); break;
    case 2: check<json>(source); break;
    case 3: check<choices>(source); break;
    case 4: check<hashed, false>(source); break;
    case 5: check<std::vector<padded>>(source); break;
    case 6: check<std::span<const padded>>(source); break;
    case 7: check<tensors>(source); break;
    case 8: check<tensor_views>(source); break;
    case 9: check<std::vector<std::vector<nothing>>>(source); break;
    case 10: check<std::string>(source); break;
    default: check<std::vector<std::optional<std::vector<std::uint16_t>>>>(source);
  }
  return 0;
}
