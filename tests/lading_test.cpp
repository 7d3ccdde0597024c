// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Every name of the public interface, used as a program outside would: what compiles and holds here is the contract with users.

#include <lading/lading.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace lading_test {

class probability {  // private state
 public:
  probability() = default;
  static lading::result<probability> of(float number) {
    if (!(number >= 0 && number <= 1)) return lading::fail(lading::errc::invalid_value, {.what = "a probability lies in 0..1"});
    probability made;
    made.number_ = number;
    return made;
  }
  [[nodiscard]] float number() const { return number_; }

 private:
  float number_ = 0;
};

}  // namespace lading_test

template <>
struct lading::codec<lading_test::probability> {
  static float to(const lading_test::probability& value) { return value.number(); }
  static lading::result<lading_test::probability> from(float number) { return lading_test::probability::of(number); }
};

namespace {

using lading::bytes_span;
using lading::bytes_view;
using lading::errc;
using lading_test::probability;

struct rollout {
  std::uint32_t group;
  std::string prompt;
  std::vector<float> log_probs;
  std::map<std::string, std::list<std::int64_t>> spans;
  std::optional<double> reward;
  bool operator==(const rollout&) const = default;
};
struct rollout_view {
  std::uint32_t group;
  std::string_view prompt;
  std::span<const float> log_probs;
  std::map<std::string_view, std::list<std::int64_t>> spans;
  std::optional<double> reward;
};

static_assert(std::same_as<bytes_view, std::span<const std::byte>> && std::same_as<bytes_span, std::span<std::byte>>);
static_assert(std::is_trivially_copyable_v<lading::error>);
static_assert(std::same_as<std::underlying_type_t<errc>, std::uint16_t>);
static_assert(lading::schema_of<rollout>() == lading::schema_of<rollout_view>());
static_assert(lading::schema_of<rollout>() != lading::schema_of<probability>());
static_assert(std::ranges::random_access_range<const lading::frames> && std::same_as<std::ranges::range_value_t<const lading::frames>, bytes_view>);
static_assert(std::ranges::random_access_range<const lading::unpacked> &&
              std::same_as<std::ranges::range_value_t<const lading::unpacked>, bytes_view>);
static_assert(lading::packed_layout<lading::layout::aligned> && lading::packed_layout<lading::layout::transfer_queue>);

rollout sample() { return {3, "Why?", std::vector<float>(5000, 0.25F), {{"think", {1, 2}}, {"answer", {}}}, 1.5}; }

/// Slots one behind the other in one slab.
class slab {
 public:
  explicit slab(std::size_t size) : bytes_(size) {}
  std::vector<bytes_span> operator()(std::span<const std::size_t> sizes) {
    ++calls;
    std::vector<bytes_span> slots;
    for (const std::size_t size : sizes) {
      slots.push_back(bytes_span(bytes_).subspan(used_, size));
      used_ += (size + 63) / 64 * 64;
    }
    return slots;
  }
  int calls = 0;

 private:
  std::vector<std::byte> bytes_;
  std::size_t used_ = 0;
};

TEST(lading, one_value_as_a_stream) {
  const rollout value = sample();
  std::vector<std::byte> stream(lading::encoded_size(value));
  const lading::result<std::size_t> written = lading::encode_into(value, stream);
  ASSERT_TRUE(written.has_value());
  EXPECT_EQ(*written, stream.size());

  const lading::result<rollout> read = lading::decode_from<rollout>(stream);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(*read, value);

  rollout reused{};
  const lading::result<void> done = lading::decode_into(reused, stream, lading::decode_limits{.max_depth = 4});
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(reused, value);
  EXPECT_EQ(lading::decode_from<rollout>(stream, {.max_depth = 0}).error().code(), errc::limit_exceeded);
}

TEST(lading, one_value_as_frames_in_a_packed_buffer) {
  const rollout value = sample();
  const lading::result<lading::frames> frames = lading::encode(value, lading::encode_options{.out_of_band_threshold = 1024});
  ASSERT_TRUE(frames.has_value());
  ASSERT_EQ(frames->size(), 2U);
  EXPECT_EQ((*frames)[1].data(), reinterpret_cast<const std::byte*>(value.log_probs.data()));  // borrowed, not copied

  const lading::result<std::size_t> size = lading::calc_packed_size(*frames);
  ASSERT_TRUE(size.has_value());
  std::vector<std::byte> packed(*size);
  const lading::pack_options options{.checksum = true, .schema = lading::schema_of<rollout>()};
  ASSERT_EQ(lading::pack_into(packed, *frames, options).value_or(0), *size);

  const lading::result<lading::unpacked> items = lading::unpack_from(packed, lading::unpack_options{.verify_checksum = true});
  ASSERT_TRUE(items.has_value());
  EXPECT_EQ(lading::decode<rollout>(*items).value(), value);
  const auto view = lading::decode<rollout_view>(*items);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->prompt, value.prompt);
  EXPECT_EQ(reinterpret_cast<const std::byte*>(view->log_probs.data()), (*items)[1].data());  // opened where it lies

  const auto plan = lading::plan_gather(*frames, options);
  ASSERT_TRUE(plan.has_value());
  std::vector<std::byte> gathered(plan->size());
  for (const auto& [source, offset] : plan->parts()) std::copy(source.begin(), source.end(), gathered.begin() + static_cast<std::ptrdiff_t>(offset));
  EXPECT_EQ(gathered, packed);
}

TEST(lading, frames_of_anybody_in_the_layout_of_transfer_queue) {
  const std::array<std::byte, 3> first{std::byte{1}, std::byte{2}, std::byte{3}};
  const std::vector<bytes_view> items{first, {}};
  using queue = lading::layout::transfer_queue;
  std::vector<std::byte> packed(lading::calc_packed_size<queue>(items).value());
  EXPECT_EQ(packed.size(), 4U + 2 * 8 + 3);
  ASSERT_TRUE(lading::pack_into<queue>(packed, items).has_value());
  const auto back = lading::unpack_from<queue>(packed);
  ASSERT_TRUE(back.has_value());
  ASSERT_EQ(back->size(), 2U);
  EXPECT_EQ((*back)[0][2], std::byte{3});
  EXPECT_TRUE((*back)[1].empty());
}

TEST(lading, batches_are_exact_inverses) {
  const std::vector<rollout> objects(6, sample());
  slab slots(1 << 20);
  const lading::result<lading::packed_batch> batch = lading::batch_encode_into(objects, slots, lading::batch_options{.num_workers = 2});
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(slots.calls, 1);
  EXPECT_EQ(batch->buffers.size(), objects.size());
  EXPECT_EQ(batch->sizes.size(), objects.size());
  EXPECT_EQ(lading::batch_decode_from<rollout>(*batch).value(), objects);
  EXPECT_EQ(lading::batch_decode_from<probability>(*batch).error().code(), errc::schema_mismatch);

  std::vector<bytes_view> exact;  // as they arrive elsewhere
  for (std::size_t i = 0; i < objects.size(); ++i) exact.push_back(bytes_view(batch->buffers[i]).first(batch->sizes[i]));
  lading::worker_pool pool(2);
  EXPECT_EQ(lading::batch_decode_from<rollout>(exact, {.num_workers = 2, .pool = &pool}).value(), objects);
}

TEST(lading, types_with_private_state) {
  const auto half = probability::of(0.5F);
  ASSERT_TRUE(half.has_value());
  std::vector<std::byte> stream(lading::encoded_size(*half));
  ASSERT_TRUE(lading::encode_into(*half, stream).has_value());
  EXPECT_EQ(lading::decode_from<probability>(stream)->number(), 0.5F);
  stream[3] = std::byte{0xBF};  // -0.5
  EXPECT_EQ(lading::decode_from<probability>(stream).error().message(), "invalid_value: at offset 0: a probability lies in 0..1");
}

TEST(lading, tensors) {
  const std::vector<float> numbers{1, 2, 3, 4, 5, 6};
  const auto transposed = lading::tensor_view::of(std::span<const float>(numbers), {2, 3})->transpose(0, 1);
  ASSERT_TRUE(transposed.has_value());
  const auto owned = lading::tensor::copy_of(*transposed);
  ASSERT_TRUE(owned.has_value());
  std::vector<std::byte> stream(lading::encoded_size(*transposed));
  ASSERT_TRUE(lading::encode_into(*transposed, stream).has_value());
  EXPECT_EQ(lading::decode_from<lading::tensor>(stream).value(), *owned);
  static_assert(lading::schema_of<lading::jagged>() == lading::schema_of<lading::jagged_view>());
}

TEST(lading, errors_say_what_is_wrong) {
  std::array<std::byte, 3> small{};
  const auto refused = lading::encode_into(sample(), small);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), errc::buffer_too_small);
  EXPECT_EQ(refused.error().native(), 0);
  EXPECT_EQ(refused.error().message(), "buffer_too_small: needs 20081, has 3, at offset 0: pass a target of encoded_size(value) bytes");
  EXPECT_EQ(small, (std::array<std::byte, 3>{}));
}

}  // namespace
