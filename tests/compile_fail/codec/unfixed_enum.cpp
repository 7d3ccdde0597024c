// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// An enum that cannot hold every number.
// expect: lading: an enum without a fixed underlying type cannot hold every number a peer may send: write enum name : std::uint8_t

#include <cstdint>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
enum colour { red, green };
#else
enum colour : std::uint8_t { red, green };
#endif

struct subject {
  colour value;
};
std::size_t measure(const subject& value) { return lading::encoded_size(value); }
