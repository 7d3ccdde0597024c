// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A pointer to a base class with virtual functions.
// expect: lading: polymorphic types are not encoded: use std::variant, or map the type with lading::codec<T>

#include <memory>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct base {
  virtual ~base();
};
#else
struct base {
  int number;
};
#endif

using subject = std::unique_ptr<base>;
std::size_t measure(const subject& value) { return lading::encoded_size(value); }
