// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A field of variable size that decoding cannot write.
// expect: lading: a const or reference field cannot be decoded: make it a plain value, or map the type with lading::codec<T>

#include <string>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct subject {
  const std::string text;
};
#else
struct subject {
  std::string text;
};
#endif

bool read(lading::bytes_view source) { return lading::decode_from<subject>(source).has_value(); }
