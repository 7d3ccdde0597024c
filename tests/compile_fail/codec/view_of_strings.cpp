// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A view of elements that lie otherwise on the wire.
// expect: lading: these elements have another layout on the wire, so they cannot be borrowed: decode into a std::vector

#include <span>
#include <string>
#include <vector>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
using subject = std::span<const std::string>;
#else
using subject = std::vector<std::string>;
#endif

bool read(lading::bytes_view source) { return lading::decode_from<subject>(source).has_value(); }
