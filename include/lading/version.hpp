// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// The one place that states the version: CMake and Conan read these three lines.
#define LADING_VERSION_MAJOR 0
#define LADING_VERSION_MINOR 1
#define LADING_VERSION_PATCH 0

/// The version as one number that orders, such as 10203 for 1.2.3.
#define LADING_VERSION (LADING_VERSION_MAJOR * 10000 + LADING_VERSION_MINOR * 100 + LADING_VERSION_PATCH)
