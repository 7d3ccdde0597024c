// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Virtual functions.
// expect: lading: polymorphic types are not encoded: use std::variant, or map the type with lading::codec<T>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct subject {
  virtual int number() const;
  int value;
};
#else
struct subject {
  int number() const;
  int value;
};
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
