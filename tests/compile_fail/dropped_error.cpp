// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// An error that nobody looks at.
// expect: nodiscard

#pragma GCC diagnostic error "-Wunused-result"

#include <lading/core/error.hpp>

lading::error attempt();

void caller() {
#if defined(LADING_EXPECT_FAILURE)
  attempt();
#else
  if (attempt() == lading::errc::busy) return;
#endif
}
