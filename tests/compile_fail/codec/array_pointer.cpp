// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A pointer to an array.
// expect: lading: only std::unique_ptr with the default deleter to one object is encoded: use std::vector for arrays, or lading::codec<T>

#include <memory>
#include <vector>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct subject {
  std::unique_ptr<int[]> numbers;
};
#else
struct subject {
  std::vector<int> numbers;
};
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
