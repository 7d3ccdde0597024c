// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include "rig.hpp"

namespace lading::conformance {
LADING_CONFORMANCE(shared_regions, ucx_test::rig<ucx_test::shared_regions>);
}  // namespace lading::conformance
