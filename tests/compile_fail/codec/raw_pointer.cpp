// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Pointers.
// expect: lading: raw pointers have no owner and no length: use std::unique_ptr, std::optional, std::string_view or std::span

#include <memory>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct subject {
  int number;
  int* pointer;
};
#else
struct subject {
  int number;
  std::unique_ptr<int> pointer;
};
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
