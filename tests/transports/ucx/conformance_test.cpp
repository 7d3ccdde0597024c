// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include "rig.hpp"

// What UCX itself never frees, of those who look for leaks:
//   libuct.so: the list of transports, made once per process (100 bytes with UCX 1.13.1).
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libuct.so\n"; }
// NOLINTEND(bugprone-reserved-identifier)

namespace lading::conformance {
LADING_CONFORMANCE(tcp, ucx_test::rig<ucx_test::tcp>);
LADING_CONFORMANCE(shared_memory, ucx_test::rig<ucx_test::shared_memory>);
}  // namespace lading::conformance
