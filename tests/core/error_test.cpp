// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/core/error.hpp>

#include <gtest/gtest.h>

namespace {

TEST(error, compares_by_code) { EXPECT_EQ(lading::error(lading::errc::busy), lading::errc::busy); }

}  // namespace
