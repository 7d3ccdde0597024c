// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A small program of somebody else's.

#include <lading/core/result.hpp>
#include <lading/version.hpp>

#include <cstdio>

int main() {
  const lading::result<int> result = lading::fail(lading::errc::truncated);
  std::printf("lading %d.%d.%d: %s\n", LADING_VERSION_MAJOR, LADING_VERSION_MINOR, LADING_VERSION_PATCH, result.error().message().c_str());
  return result ? 1 : 0;
}
