// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Exceptions, allocations that fail, and hooks that do not keep their word: the first error by object, nothing outside the slots, and a pool that
// goes on working.

#include <atomic>
#include <cstdlib>
#include <new>
#include <stdexcept>

#include <gtest/gtest.h>

#include "batch/samples.hpp"

namespace {

std::atomic<std::size_t> allocations{0};
std::atomic<std::size_t> failing{~std::size_t{0}};  ///< the allocation that fails, counted from 0; and all after it

void* counted(std::size_t size, std::size_t alignment) noexcept {
  if (allocations.fetch_add(1) >= failing) return nullptr;
  return std::aligned_alloc(alignment, ((size == 0 ? 1 : size) + alignment - 1) / alignment * alignment);
}

void* counted_or_throw(std::size_t size, std::size_t alignment) {
  void* const memory = counted(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Not inlined, so that the compiler does not pair free() with another operator new.
[[gnu::noinline]] void* operator new(std::size_t size) { return counted_or_throw(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted_or_throw(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return counted(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return counted(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void* operator new[](std::size_t size) { return counted_or_throw(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
[[gnu::noinline]] void* operator new[](std::size_t size, std::align_val_t alignment) {
  return counted_or_throw(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return counted(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
[[gnu::noinline]] void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return counted(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

/// Throws, or grows between two visits, as it is told.
class moody {
 public:
  enum mood { calm, throws_int, throws_bad_alloc, throws_when_written, changes, refuses };

  moody() = default;
  moody(mood now, std::size_t size) : now_(now), text_(size, 'm') {}
  [[nodiscard]] const std::string& text() const {
    const int visit = visits_.fetch_add(1);
    if (now_ == throws_int) throw 1;
    if (now_ == throws_bad_alloc) throw std::bad_alloc();
    if (now_ == throws_when_written && visit == 1) throw std::runtime_error("written");
    if (now_ == changes && visit == 1) text_.append(1000, 'n');
    return text_;
  }
  moody(const moody& other) : now_(other.now_), text_(other.text_) {}
  moody& operator=(const moody& other) { return now_ = other.now_, text_ = other.text_, *this; }

  static lading::result<moody> from(std::string text) {
    if (text.size() == 13) throw std::runtime_error("unlucky");
    if (text.size() == 14) return lading::fail(lading::errc::invalid_value);
    return moody(calm, text.size());
  }

 private:
  mood now_ = calm;
  mutable std::string text_;
  mutable std::atomic<int> visits_{0};
};

}  // namespace

template <>
struct lading::codec<moody> {
  static std::string to(const moody& value) { return value.text(); }
  static lading::result<moody> from(std::string text) { return moody::from(std::move(text)); }
};

namespace {

using namespace batch_test;
using lading::batch_decode_from;
using lading::batch_encode_into;
using lading::worker_pool;

struct fails_from {
  explicit fails_from(std::size_t nth) {
    allocations = 0;
    failing = nth;
  }
  ~fails_from() { failing = ~std::size_t{0}; }
  fails_from(const fails_from&) = delete;
  fails_from& operator=(const fails_from&) = delete;
};

/// 20 objects, large enough for several workers, of which two have a mood.
std::vector<moody> objects_with(moody::mood mood) {
  std::vector<moody> objects;
  for (std::size_t i = 0; i < 20; ++i) objects.emplace_back(i == 11 || i == 17 ? mood : moody::calm, 200'000);
  return objects;
}

TEST(batch_failure, an_exception_names_the_first_object_that_throws) {
  worker_pool pool(3);
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
    for (const auto& [mood, code] : {std::pair{moody::throws_int, errc::invalid_value}, std::pair{moody::throws_bad_alloc, errc::no_memory}}) {
      arena slots;
      const auto batch = batch_encode_into(objects_with(mood), slots, {.num_workers = workers, .pool = &pool});
      ASSERT_FALSE(batch);
      EXPECT_EQ(batch.error(), code);
      EXPECT_EQ(batch.error().details().item, 11U);
      EXPECT_EQ(slots.calls, 0);
    }
    arena control;
    EXPECT_TRUE(batch_encode_into(objects_with(moody::calm), control, {.num_workers = workers, .pool = &pool}));
  }
}

TEST(batch_failure, a_hook_that_fails_while_writing_touches_only_slots) {
  worker_pool pool(3);
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
    for (const auto& [mood, code] : {std::pair{moody::throws_when_written, errc::invalid_value}, std::pair{moody::changes, errc::invalid_argument}}) {
      arena slots(placing::ascending);
      lading::packed_batch given;
      const auto batch = batch_encode_into(objects_with(mood),
                                           [&](sizes_view sizes) {
                                             given.buffers = slots(sizes);
                                             given.sizes.assign(sizes.begin(), sizes.end());
                                             return given.buffers;
                                           },
                                           {.num_workers = workers, .pool = &pool});
      ASSERT_FALSE(batch);
      EXPECT_EQ(batch.error(), code) << batch.error().message();
      EXPECT_EQ(batch.error().details().item, 11U);
      EXPECT_TRUE(slots.only_wrote(given));
    }
  }
}

TEST(batch_failure, an_allocator_that_throws_is_an_error) {
  const auto objects = samples({10, 20});
  EXPECT_EQ(batch_encode_into(objects, [](sizes_view) -> std::vector<bytes_span> { throw std::bad_alloc(); }).error(), errc::no_memory);
  EXPECT_EQ(batch_encode_into(objects, [](sizes_view) -> std::vector<bytes_span> { throw 7; }).error(), errc::invalid_value);
}

TEST(batch_failure, decoding_names_the_first_object_that_throws) {
  worker_pool pool(2);
  std::vector<std::string> texts(20, std::string(200'000, 'x'));
  for (const auto& [size, code] : {std::pair{std::size_t{13}, errc::invalid_value}, std::pair{std::size_t{14}, errc::invalid_value}}) {
    texts[12] = texts[15] = std::string(size, 'x');
    arena slots;
    std::vector<moody> objects;
    for (const auto& text : texts) objects.emplace_back(moody::calm, text.size());
    const auto batch = batch_encode_into(objects, slots);
    ASSERT_TRUE(batch);
    for (const std::size_t workers : {std::size_t{1}, std::size_t{3}}) {
      const auto back = batch_decode_from<moody>(*batch, {.num_workers = workers, .pool = &pool});
      ASSERT_FALSE(back);
      EXPECT_EQ(back.error(), code);
      EXPECT_EQ(back.error().details().item, 12U);
    }
  }
}

TEST(batch_failure, every_allocation_may_fail) {
  const auto objects = samples({3 << 20, 100, 5000, 2 << 20, 300'000});
  const auto expected = one_by_one(objects);
  worker_pool pool(1);
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}}) {
    const lading::batch_options options{.num_workers = workers, .pool = &pool};
    arena kept;
    std::vector<bytes_span> slots;
    (void)batch_encode_into(objects, [&](sizes_view sizes) { return slots = kept(sizes); });
    std::fill(kept.bytes.begin(), kept.bytes.end(), arena::canary);
    std::size_t nth = 0;
    for (;; ++nth) {
      ASSERT_LT(nth, 1000U);
      lading::result<lading::packed_batch> batch = lading::fail(errc::busy);
      {
        const fails_from scope(nth);
        batch = batch_encode_into(
            objects, [&](sizes_view) { return slots; }, options);
      }
      if (batch) {
        EXPECT_EQ(contents(*batch), expected);
        break;
      }
      EXPECT_EQ(batch.error(), errc::no_memory);
      ASSERT_TRUE(kept.untouched());  // memory is set aside before the first byte is written
    }
    EXPECT_GE(nth, 3U);
    const auto batch = batch_encode_into(
        objects, [&](sizes_view) { return slots; }, options);
    ASSERT_TRUE(batch);
    for (nth = 0;; ++nth) {
      ASSERT_LT(nth, 1000U);
      lading::result<std::vector<sample>> back = lading::fail(errc::busy);
      {
        const fails_from scope(nth);
        back = batch_decode_from<sample>(*batch, options);
      }
      if (back) {
        EXPECT_EQ(*back, objects);
        break;
      }
      EXPECT_EQ(back.error(), errc::no_memory);
    }
    EXPECT_GE(nth, 20U);
  }
}

TEST(batch_failure, allocations_do_not_grow_with_small_objects) {
  std::size_t counts[2];
  for (const std::size_t few : {std::size_t{0}, std::size_t{1}}) {
    const std::vector<std::vector<std::int32_t>> objects(few == 0 ? 1000 : 100, std::vector<std::int32_t>(100, 1));
    arena kept;
    std::vector<bytes_span> slots;
    (void)batch_encode_into(objects, [&](sizes_view sizes) { return slots = kept(sizes); });
    {
      const fails_from scope(~std::size_t{0});
      (void)batch_encode_into(objects, [&](sizes_view) { return std::move(slots); });
      counts[few] = allocations;
    }
  }
  EXPECT_EQ(counts[0], counts[1]);
  EXPECT_LE(counts[0], 6U);
}

}  // namespace
