// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A member that decoding cannot make.
// expect: lading: decoding needs a default constructor: add one, or map the type with lading::codec<T>

#include <cstdint>

#include <lading/codec/stream.hpp>

class port {
 public:
  explicit port(std::uint16_t number) : number_(number) {}
  std::uint16_t number() const { return number_; }

 private:
  std::uint16_t number_;
};
template <>
struct lading::codec<port> {
  static std::uint16_t to(const port& value) { return value.number(); }
  static result<port> from(std::uint16_t number) { return port(number); }
};

#if defined(LADING_EXPECT_FAILURE)
struct subject {
  port number;
};
#else
using subject = port;
#endif

bool read(lading::bytes_view source) { return lading::decode_from<subject>(source).has_value(); }
