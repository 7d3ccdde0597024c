// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <lading/codec/decode.hpp>
#include <lading/codec/encode.hpp>

// What must hold for any value of any type: see check_value.

namespace lading_test {

using lading::bytes_span;
using lading::bytes_view;
using lading::errc;

/// A copy of bytes in a heap block of exactly their size: a sanitizer sees the first byte that is read or written outside.
class exact_bytes {
 public:
  explicit exact_bytes(std::size_t size) : data_(new std::byte[size]), size_(size) {}
  explicit exact_bytes(bytes_view bytes) : exact_bytes(bytes.size()) {
    if (size_ != 0) std::memcpy(data_.get(), bytes.data(), size_);
  }
  [[nodiscard]] bytes_span span() const { return {data_.get(), size_}; }
  [[nodiscard]] bytes_view view() const { return {data_.get(), size_}; }
  [[nodiscard]] std::byte& operator[](std::size_t index) const { return data_[index]; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_;
};

inline std::string hex(bytes_view bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += digits[std::to_integer<unsigned>(byte) >> 4];
    text += digits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

/// Hexadecimal digits, spaces ignored.
inline std::vector<std::byte> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  unsigned pending = 0;
  bool half = false;
  for (const char digit : text) {
    if (digit == ' ') continue;
    pending = pending * 16 + static_cast<unsigned>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    half = !half;
    if (!half) {
      bytes.push_back(static_cast<std::byte>(pending));
      pending = 0;
    }
  }
  return bytes;
}

inline bool same_bytes(bytes_view left, bytes_view right) {
  return left.size() == right.size() && (left.empty() || std::memcmp(left.data(), right.data(), left.size()) == 0);
}

/// The stream of a value, in exactly encoded_size bytes that held a pattern before.
template <class T>
std::vector<std::byte> stream_of(const T& value) {
  std::vector<std::byte> bytes(lading::encoded_size(value), std::byte{0xcd});
  const auto written = lading::encode_into(value, bytes);
  if (!written) {
    ADD_FAILURE() << written.error().message();
    return {};
  }
  EXPECT_EQ(*written, bytes.size());
  return bytes;
}

template <class T>
std::string hex_of(const T& value) {
  return hex(stream_of(value));
}

/// Whether the order of the elements on the wire may change from one object to the next.
enum class order : bool { fixed, free };

/// The errors that bad bytes may lead to.
inline bool is_input_error(errc code) {
  return code == errc::truncated || code == errc::trailing_bytes || code == errc::invalid_value || code == errc::not_canonical ||
         code == errc::limit_exceeded || code == errc::size_overflow || code == errc::misaligned;
}

using stream_result = lading::result<std::vector<std::byte>>;

/// What the checks below need to know of a type, so that they are compiled once and not for each type.
struct type_under_test {
  std::size_t (*encoded_size)(const void* value);
  lading::result<std::size_t> (*encode_into)(const void* value, bytes_span target);
  stream_result (*decode_from)(bytes_view source);  ///< and what the decoded value encodes to
  stream_result (*decode_into)(void* stale, bytes_view source);
  lading::result<lading::frames> (*encode)(const void* value, std::size_t threshold);
  stream_result (*decode)(const lading::frames& source);
  order elements;
};

template <class T>
stream_result encode_again(const T& value) {
  std::vector<std::byte> bytes(lading::encoded_size(value), std::byte{0xcd});
  const auto written = lading::encode_into(value, bytes);
  if (!written) return lading::fail(errc::closed);  // no input error
  if (*written != bytes.size()) return lading::fail(errc::busy);
  return bytes;
}

template <class T>
type_under_test type(order elements = order::fixed) {
  return {
      .encoded_size = [](const void* value) { return lading::encoded_size(*static_cast<const T*>(value)); },
      .encode_into = [](const void* value, bytes_span target) { return lading::encode_into(*static_cast<const T*>(value), target); },
      .decode_from = [](bytes_view source) -> stream_result {
        const auto decoded = lading::decode_from<T>(source);
        if (!decoded) return lading::fail(decoded.error());
        return encode_again(*decoded);
      },
      .decode_into = [](void* stale, bytes_view source) -> stream_result {
        const auto done = lading::decode_into(*static_cast<T*>(stale), source);
        if (!done) return lading::fail(done.error());
        return encode_again(*static_cast<const T*>(stale));
      },
      .encode = [](const void* value,
                   std::size_t threshold) { return lading::encode(*static_cast<const T*>(value), {.out_of_band_threshold = threshold}); },
      .decode = [](const lading::frames& source) -> stream_result {
        if constexpr (std::default_initializable<T>) {
          const auto decoded = lading::decode<T>(source);
          if (!decoded) return lading::fail(decoded.error());
          return encode_again(*decoded);
        } else {
          return lading::fail(errc::unsupported);
        }
      },
      .elements = elements,
  };
}

/// Decodes bytes that were changed: an error of the right kind, or a value that encodes to exactly these bytes.
inline void check_mutation(const type_under_test& type, bytes_view bytes) {
  const stream_result again = type.decode_from(bytes);
  if (!again) {
    ASSERT_TRUE(is_input_error(again.error().code())) << again.error().message();
    return;
  }
  ASSERT_EQ(again->size(), bytes.size());
  if (type.elements == order::fixed) {
    ASSERT_TRUE(same_bytes(*again, bytes)) << "accepted " << hex(bytes) << "\nis        " << hex(*again);
  }
}

inline void check_truncation(const type_under_test& type, bytes_view stream, std::size_t size) {
  const exact_bytes part(stream.first(size));
  const stream_result again = type.decode_from(part.view());
  ASSERT_FALSE(again.has_value()) << "the first " << size << " of " << stream.size() << " bytes were accepted";
  ASSERT_EQ(again.error().code(), errc::truncated) << size << " of " << stream.size() << ": " << again.error().message();
  ASSERT_NE(again.error().details().needed, lading::error_details::unset);
  ASSERT_LE(again.error().details().available, size);
  ASSERT_GT(again.error().details().needed, again.error().details().available);
}

inline void check_truncations(const type_under_test& type, bytes_view stream) {
  for (std::size_t size = 0; size < stream.size(); ++size) ASSERT_NO_FATAL_FAILURE(check_truncation(type, stream, size));
  if (!stream.empty()) {
    ASSERT_FALSE(type.decode_from(bytes_view{}).has_value());
  }
}

inline void check_trailer(const type_under_test& type, bytes_view stream) {
  exact_bytes longer(stream.size() + 1);
  if (!stream.empty()) std::memcpy(longer.span().data(), stream.data(), stream.size());
  longer[stream.size()] = std::byte{0};
  const stream_result again = type.decode_from(longer.view());
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code(), errc::trailing_bytes);
}

inline void check_bit_flips(const type_under_test& type, bytes_view stream) {
  const exact_bytes bytes(stream);
  for (std::size_t bit = 0; bit < 8 * stream.size(); ++bit) {
    const auto mask = static_cast<std::byte>(1U << (bit % 8));
    bytes[bit / 8] ^= mask;
    ASSERT_NO_FATAL_FAILURE(check_mutation(type, bytes.view())) << "bit " << bit << " of " << hex(stream);
    bytes[bit / 8] ^= mask;
  }
}

/// Every smaller target is refused with both sizes, and nothing past its end is touched.
inline void check_targets(const type_under_test& type, const void* value) {
  const std::size_t size = type.encoded_size(value);
  for (std::size_t room = 0; room < size; room += room < 80 ? 1 : 37) {
    const exact_bytes target(room);
    const auto written = type.encode_into(value, target.span());
    ASSERT_FALSE(written.has_value()) << "in " << room << " of " << size;
    ASSERT_EQ(written.error().code(), errc::buffer_too_small);
    ASSERT_EQ(written.error().details().needed, size);
    ASSERT_EQ(written.error().details().available, room);
  }
  if (size != 0) {
    ASSERT_FALSE(type.encode_into(value, bytes_span{}).has_value());
  }
  std::vector<std::byte> roomy(size + 64, std::byte{0xa5});
  ASSERT_EQ(type.encode_into(value, roomy).value_or(~std::size_t{0}), size);
  for (std::size_t i = size; i < roomy.size(); ++i) ASSERT_EQ(roomy[i], std::byte{0xa5}) << "byte " << i << " past the end";
}

/// Out and back through frames, whatever goes out of band.
inline void check_frames(const type_under_test& type, const void* value, bytes_view stream) {
  for (const std::size_t threshold : {std::size_t{0}, std::size_t{1}, std::size_t{16}, std::size_t{4096}, ~std::size_t{0}}) {
    const auto frames = type.encode(value, threshold);
    ASSERT_TRUE(frames.has_value()) << frames.error().message();
    if (threshold == ~std::size_t{0}) {
      ASSERT_EQ(frames->size(), 1U);
      if (type.elements == order::fixed) {
        ASSERT_TRUE(same_bytes((*frames)[0], stream));
      }
    }
    for (std::size_t i = 1; i < frames->size(); ++i) ASSERT_GE((*frames)[i].size(), threshold);
    const stream_result again = type.decode(*frames);
    if (!again && again.error() == errc::unsupported) return;
    ASSERT_TRUE(again.has_value()) << "threshold " << threshold << ": " << again.error().message();
    ASSERT_EQ(again->size(), stream.size());
    if (type.elements == order::fixed) {
      ASSERT_TRUE(same_bytes(*again, stream)) << "threshold " << threshold;
    }
  }
}

inline void check_all(const type_under_test& type, const void* value, void* stale) {
  std::vector<std::byte> stream(type.encoded_size(value), std::byte{0xcd});
  const auto written = type.encode_into(value, stream);
  ASSERT_TRUE(written.has_value()) << written.error().message();
  ASSERT_EQ(*written, stream.size());
  ASSERT_NO_FATAL_FAILURE(check_targets(type, value));
  const exact_bytes exact{bytes_view{stream}};
  for (const stream_result& again : {type.decode_from(exact.view()), type.decode_into(stale, exact.view())}) {
    ASSERT_TRUE(again.has_value()) << again.error().message();
    ASSERT_EQ(again->size(), stream.size());
    if (type.elements == order::fixed) {
      ASSERT_EQ(hex(*again), hex(stream));
    }
  }
  ASSERT_NO_FATAL_FAILURE(check_truncations(type, stream));
  ASSERT_NO_FATAL_FAILURE(check_trailer(type, stream));
  ASSERT_NO_FATAL_FAILURE(check_bit_flips(type, stream));
  ASSERT_NO_FATAL_FAILURE(check_frames(type, value, stream));
}

/// All of the above, and decode_into over `stale`; compares by bytes alone.
template <class T>
void check_encoding(const T& value, T stale, order elements = order::fixed) {
  check_all(type<T>(elements), &value, &stale);
}

/// The same for types with an operator==.
template <class T>
void check_value(const T& value, T stale, order elements = order::fixed) {
  check_all(type<T>(elements), &value, &stale);
  if constexpr (std::equality_comparable<T>) {
    EXPECT_TRUE(stale == value || !(value == value));  // NaN is not even itself
  }
}

template <class T>
void check_value(const T& value, order elements = order::fixed) {
  check_value<T>(value, T{}, elements);
}

/// An owning value and a borrowing twin of its type read each other's streams.
template <class View, class T>
void check_twin(const T& value) {
  static_assert(lading::detail::borrows<View> && !lading::detail::borrows<T>);
  const std::vector<std::byte> stream = stream_of(value);
  const exact_bytes exact{bytes_view{stream}};
  const bytes_view source = exact.view();
  const auto view = lading::decode_from<View>(source);
  ASSERT_TRUE(view.has_value()) << view.error().message();
  EXPECT_EQ(hex_of(*view), hex(stream));
  const type_under_test borrowing = type<View>();
  check_truncations(borrowing, stream);
  check_bit_flips(borrowing, stream);
  check_frames(borrowing, &*view, stream);
}

}  // namespace lading_test
