// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// An error that nobody looks at. (tl::expected and std::expected leave the warning to the type inside.)
// expect: Werror
#pragma GCC diagnostic error "-Wunused-result"

#include <lading/core/result.hpp>

lading::error attempt() { return lading::errc::truncated; }

void caller() {
#if defined(LADING_EXPECT_FAILURE)
  attempt();
#else
  static_cast<void>(attempt());
#endif
}
