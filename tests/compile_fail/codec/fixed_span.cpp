// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A view whose length the buffer decides.
// expect: lading: a decoded view only reads: use std::span<const T> without a fixed extent, or std::string_view

#include <span>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
using subject = std::span<const int, 0>;
#else
using subject = std::span<const int>;
#endif

bool read(lading::bytes_view source) { return lading::decode_from<subject>(source).has_value(); }
