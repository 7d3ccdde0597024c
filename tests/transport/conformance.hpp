// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What every transport must do, as a GoogleTest suite. To run it on your own:
//
//   struct my_rig {
//     lading::result<my_transport> make(const lading::endpoint_options& options);   // a fresh endpoint of one test
//   };
//   LADING_CONFORMANCE(mine, my_rig);
//
// A rig may also have static members `largest_slice` (bytes, 64 MiB unless told), `many_slices` (100,000), `connection_cycles` (10,000), and
// a member `std::unique_ptr<lading::conformance::foreign_peer> spawn_peer(std::size_t region_size)` that starts a peer in a process of its own.
// With `static constexpr bool shares_regions = true` the suite's regions are allocated, and those of a stopped peer can be reached; a function
// `static std::string unavailable()` says what the host lacks, and nothing where it lacks nothing.
// LADING_CONFORMANCE_QUICK in the environment asks for small sizes and few rounds, for slow hosts.
// A case that the transport's capabilities or the rig exclude reports skipped, with the reason. The tests are named mine.<case>.

#include <transport/conformance/data.hpp>
#include <transport/conformance/endings.hpp>
#include <transport/conformance/peers.hpp>
#include <transport/conformance/processes.hpp>
#include <transport/conformance/refusals.hpp>

namespace lading::conformance {

/// One case over one rig, which is made anew for it.
class conformance_test final : public ::testing::Test {
 public:
  conformance_test(any_rig (*make_rig)(), const conformance_case& tested) : make_rig_(make_rig), tested_(tested) {}

 private:
  void TestBody() override {
    const any_rig rig = make_rig_();
    if (!rig.unavailable.empty()) GTEST_SKIP() << rig.unavailable;
    tested_.run(rig);
  }
  any_rig (*make_rig_)();
  conformance_case tested_;
};

/// Registers the whole suite; see LADING_CONFORMANCE.
inline bool register_suite(const char* name, any_rig (*make_rig)(), const char* file, int line) {
  for (const std::span<const conformance_case> cases :
       {std::span<const conformance_case>(data_cases), std::span<const conformance_case>(refusals_cases),
        std::span<const conformance_case>(endings_cases), std::span<const conformance_case>(peers_cases),
        std::span<const conformance_case>(processes_cases)}) {
    for (const conformance_case& each : cases) {
      ::testing::RegisterTest(name, each.name, nullptr, nullptr, file, line,
                              [=]() -> ::testing::Test* { return new conformance_test(make_rig, each); });
    }
  }
  return true;
}

}  // namespace lading::conformance

#define LADING_CONFORMANCE(name, ...)                            \
  [[maybe_unused]] static const bool lading_conformance_##name = \
      ::lading::conformance::register_suite(#name, ::lading::conformance::any_rig::of<__VA_ARGS__>, __FILE__, __LINE__)
