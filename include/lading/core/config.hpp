// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

/// Configuration macros. Every translation unit of one program must see the same values.
///
/// LADING_ASSERT(condition)  checks for a caller's bug, never for bad input; off with NDEBUG. Define it first to use your own.
/// LADING_ALWAYS_INLINE      for the few functions whose speed depends on being merged into their caller.
/// LADING_COLD               for error paths: kept out of line so that they cost the hot path one branch.
/// LADING_HAS_EXCEPTIONS     1 where std::bad_alloc can be caught and becomes errc::no_memory.

#include <cassert>

#if !defined(LADING_ASSERT)
#define LADING_ASSERT(...) assert((__VA_ARGS__))
#endif

#if defined(__GNUC__) || defined(__clang__)
#define LADING_COLD [[gnu::cold, gnu::noinline]]
#define LADING_NOINLINE [[gnu::noinline]]
#else
#define LADING_COLD
#define LADING_NOINLINE
#endif

#if defined(__OPTIMIZE__)  // merging without optimising only makes code that is slower to compile and deeper on the stack
#define LADING_ALWAYS_INLINE [[gnu::always_inline]] inline
#define LADING_FLATTEN_LAMBDA __attribute__((always_inline))
#else
#define LADING_ALWAYS_INLINE inline
#define LADING_FLATTEN_LAMBDA
#endif

// clang-format off
#if defined(__cpp_exceptions)
#define LADING_HAS_EXCEPTIONS 1
#define LADING_TRY try
#define LADING_CATCH_BAD_ALLOC(...)                    \
  catch (const std::bad_alloc&) { __VA_ARGS__; }       \
  catch (const std::length_error&) { __VA_ARGS__; }
#else
#define LADING_HAS_EXCEPTIONS 0
#define LADING_TRY if (true)
#define LADING_CATCH_BAD_ALLOC(...) else { __VA_ARGS__; }
#endif
// clang-format on
