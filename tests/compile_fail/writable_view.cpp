// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// What is read cannot be written through.
// expect: bytes_span

#include <lading/core/bytes.hpp>

#if defined(LADING_EXPECT_FAILURE)
using source = lading::bytes_view;
#else
using source = lading::bytes_span;
#endif

void fill(lading::bytes_span target);

void subject(source bytes) { fill(bytes); }
