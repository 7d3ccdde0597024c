// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A view of elements that are aligned more strictly than on the wire.
// expect: lading: these elements have another layout on the wire, so they cannot be borrowed: decode into a std::vector

#include <span>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct alignas(8) element {
  int a, b;
};
#else
struct element {
  int a, b;
};
#endif

using subject = std::span<const element>;
bool read(lading::bytes_view source) { return lading::decode_from<subject>(source).has_value(); }
