// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Views that would outlive their bytes. (The deleted overload names the reason.)
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

bool read() { return lading::decode_from<std::string_view>(receive()).has_value(); }
