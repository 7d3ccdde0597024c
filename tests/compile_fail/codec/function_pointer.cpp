// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Functions.
// expect: lading: functions and member pointers mean nothing in another process: send a name or a number

#include <string>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
struct subject {
  void (*callback)(int);
};
#else
struct subject {
  std::string callback;
};
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
