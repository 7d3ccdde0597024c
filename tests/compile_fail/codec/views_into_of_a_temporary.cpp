// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// As above, into an existing object.
// expect: deleted

#include <cstddef>
#include <string_view>
#include <vector>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
std::vector<std::byte> receive();
#else
std::vector<std::byte>& receive();
#endif

bool read(std::string_view& view) { return lading::decode_into(view, receive()).has_value(); }
