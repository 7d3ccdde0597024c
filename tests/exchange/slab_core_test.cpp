// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Slabs where allocations fail: what is free is never forgotten.

#include <lading/exchange/detail/slab_core.hpp>

#include <cstdlib>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

// clang's ThreadSanitizer brings operators of its own, that cannot be replaced.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LADING_TEST_NO_FAILING_NEW
#endif
#endif

namespace lading {
namespace slab_core_test {

constexpr long never = -1;
thread_local long allocations_left = never;  // of this thread; the one after them fails

}  // namespace slab_core_test
}  // namespace lading

#if !defined(LADING_TEST_NO_FAILING_NEW)

[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  using namespace lading::slab_core_test;
  if (allocations_left == 0) return nullptr;
  if (allocations_left != never) --allocations_left;
  return std::malloc(size != 0 ? size : 1);
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* const memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace lading {
namespace slab_core_test {

constexpr std::uint64_t slab_size = 4096, capacity = 3 * slab_size;

/// Some leases by the places of which neighbours are joined, and are not.
void take_and_give_back(detail::slab_core& core) {
  const auto take = [&](std::uint64_t size) {
    LADING_TRY { return core.take(size, false, 8).value_or(std::vector<slab_extent>()); }
    LADING_CATCH_BAD_ALLOC(return std::vector<slab_extent>())
  };
  const auto one = take(1000), two = take(64), three = take(2 * slab_size), four = take(slab_size), five = take(100);
  const long left = std::exchange(allocations_left, 0);
  for (const auto* each : {&one, &four, &three, &five, &two}) core.give_back(*each);
  allocations_left = left;
}

TEST(slab_core, loses_nothing_where_an_allocation_fails) {
  alignas(64) static std::byte memory[capacity];
  detail::slab_core core(8);
  for (std::size_t i = 0; i < 3; ++i) core.add(std::span(memory).subspan(i * slab_size, slab_size));
  bool failed = true;
  for (long allowed = 0; failed; ++allowed) {
    ASSERT_LT(allowed, 1000);
    allocations_left = allowed;
    take_and_give_back(core);
    failed = std::exchange(allocations_left, never) == 0;
    ASSERT_EQ(core.free_bytes(), capacity) << allowed;
    std::vector<std::vector<slab_extent>> all;
    for (int i = 0; i < 3; ++i) all.push_back(core.take(slab_size, true, 1).value());
    for (const auto& each : all) core.give_back(each);
  }
}

}  // namespace slab_core_test
}  // namespace lading

#endif
