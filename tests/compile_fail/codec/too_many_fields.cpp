// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// More fields than there are structured bindings for.
// expect: lading: a struct with more than 256 fields: nest some of them, or map it with lading::codec<T>

#include "../../reflect/wide_structs.hpp"

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct subject {
  LADING_TEST_FIELDS_50(char, a)
  LADING_TEST_FIELDS_50(char, b)
  LADING_TEST_FIELDS_50(char, c)
  LADING_TEST_FIELDS_50(char, d)
  LADING_TEST_FIELDS_50(char, e)
  LADING_TEST_FIELDS_10(char, f)
};
#else
using subject = lading_test::of_256;
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
