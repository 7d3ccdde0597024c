// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Shared ownership.
// expect: lading: shared ownership is not encoded: use std::unique_ptr, or map the type with lading::codec<T>

#include <memory>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct subject {
  std::shared_ptr<int> number;
};
#else
struct subject {
  std::unique_ptr<int> number;
};
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
