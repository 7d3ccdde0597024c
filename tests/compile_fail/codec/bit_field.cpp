// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Bit-fields: the compiler's own words, in a line about the field.
// expect: bit-field

#include <lading/codec/stream.hpp>

struct subject {
  int before;
#if defined(LADING_EXPECT_FAILURE)
  unsigned flags : 3;
#else
  unsigned flags;
#endif
};
std::size_t measure(const subject& value) { return lading::encoded_size(value); }
