// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <gmock/gmock.h>
#include <gtest/gtest.h>

int main(int count, char** arguments) {
  testing::InitGoogleMock(&count, arguments);
  return RUN_ALL_TESTS();
}
