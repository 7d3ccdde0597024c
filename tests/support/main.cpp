// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// An allocation that cannot succeed is what some tests ask for: under a sanitizer, too, it returns null and does not end the program.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }
// NOLINTEND(bugprone-reserved-identifier)

int main(int count, char** arguments) {
  testing::InitGoogleMock(&count, arguments);
  return RUN_ALL_TESTS();
}
