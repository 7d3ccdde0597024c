// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include "rig.hpp"

LADING_CONFORMANCE(verbs, verbs_test::rig);
