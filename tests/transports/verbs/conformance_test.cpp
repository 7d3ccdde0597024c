// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include "rig.hpp"

namespace lading::conformance {
LADING_CONFORMANCE(verbs, verbs_test::rig);
}  // namespace lading::conformance
