// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Unions.
// expect: lading: a union does not say which member is alive: use std::variant

#include <variant>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
union number {
  int whole;
  float fraction;
};
#else
using number = std::variant<int, float>;
#endif

struct subject {
  int before;
  number value;
};
std::size_t measure(const subject& value) { return lading::encoded_size(value); }
