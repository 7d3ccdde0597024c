// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Volatile objects.
// expect: lading: volatile objects cannot be copied as bytes: copy the value to a plain one first

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct subject {
  volatile int number;
};
#else
struct subject {
  int number;
};
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
