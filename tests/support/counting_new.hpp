// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

// Counts what the program allocates by new, for the cases that must allocate nothing. Replaces the operators, so one file of a program includes it.
// clang's ThreadSanitizer brings operators of its own, that cannot be replaced: then nothing is counted.

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LADING_TEST_COUNTS_NO_NEW
#endif
#endif

namespace {
std::atomic<std::size_t> allocations{0};

#if defined(LADING_TEST_COUNTS_NO_NEW)
constexpr bool counts_new = false;
#else
constexpr bool counts_new = true;
#endif
}  // namespace

#if !defined(LADING_TEST_COUNTS_NO_NEW)

[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  allocations.fetch_add(1);
  return std::malloc(size != 0 ? size : 1);
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* const memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

#endif
