// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Anonymous unions: the compiler's own words, in a line about the struct.
// expect: anonymous union

#include <variant>

#include <lading/codec/stream.hpp>

struct subject {
  int before;
#if defined(LADING_EXPECT_FAILURE)
  union {
    int whole;
    float fraction;
  };
#else
  std::variant<int, float> value;
#endif
};
std::size_t measure(const subject& value) { return lading::encoded_size(value); }
