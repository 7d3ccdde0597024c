// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include "rig.hpp"

// What UCX itself never frees, of those who look for leaks:
//   libuct.so: the list of transports, made once per process (100 bytes with UCX 1.13.1).
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libuct.so\n"; }
// And a worker that has to be left as it is keeps all it has, of which UCX holds pointers where nobody looks for them.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return lading::detail::ucx_worker::abandoned() != 0 ? 1 : 0; }
// NOLINTEND(bugprone-reserved-identifier)

namespace conformance_test {
using namespace lading;

/// The lanes that LADING_UCX_LANES names, such as "rc", with UCX's own variables for devices and the rest. Slow lanes get less to do.
struct chosen_rig : ucx_test::rig<ucx_test::chosen> {
  static constexpr std::size_t largest_slice = std::size_t{1} << 20;
  static constexpr std::size_t many_slices = 10'000;
  static constexpr std::size_t connection_cycles = 200;
};

LADING_CONFORMANCE(tcp, ucx_test::rig<ucx_test::tcp>);
LADING_CONFORMANCE(shared_memory, ucx_test::rig<ucx_test::shared_memory>);
LADING_CONFORMANCE(shared_regions, ucx_test::rig<ucx_test::shared_regions>);

/// One test that is skipped, where nobody names lanes.
[[maybe_unused]] const bool chosen_lanes = [] {
  if (ucx_test::chosen::wanted != nullptr) return conformance::register_suite("chosen", conformance::any_rig::of<chosen_rig>, __FILE__, __LINE__);
  class no_lanes final : public testing::Test {
    void TestBody() override { GTEST_SKIP() << ucx_test::unavailable<ucx_test::chosen>(); }
  };
  testing::RegisterTest("chosen", "lanes", nullptr, nullptr, __FILE__, __LINE__, []() -> testing::Test* { return new no_lanes; });
  return true;
}();

}  // namespace conformance_test
