// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// As above, of frames that own their head.
// expect: deleted

#include <string_view>

#include <lading/codec/decode.hpp>

#if defined(LADING_EXPECT_FAILURE)
lading::frames receive();
#else
const lading::frames& receive();
#endif

bool read() { return lading::decode<std::string_view>(receive()).has_value(); }
