// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// batch_decode_from undoes batch_encode_into, for any number of workers, and names the first bad buffer.

#include <gtest/gtest.h>

#include <lading/codec/tensor/tensor.hpp>

#include "batch/samples.hpp"

namespace {

using namespace batch_test;
using lading::batch_decode_from;
using lading::batch_encode_into;
using lading::tensor;
using lading::tensor_view;
using lading::worker_pool;

struct tokens_owned {
  std::int64_t id = 0;
  std::string uid;
  std::vector<std::int32_t> tokens;
  bool operator==(const tokens_owned&) const = default;
};
struct tokens_view {
  std::int64_t id = 0;
  std::string_view uid;
  std::span<const std::int32_t> tokens;
};
struct nothing {
  bool operator==(const nothing&) const = default;
};

std::vector<tokens_owned> tokens(std::size_t count, std::size_t most) {
  std::vector<tokens_owned> made;
  for (const std::size_t size : many_sizes(count, most)) {
    made.push_back({static_cast<std::int64_t>(size), "uid" + std::to_string(size), std::vector<std::int32_t>(size / 4, static_cast<int>(size))});
  }
  return made;
}

template <class Layout, class T>
void comes_back(const std::vector<T>& objects) {
  worker_pool pool(2);
  arena slots;
  const auto batch = batch_encode_into<Layout>(objects, slots);
  ASSERT_TRUE(batch) << batch.error().message();
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{32}}) {
    for (const bool verify : {true, false}) {
      const auto back = batch_decode_from<T, Layout>(*batch, {.num_workers = workers, .pool = &pool, .verify_checksum = verify});
      ASSERT_TRUE(back) << back.error().message();
      EXPECT_EQ(*back, objects);
    }
  }
  std::vector<bytes_view> exact;
  for (std::size_t i = 0; i < objects.size(); ++i) exact.push_back(batch->buffers[i].first(batch->sizes[i]));
  const auto from_views = batch_decode_from<T, Layout>(exact);
  ASSERT_TRUE(from_views);
  EXPECT_EQ(*from_views, objects);
  const auto copies = contents(*batch);  // a range of owning buffers
  const auto from_copies = batch_decode_from<T, Layout>(copies, {.num_workers = 2, .pool = &pool});
  ASSERT_TRUE(from_copies);
  EXPECT_EQ(*from_copies, objects);
}

TEST(batch_decode, undoes_encoding_in_both_layouts) {
  for (const auto& sizes : {many_sizes(30, 30'000), std::vector<std::size_t>{9 << 20, 10, 3 << 20}, std::vector<std::size_t>{}}) {
    comes_back<lading::layout::aligned>(samples(sizes));
    comes_back<lading::layout::transfer_queue>(samples(sizes));
  }
}

// Each type costs seconds to compile under sanitizers; the codec's own tests have all of them.
TEST(batch_decode, undoes_encoding_of_other_types) {
  comes_back<lading::layout::aligned>(tokens(2000, 4000));
  comes_back<lading::layout::aligned>(std::vector<int>{1, -2, 3});
  comes_back<lading::layout::aligned>(std::vector<nothing>(10));
  comes_back<lading::layout::aligned>(std::vector<std::string>{"", "a", std::string(100'000, 'b')});
  comes_back<lading::layout::aligned>(std::vector<std::vector<double>>(5, std::vector<double>(300'000, 1.5)));
}

TEST(batch_decode, tensors_come_back) {
  const std::vector<float> values(500'000, 2.5F);
  std::vector<std::map<std::string, tensor>> objects(4);
  for (auto& object : objects) {
    object.emplace("large", *tensor::of(values, {500, 1000}));
    object.emplace("small", *tensor::of(std::vector<std::int64_t>{1, 2, 3}));
  }
  worker_pool pool(2);
  arena slots;
  const auto batch = batch_encode_into(objects, slots, {.num_workers = 3, .pool = &pool});
  ASSERT_TRUE(batch);
  for (const std::size_t workers : {std::size_t{1}, std::size_t{3}}) {
    const auto views = batch_decode_from<std::map<std::string, tensor_view>>(*batch, {.num_workers = workers, .pool = &pool});
    ASSERT_TRUE(views) << views.error().message();
    ASSERT_EQ(views->size(), 4U);
    for (const auto& view : *views) {
      EXPECT_TRUE(view.at("large") == objects[0].at("large").view());
      EXPECT_TRUE(view.at("small") == objects[0].at("small").view());
    }
  }
}

TEST(batch_decode, views_borrow_the_slots) {
  const auto objects = tokens(500, 20'000);
  arena slots;
  const auto batch = batch_encode_into(objects, slots);
  ASSERT_TRUE(batch);
  worker_pool pool(1);
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}}) {
    const auto views = batch_decode_from<tokens_view>(*batch, {.num_workers = workers, .pool = &pool});
    ASSERT_TRUE(views) << views.error().message();
    for (std::size_t i = 0; i < objects.size(); ++i) {
      EXPECT_EQ((*views)[i].uid, objects[i].uid);
      ASSERT_EQ((*views)[i].tokens.size(), objects[i].tokens.size());
      EXPECT_TRUE(std::equal(objects[i].tokens.begin(), objects[i].tokens.end(), (*views)[i].tokens.begin()));
      if (objects[i].tokens.empty()) continue;
      // Safety: the address is only compared.
      const auto* data = reinterpret_cast<const std::byte*>((*views)[i].tokens.data());
      EXPECT_TRUE(data >= slots.bytes.data() && data < slots.bytes.data() + slots.bytes.size());
    }
  }
}

template <class T, class Buffers>
concept decodes_from = requires(Buffers&& buffers) { batch_decode_from<T>(std::forward<Buffers>(buffers)); };

using owning_buffers = std::vector<std::vector<std::byte>>;
static_assert(decodes_from<tokens_owned, owning_buffers>);
static_assert(decodes_from<tokens_view, owning_buffers&>);
static_assert(decodes_from<tokens_view, std::vector<bytes_view>>);
static_assert(decodes_from<tokens_view, lading::packed_batch>);
static_assert(!decodes_from<tokens_view, owning_buffers>);

TEST(batch_decode, another_type_is_a_schema_mismatch) {
  const auto objects = tokens(5, 100);
  arena slots;
  auto batch = batch_encode_into(objects, slots);
  ASSERT_TRUE(batch);
  const auto wrong = batch_decode_from<sample>(*batch);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error(), errc::schema_mismatch);
  EXPECT_EQ(wrong.error().details().item, 0U);
  EXPECT_TRUE(batch_decode_from<tokens_owned>(*batch));
  // One of them only.
  arena other_slots;
  const auto other = batch_encode_into(std::vector<int>{1}, other_slots);
  ASSERT_TRUE(other);
  batch->buffers[3] = other->buffers[0];
  batch->sizes[3] = other->sizes[0];
  EXPECT_EQ(batch_decode_from<tokens_owned>(*batch).error().details().item, 3U);
}

TEST(batch_decode, the_first_bad_buffer_is_named_for_any_number_of_workers) {
  const auto objects = samples({100, 3 << 20, 5000, 9 << 20, 100, 200'000, 3 << 20, 50});
  worker_pool pool(3);
  arena slots;
  const auto batch = batch_encode_into(objects, slots, {.num_workers = 4, .pool = &pool});
  ASSERT_TRUE(batch);
  for (std::size_t bad = 0; bad < objects.size(); ++bad) {
    for (const bool later_too : {false, true}) {
      auto broken = contents(*batch);
      broken[bad][broken[bad].size() - 1] ^= std::byte{1};
      if (later_too) broken.back()[3] ^= std::byte{1};
      for (const std::size_t workers : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
        const auto back = batch_decode_from<sample>(broken, {.num_workers = workers, .pool = &pool});
        ASSERT_FALSE(back);
        EXPECT_EQ(back.error(), later_too && bad + 1 == objects.size() ? errc::bad_magic : errc::checksum_mismatch);
        EXPECT_EQ(back.error().details().item, bad) << workers << " workers";
      }
    }
  }
  // A value that does not decode in front of a large buffer that does not verify.
  auto broken = contents(*batch);
  broken[6].back() ^= std::byte{1};
  arena wrong_slots;
  const auto wrong = batch_encode_into(std::vector<sample>(1), wrong_slots);
  broken[2] = contents(*wrong)[0];
  broken[2].pop_back();
  for (const std::size_t workers : {std::size_t{1}, std::size_t{4}}) {
    const auto back = batch_decode_from<sample>(broken, {.num_workers = workers, .pool = &pool});
    ASSERT_FALSE(back);
    EXPECT_EQ(back.error().details().item, 2U);
    EXPECT_EQ(back.error(), errc::truncated);
  }
  EXPECT_TRUE(batch_decode_from<sample>(contents(*batch), {.num_workers = 4, .pool = &pool}));
}

TEST(batch_decode, every_truncation_and_flipped_bit_of_one_buffer_is_refused) {
  const auto objects = tokens(3, 60);
  arena slots;
  const auto batch = batch_encode_into(objects, slots);
  ASSERT_TRUE(batch);
  auto buffers = contents(*batch);
  for (std::size_t bit = 0; bit < buffers[1].size() * 8; ++bit) {
    buffers[1][bit / 8] ^= std::byte{1} << (bit % 8);
    const auto back = batch_decode_from<tokens_owned>(buffers);
    ASSERT_FALSE(back) << bit;
    EXPECT_EQ(back.error().details().item, 1U);
    buffers[1][bit / 8] ^= std::byte{1} << (bit % 8);
  }
  EXPECT_TRUE(batch_decode_from<tokens_owned>(buffers));
  while (!buffers[1].empty()) {
    buffers[1].pop_back();
    const auto back = batch_decode_from<tokens_owned>(buffers);
    ASSERT_FALSE(back);
    EXPECT_EQ(back.error().details().item, 1U);
  }
}

TEST(batch_decode, a_batch_that_contradicts_itself_is_refused) {
  arena slots;
  const auto batch = batch_encode_into(std::vector<int>{1, 2, 3}, slots);
  ASSERT_TRUE(batch);
  auto short_of_sizes = *batch;
  short_of_sizes.sizes.pop_back();
  EXPECT_EQ(batch_decode_from<int>(short_of_sizes).error(), errc::invalid_argument);
  auto too_large = *batch;
  too_large.sizes[1] = too_large.buffers[1].size() + 1;
  EXPECT_EQ(batch_decode_from<int>(too_large).error(), errc::invalid_argument);
  EXPECT_EQ(batch_decode_from<int>(too_large).error().details().item, 1U);
  EXPECT_TRUE(batch_decode_from<int>(*batch));
}

TEST(batch_decode, limits_hold_for_each_object) {
  const std::vector<std::vector<std::vector<int>>> objects(3, {{1}, {2}});
  arena slots;
  const auto batch = batch_encode_into(objects, slots);
  ASSERT_TRUE(batch);
  const auto back = batch_decode_from<std::vector<std::vector<int>>>(*batch, {.limits = {.max_depth = 0}});
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error(), errc::limit_exceeded);
  EXPECT_TRUE(batch_decode_from<std::vector<std::vector<int>>>(*batch));
}

// Two types whose fingerprints collide: nobody is told, so decoding has to stay within the bytes whatever they mean.
template <class Written, class Read>
void survives_a_collision(const std::vector<Written>& objects) {
  for (const Written& object : objects) {
    const auto frames = lading::encode(object, {.out_of_band_threshold = 64});
    ASSERT_TRUE(frames);
    std::vector<std::byte> packed(lading::calc_packed_size(*frames).value());
    ASSERT_TRUE(lading::pack_into(packed, *frames, {.schema = lading::schema_of<Read>()}));
    const std::vector<bytes_view> buffers{packed};
    const auto read = batch_decode_from<Read>(buffers);
    EXPECT_TRUE(read || read.error() != errc::schema_mismatch);
  }
}

TEST(batch_decode, fingerprints_that_collide_are_survived) {
  survives_a_collision<tokens_owned, sample>(tokens(50, 2000));
  survives_a_collision<tokens_owned, std::map<std::string, tensor>>(tokens(50, 2000));
  survives_a_collision<sample, tokens_view>(samples(many_sizes(50, 2000)));
  survives_a_collision<sample, std::map<std::string, tensor_view>>(samples(many_sizes(50, 2000)));
}

}  // namespace
