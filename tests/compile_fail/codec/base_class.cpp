// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// An aggregate with a base.
// expect: lading: an aggregate with a base class cannot be taken apart: make the base a member, or map the type with lading::codec<T>

#include <lading/codec/stream.hpp>

struct base {
  int a;
};

#if defined(LADING_EXPECT_FAILURE)
struct subject : base {
  int b;
};
#else
struct subject {
  base a;
  int b;
};
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
