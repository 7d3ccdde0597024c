// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A member that is a reference.
// expect: lading: references have no owner after decoding: hold a value, std::unique_ptr, std::string_view or std::span

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct subject {
  int& number;
};
#else
struct subject {
  int number;
};
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
