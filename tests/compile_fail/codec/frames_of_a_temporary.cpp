// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Frames that would outlive what they borrow.
// expect: deleted

#include <vector>

#include <lading/codec/encode.hpp>

#if defined(LADING_EXPECT_FAILURE)
std::vector<int> make();
#else
const std::vector<int>& make();
#endif

bool write() { return lading::encode(make()).has_value(); }
