// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Checked arithmetic is defined for unsigned numbers alone: a signed sum would already have overflowed.
// expect: unsigned_integral

#include <lading/core/checked.hpp>

#if defined(LADING_EXPECT_FAILURE)
using number = long;
#else
using number = unsigned long;
#endif

bool subject(number left, number right) {
  number sum = 0;
  return lading::checked_add<number>(left, right, sum);
}
