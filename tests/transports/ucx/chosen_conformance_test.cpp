// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The suite over the lanes that LADING_UCX_LANES names, such as "rc", with UCX's own variables for devices and the rest. Slow lanes get less to do.

#include "rig.hpp"

namespace {
struct chosen_rig : ucx_test::rig<ucx_test::chosen> {
  static constexpr std::size_t largest_slice = std::size_t{4} << 20;
  static constexpr std::size_t many_slices = 20'000;
  static constexpr std::size_t connection_cycles = 200;
};
}  // namespace

namespace lading::conformance {
LADING_CONFORMANCE(chosen, chosen_rig);
}  // namespace lading::conformance
