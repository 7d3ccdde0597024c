// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A user's own assertion, defined before the first header. Nothing of the library that would use it is included here.
namespace {
int broken_promises = 0;
}
#define LADING_ASSERT(...) ((__VA_ARGS__) ? void() : void(++broken_promises))
#include <lading/core/config.hpp>

#include <new>
#include <stdexcept>
#include <type_traits>

#include <gtest/gtest.h>

namespace {

TEST(config, an_assertion_of_the_users_own_is_kept) {
  broken_promises = 0;
  LADING_ASSERT(std::is_same_v<int, int>);  // a comma inside is fine
  EXPECT_EQ(broken_promises, 0);
  LADING_ASSERT(std::is_same_v<int, long>);
  EXPECT_EQ(broken_promises, 1);
}

enum class outcome { fine, no_memory };

template <class Body>
outcome guarded(Body body) {
  LADING_TRY { body(); }
  LADING_CATCH_BAD_ALLOC(return outcome::no_memory)
  return outcome::fine;
}

TEST(config, a_failed_allocation_is_caught_and_nothing_else) {
  EXPECT_EQ(guarded([] {}), outcome::fine);
#if LADING_HAS_EXCEPTIONS
  EXPECT_EQ(guarded([] { throw std::bad_alloc(); }), outcome::no_memory);
  EXPECT_EQ(guarded([] { throw std::bad_array_new_length(); }), outcome::no_memory);
  EXPECT_EQ(guarded([] { throw std::length_error("too long"); }), outcome::no_memory);
  EXPECT_THROW(guarded([] { throw std::runtime_error("the user's own"); }), std::runtime_error);
  EXPECT_THROW(guarded([] { throw 7; }), int);
#endif
}

LADING_COLD int cold() { return 1; }
LADING_NOINLINE int apart() { return 2; }
LADING_ALWAYS_INLINE int merged() { return 3; }

TEST(config, placement_attributes_keep_the_meaning) {
  const auto flat = []() LADING_FLATTEN_LAMBDA { return 4; };
  EXPECT_EQ(cold() + apart() + merged() + flat(), 10);
}

}  // namespace
