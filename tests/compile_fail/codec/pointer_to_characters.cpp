// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A pointer to characters.
// expect: lading: raw pointers have no owner and no length

#include <string_view>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
using subject = const char*;
#else
using subject = std::string_view;
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
