// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Pointers to members.
// expect: lading: functions and member pointers mean nothing in another process: send a name or a number

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct other {
  int number;
};
using subject = int other::*;
#else
using subject = int;
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
