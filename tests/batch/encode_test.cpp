// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Packed batches have the bytes of encode and pack_into, whoever writes them and wherever the slots are.

#include <array>
#include <atomic>
#include <deque>
#include <thread>

#include <gtest/gtest.h>

#include <lading/codec/tensor/tensor.hpp>

#include "batch/samples.hpp"

namespace {

using namespace batch_test;
using lading::batch_encode_into;
using lading::batch_options;
using lading::tensor;
using lading::tensor_view;
using lading::worker_pool;

std::vector<float> counting(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 65521);
  return values;
}

/// A matrix of `rows` x `columns` seen by columns, so that it has to be gathered.
tensor_view transposed(const std::vector<float>& values, std::int64_t rows, std::int64_t columns) {
  return *tensor_view::of(std::span(values).first(static_cast<std::size_t>(rows * columns)), {rows, columns})->transpose(0, 1);
}

TEST(batch_encode, writes_what_encode_and_pack_into_do) {
  const auto objects = samples(many_sizes(50, 40'000));
  for (const bool checksum : {true, false}) {
    const batch_options options{.encode = {.out_of_band_threshold = 1000}, .checksum = checksum};
    arena slots;
    const auto batch = batch_encode_into(objects, slots, options);
    ASSERT_TRUE(batch) << batch.error().message();
    EXPECT_TRUE(holds(*batch, one_by_one(objects, options)));
    EXPECT_EQ(batch->sizes, slots.asked);
    EXPECT_EQ(slots.calls, 1);
    EXPECT_TRUE(slots.only_wrote(*batch));
    arena compact;
    const auto other = batch_encode_into<lading::layout::transfer_queue>(objects, compact, options);
    ASSERT_TRUE(other) << other.error().message();
    EXPECT_TRUE(holds(*other, one_by_one<lading::layout::transfer_queue>(objects, options)));
  }
}

TEST(batch_encode, bytes_do_not_depend_on_workers_or_pool) {
  std::vector<std::vector<std::size_t>> shapes{
      many_sizes(2500, 2000), {9 << 20}, {100, 7 << 20, 100}, {6 << 20, 0, 1 << 20, 200}, many_sizes(10, 1 << 20), {0}, {}};
  for (const auto& sizes : shapes) {
    const auto objects = samples(sizes);
    arena serial_slots;
    const auto serial = batch_encode_into(objects, serial_slots);
    ASSERT_TRUE(serial);
    const auto expected = one_by_one(objects);
    EXPECT_TRUE(holds(*serial, expected));
    for (const std::size_t threads : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
      worker_pool pool(threads);
      for (const std::size_t workers : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{8}, std::size_t{32}}) {
        if (threads == 0 && workers > 2) continue;  // nobody is there to help
        arena slots(workers == 3 ? placing::odd : placing::dense);
        const auto batch = batch_encode_into(objects, slots, {.num_workers = workers, .pool = &pool});
        ASSERT_TRUE(batch) << batch.error().message();
        EXPECT_TRUE(holds(*batch, expected)) << workers << " workers, " << threads << " threads, " << objects.size() << " objects";
        EXPECT_TRUE(slots.only_wrote(*batch));
      }
    }
  }
}

TEST(batch_encode, plain_bytes_do_not_depend_on_workers_either) {
  const auto objects = samples({9 << 20, 100, 3 << 20});
  worker_pool pool(3);
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}, std::size_t{8}}) {
    arena slots;
    const auto batch = batch_encode_into<lading::layout::transfer_queue>(objects, slots, {.num_workers = workers, .pool = &pool});
    ASSERT_TRUE(batch);
    EXPECT_TRUE(holds(*batch, one_by_one<lading::layout::transfer_queue>(objects)));
    const auto plain = batch_encode_into(objects, slots, {.num_workers = workers, .pool = &pool, .checksum = false});
    ASSERT_TRUE(plain);
    EXPECT_TRUE(holds(*plain, one_by_one(objects, {.checksum = false})));
  }
}

TEST(batch_encode, the_shared_pool_serves_where_none_is_given) {
  const auto objects = samples(many_sizes(64, 200'000));
  arena slots;
  const auto batch = batch_encode_into(objects, slots, {.num_workers = 0});
  ASSERT_TRUE(batch);
  EXPECT_TRUE(holds(*batch, one_by_one(objects)));
}

TEST(batch_encode, gathers_strided_tensors_of_any_size) {
  const auto values = counting(std::size_t{1} << 20);
  worker_pool pool(3);
  const std::vector<tensor_view> objects{transposed(values, 1024, 1024), transposed(values, 3, 5),      *tensor_view::of(values),
                                         transposed(values, 100, 300),   transposed(values, 512, 2048), tensor_view{}};
  for (const bool checksum : {true, false}) {
    const auto expected = one_by_one(objects, {.checksum = checksum});
    for (const std::size_t workers : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
      arena slots;
      const auto batch = batch_encode_into(objects, slots, {.num_workers = workers, .pool = &pool, .checksum = checksum});
      ASSERT_TRUE(batch) << batch.error().message();
      EXPECT_TRUE(holds(*batch, expected));
      const auto back = lading::batch_decode_from<tensor>(*batch, {.num_workers = workers, .pool = &pool});
      ASSERT_TRUE(back) << back.error().message();
      for (std::size_t i = 0; i < objects.size(); ++i) EXPECT_TRUE((*back)[i].view() == objects[i]);
    }
  }
  // One gathered tensor alone: everybody works on it.
  const std::vector<tensor_view> one{transposed(values, 1024, 1024)};
  const auto expected = one_by_one(one);
  for (int round = 0; round < 10; ++round) {
    arena slots;
    const auto batch = batch_encode_into(one, slots, {.num_workers = 4, .pool = &pool});
    ASSERT_TRUE(batch);
    ASSERT_TRUE(holds(*batch, expected));
  }
}

TEST(batch_encode, takes_any_sized_random_access_range) {
  const std::vector<std::string> strings{"a", "", std::string(10'000, 'x')};
  const auto expected = one_by_one(strings);
  arena slots;
  EXPECT_EQ(contents(*batch_encode_into(std::span(strings), slots)), expected);
  EXPECT_EQ(contents(*batch_encode_into(std::deque<std::string>(strings.begin(), strings.end()), slots)), expected);
  EXPECT_EQ(contents(*batch_encode_into(std::array<std::string, 3>{strings[0], strings[1], strings[2]}, slots)), expected);
  const std::string plain[3] = {strings[0], strings[1], strings[2]};
  EXPECT_EQ(contents(*batch_encode_into(plain, slots)), expected);
  const std::vector<bool> bits{true, false, true};
  const auto packed = batch_encode_into(bits, slots);
  ASSERT_TRUE(packed);
  EXPECT_EQ(lading::batch_decode_from<bool>(*packed), bits);
}

TEST(batch_encode, slots_lie_anywhere_and_may_be_larger) {
  const auto objects = samples(many_sizes(40, 9000));
  const auto expected = one_by_one(objects);
  for (const placing how : {placing::dense, placing::ascending, placing::odd, placing::descending, placing::shuffled}) {
    for (const std::size_t extra : {std::size_t{0}, std::size_t{1}, std::size_t{100}}) {
      arena slots(how, extra);
      const auto batch = batch_encode_into(objects, slots);
      ASSERT_TRUE(batch) << batch.error().message();
      EXPECT_TRUE(holds(*batch, expected));
      EXPECT_TRUE(slots.only_wrote(*batch));
      EXPECT_EQ(lading::batch_decode_from<sample>(*batch), objects);
    }
  }
}

TEST(batch_encode, an_empty_batch_asks_for_no_slot) {
  arena slots;
  const auto batch = batch_encode_into(std::vector<sample>{}, slots, {.num_workers = 8});
  ASSERT_TRUE(batch);
  EXPECT_TRUE(batch->buffers.empty() && batch->sizes.empty());
  EXPECT_EQ(slots.calls, 1);
  const auto none = lading::batch_decode_from<sample>(*batch);
  EXPECT_TRUE(none && none->empty());
}

// What the allocator may do wrong. In each test the arena's own slots are the control.

/// Runs the arena's slots through `change` and expects the batch to be refused untouched.
template <class Change>
lading::error refused(const std::vector<sample>& objects, Change&& change, std::size_t workers = 1) {
  arena slots;
  const auto batch = batch_encode_into(objects,
                                       [&](sizes_view sizes) {
                                         auto given = slots(sizes);
                                         change(given);
                                         return given;
                                       },
                                       {.num_workers = workers});
  EXPECT_FALSE(batch);
  EXPECT_TRUE(slots.untouched());
  arena control;
  EXPECT_TRUE(batch_encode_into(objects, control, {.num_workers = workers}));
  return batch ? lading::error(errc::unsupported) : batch.error();
}

TEST(batch_encode, a_wrong_number_of_slots_is_refused) {
  const auto objects = samples(many_sizes(10, 3000));
  const auto few = refused(objects, [](auto& slots) { slots.pop_back(); });
  EXPECT_EQ(few, errc::invalid_argument);
  EXPECT_EQ(few.details().needed, 10U);
  EXPECT_EQ(few.details().available, 9U);
  EXPECT_EQ(refused(objects, [](auto& slots) { slots.push_back(slots.back()); }), errc::invalid_argument);
  EXPECT_EQ(refused(objects, [](auto& slots) { slots.clear(); }), errc::invalid_argument);
  EXPECT_EQ(refused(
                samples(many_sizes(10, 1 << 20)), [](auto& slots) { slots.pop_back(); }, 2),
            errc::invalid_argument);
}

TEST(batch_encode, a_slot_that_is_too_small_is_named) {
  const auto objects = samples(many_sizes(10, 3000));
  const auto small = refused(objects, [](auto& slots) { slots[7] = slots[7].first(slots[7].size() - 1); });
  EXPECT_EQ(small, errc::buffer_too_small);
  EXPECT_EQ(small.details().item, 7U);
  EXPECT_EQ(small.details().available + 1, small.details().needed);
  EXPECT_EQ(refused(objects, [](auto& slots) { slots[0] = {}; }).details().item, 0U);
}

TEST(batch_encode, overlapping_slots_are_refused) {
  const auto objects = samples(std::vector<std::size_t>(10, 3000));
  EXPECT_EQ(refused(objects, [](auto& slots) { slots[5] = slots[4]; }), errc::invalid_argument);
  const auto last = refused(objects, [](auto& slots) { slots[9] = {slots[0].data(), slots[9].size()}; });
  EXPECT_EQ(last, errc::invalid_argument);
  EXPECT_EQ(last.details().item, 9U);
  // One byte.
  EXPECT_EQ(refused(objects, [](auto& slots) { slots[3] = {slots[2].data() + slots[2].size() - 1, slots[3].size()}; }), errc::invalid_argument);
  EXPECT_EQ(refused(objects, [](auto& slots) { slots[2] = {slots[3].data() - 1 - 63, slots[2].size()}; }), errc::invalid_argument);
}

TEST(batch_encode, slots_may_share_what_is_not_written) {
  const std::vector<std::int32_t> objects{1, 2, 3};
  std::vector<std::byte> block(4096);
  const auto batch = batch_encode_into(objects, [&](sizes_view sizes) {
    std::vector<bytes_span> slots;
    std::size_t at = 0;
    for (const std::size_t size : sizes) slots.push_back(bytes_span(block).subspan(at)), at += size;
    return slots;
  });
  ASSERT_TRUE(batch);
  EXPECT_EQ(lading::batch_decode_from<std::int32_t>(*batch), objects);
}

TEST(batch_encode, a_slot_over_an_array_that_is_to_be_sent_is_refused) {
  std::vector<std::vector<std::int64_t>> objects{std::vector<std::int64_t>(10), std::vector<std::int64_t>(2000, 7), std::vector<std::int64_t>(5)};
  const auto before = objects;
  for (const bool descending : {false, true}) {
    arena slots(descending ? placing::descending : placing::ascending);
    const auto batch = batch_encode_into(objects, [&](sizes_view sizes) {
      auto given = slots(sizes);
      given[0] = std::as_writable_bytes(std::span(objects[1])).subspan(1000, sizes[0]);
      return given;
    });
    ASSERT_FALSE(batch);
    EXPECT_EQ(batch.error(), errc::invalid_argument);
    EXPECT_EQ(batch.error().details().item, 1U);
    EXPECT_TRUE(slots.untouched());
    EXPECT_EQ(objects, before);
  }
}

TEST(batch_encode, a_slot_over_a_tensor_that_is_to_be_gathered_is_refused) {
  auto values = counting(100'000);
  const auto before = values;
  const auto reversed = *tensor_view::of(values)->flip(0);  // data() is its highest address
  const std::vector<tensor_view> objects{transposed(values, 100, 1000), reversed};
  for (const std::size_t object : {std::size_t{0}, std::size_t{1}}) {
    const std::vector<tensor_view> one{objects[object]};
    for (const std::size_t offset : {std::size_t{0}, std::size_t{4}, std::size_t{1000}, std::size_t{399'000}}) {
      const auto batch = batch_encode_into(one, [&](sizes_view sizes) {
        // The slot begins in front of the tensor or inside it, and is as large as it has to be.
        const auto all = std::as_writable_bytes(std::span(values));
        return std::vector<bytes_span>{bytes_span(all.data() + offset, sizes[0])};
      });
      ASSERT_FALSE(batch) << object << " " << offset;
      EXPECT_EQ(batch.error(), errc::invalid_argument);
      ASSERT_EQ(values, before);
    }
  }
}

TEST(batch_encode, a_slot_over_the_objects_themselves_is_refused) {
  std::vector<std::array<std::int64_t, 64>> objects(20);
  const auto batch = batch_encode_into(objects, [&](sizes_view sizes) {
    return std::vector<bytes_span>(sizes.size(), bytes_span(std::as_writable_bytes(std::span(objects))).subspan(64, sizes[0]));
  });
  ASSERT_FALSE(batch);
  EXPECT_EQ(batch.error(), errc::invalid_argument);
  const std::vector<std::array<std::int64_t, 64>> one(1);
  const auto in_it = batch_encode_into(one, [&](sizes_view sizes) {
    // Safety: refused before anything is written.
    return std::vector<bytes_span>{{reinterpret_cast<std::byte*>(const_cast<std::int64_t*>(one[0].data())) + 8, sizes[0]}};
  });
  ASSERT_FALSE(in_it);
  EXPECT_EQ(in_it.error(), errc::invalid_argument);
}

TEST(batch_encode, the_allocators_error_is_the_batchs) {
  const auto objects = samples({100, 200});
  const auto batch =
      batch_encode_into(objects, [](sizes_view) -> lading::result<std::vector<bytes_span>> { return lading::fail(errc::no_space, {.item = 1}); });
  ASSERT_FALSE(batch);
  EXPECT_EQ(batch.error(), errc::no_space);
  EXPECT_EQ(batch.error().details().item, 1U);
}

TEST(batch_encode, a_container_that_is_too_long_for_the_layout_is_named) {
  std::vector<bytes_view> objects(3);
  static constexpr std::byte some[16]{};
  objects[0] = some;
  objects[1] = {some, std::size_t{1} << 32};  // never read: refused while planning
  int calls = 0;
  const auto batch = batch_encode_into<lading::layout::transfer_queue>(objects, [&](sizes_view) { return ++calls, std::vector<bytes_span>{}; });
  ASSERT_FALSE(batch);
  EXPECT_EQ(batch.error(), errc::size_overflow);
  EXPECT_EQ(batch.error().details().item, 1U);
  EXPECT_EQ(calls, 0);
}

// Pools.

TEST(batch_encode, nested_batches_do_not_deadlock) {
  const auto objects = samples(std::vector<std::size_t>(24, 200'000));
  const auto expected = one_by_one(objects);
  for (const std::size_t threads : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
    worker_pool pool(threads);
    std::atomic<int> right{0};
    const auto done = pool.run(8, 8, [&](std::size_t) -> lading::result<void> {
      arena slots;
      const auto batch = batch_encode_into(objects, slots, {.num_workers = 4, .pool = &pool});
      if (!batch) return lading::fail(batch.error());
      const auto back = lading::batch_decode_from<sample>(*batch, {.num_workers = 4, .pool = &pool});
      if (!back) return lading::fail(back.error());
      if (holds(*batch, expected) && *back == objects) ++right;
      return {};
    });
    EXPECT_TRUE(done);
    EXPECT_EQ(right, 8);
  }
}

TEST(batch_encode, threads_share_one_pool) {
  const auto objects = samples({3 << 20, 100, 2 << 20, 100'000, 300'000, 5});
  const auto expected = one_by_one(objects);
  worker_pool pool(2);
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        arena slots;
        const auto batch = batch_encode_into(objects, slots, {.num_workers = 3, .pool = &pool});
        if (batch && holds(*batch, expected) && lading::batch_decode_from<sample>(*batch, {.num_workers = 3, .pool = &pool}) == objects) ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 30);
}

}  // namespace
