// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// What packing may allocate: pack_into nothing, unpack_from one block bounded by the buffer, plan_gather two; and what happens where there is no memory.

#include <algorithm>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include <lading/core/endian.hpp>
#include <lading/pack/gather.hpp>
#include <lading/pack/pack.hpp>
#include <lading/pack/unpack.hpp>

#include "pack/samples.hpp"

namespace {

thread_local std::size_t allocations = 0, allocated_bytes = 0;
thread_local std::size_t fail_after = ~std::size_t{0};

void* counted(std::size_t size, std::size_t alignment) noexcept {
  ++allocations;
  allocated_bytes += size;
  if (fail_after == 0) return nullptr;
  --fail_after;
  return std::aligned_alloc(alignment, (std::max<std::size_t>(size, 1) + alignment - 1) / alignment * alignment);
}

void* counted_or_throw(std::size_t size, std::size_t alignment) {
  void* const memory = counted(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) { return counted_or_throw(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted_or_throw(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return counted(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return counted(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void* operator new[](std::size_t size) { return counted_or_throw(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace pack_test;

struct counted_scope {
  counted_scope() { allocations = allocated_bytes = 0; }
  ~counted_scope() { fail_after = ~std::size_t{0}; }
  counted_scope(const counted_scope&) = delete;
  counted_scope& operator=(const counted_scope&) = delete;
};

TEST(PackAllocation, TheCounterCounts) {
  const counted_scope scope;
  ::operator delete(::operator new(100));  // called by name: a new-expression may be optimised away
  EXPECT_EQ(allocations, 1U);
  EXPECT_EQ(allocated_bytes, 100U);
}

TEST(PackAllocation, PackIntoAllocatesNothing) {
  const auto items = payloads({62, 512, 640, 0, 20000});
  bytes target(lading::calc_packed_size(items).value()), small(3);
  const counted_scope scope;
  const bool fine = lading::calc_packed_size(items).has_value() && lading::pack_into(target, items).has_value() &&
                    lading::pack_into(target, items, {.checksum = false}).has_value() &&
                    lading::pack_into<transfer_queue>(target, items).has_value() && !lading::pack_into(small, items).has_value();
  EXPECT_EQ(allocations, 0U);
  EXPECT_TRUE(fine);
}

template <class Layout>
void unpack_from_allocates_once() {
  for (const auto& sizes : size_sets()) {
    const bytes buffer = packed<Layout>(sizes);
    const counted_scope scope;
    const auto read = lading::unpack_from<Layout>(buffer);
    EXPECT_EQ(allocations, 1U);
    EXPECT_LE(allocated_bytes, 2 * buffer.size());
    EXPECT_TRUE(read.has_value());
  }
}

TEST(PackAllocation, UnpackFromAllocatesOnceAndInProportion) {
  unpack_from_allocates_once<aligned>();
  unpack_from_allocates_once<transfer_queue>();
}

TEST(PackAllocation, RejectedCountsAllocateNothing) {
  bytes buffer = packed({5, 6});
  lading::detail::store_little<std::uint64_t>(buffer.data() + 8, std::uint64_t{1} << 58);
  const bytes claims = file_bytes("transfer_queue/malformed/m04_count_max.bin");
  const counted_scope scope;
  const bool rejected = !lading::unpack_from(buffer).has_value() && !lading::unpack_from<transfer_queue>(claims).has_value();
  EXPECT_EQ(allocations, 0U);
  EXPECT_TRUE(rejected);
}

TEST(PackAllocation, PlanGatherAllocatesTwice) {
  const auto items = payloads({62, 512, 640, 0, 20000});
  const counted_scope scope;
  const auto plan = lading::plan_gather(items);
  EXPECT_EQ(allocations, 2U);
  EXPECT_TRUE(plan.has_value());
}

TEST(PackAllocation, WithoutMemoryThereIsAnError) {
  const auto items = payloads({5, 6});
  const bytes buffer = packed_items(items);
  const counted_scope scope;
  fail_after = 0;
  const auto read = lading::unpack_from(buffer);
  const auto none = lading::plan_gather(items);
  fail_after = 1;
  const auto head_only = lading::plan_gather(items);
  fail_after = ~std::size_t{0};
  expect_error(read, errc::no_memory, "needs 128: the copy of header and table could not be allocated");
  expect_error(none, errc::no_memory, "needs 191: the allocation failed");
  expect_error(head_only, errc::no_memory, ": the allocation failed");
  EXPECT_TRUE(lading::unpack_from(buffer));
}

}  // namespace
