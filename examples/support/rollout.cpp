// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "rollout.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "problem.hpp"

namespace support {

namespace {

/// xorshift64*: a fixed sequence on every machine, fast enough for hundreds of megabytes.
class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u | 1) {}
  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du;
  }
  std::uint64_t below(std::uint64_t limit) { return (next() >> 32) % limit; }
  float unit() { return static_cast<float>(next() >> 40) * 0x1p-24F; }

 private:
  std::uint64_t state_;
};

lading::tensor random_floats(std::initializer_list<std::int64_t> shape, random_numbers& random) {
  auto made = expect(lading::tensor::uninitialized(lading::dtype::float32, shape), "making a tensor");
  for (float& item : expect(made.as<float>(), "filling a tensor")) item = 2 * random.unit() - 1;
  return made;
}

template <class Item, class Fill>
lading::jagged random_rows(std::span<const std::int64_t> lengths, Fill&& fill) {
  lading::jagged made = expect(lading::jagged::uninitialized(lading::dtype_of<Item>, lengths, {}), "making rows");
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    for (Item& item : expect(made.row_as<Item>(row), "filling rows")) item = fill();
  }
  return made;
}

std::string random_text(std::size_t size, std::string_view letters, random_numbers& random) {
  std::string text(size, ' ');
  for (char& letter : text) letter = letters[random.below(letters.size())];
  return text;
}

template <class Left, class Right>
bool same_bits(std::span<const Left> left, std::span<const Right> right) {
  static_assert(std::is_same_v<Left, Right>);
  return left.size() == right.size() && (left.empty() || std::memcmp(left.data(), right.data(), left.size_bytes()) == 0);
}

template <class Received>
bool same_rollout(const rollout& sent, const Received& received) {
  const auto same_entry = [](const auto& left, const auto& right) { return left.first == right.first && left.second == right.second; };
  return sent.id == received.id && sent.uid == received.uid && sent.prompt == received.prompt &&
         same_bits(std::span(sent.prompt_tokens), std::span<const std::int32_t>(received.prompt_tokens)) && sent.responses == received.responses &&
         sent.log_probs == received.log_probs && sent.mask == received.mask &&
         same_bits(std::span(sent.rewards), std::span<const double>(received.rewards)) &&
         std::equal(sent.multi_modal.begin(), sent.multi_modal.end(), received.multi_modal.begin(), received.multi_modal.end(), same_entry) &&
         sent.hidden_states.has_value() == received.hidden_states.has_value() &&
         (!sent.hidden_states || *sent.hidden_states == *received.hidden_states);
}

}  // namespace

std::vector<rollout> make_rollouts(const rollout_plan& plan) {
  random_numbers random(2026);
  std::vector<rollout> batch(plan.rollouts);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    rollout& each = batch[i];
    each.id = static_cast<std::int64_t>(1'000'000 + i);
    each.uid = "rollout-" + random_text(32, "0123456789abcdef", random);
    each.prompt = random_text(200 + random.below(1000), "abcdefghijklmnopqrstuvwxyz     ", random);
    each.prompt_tokens.resize(each.prompt.size() / 4);
    for (std::int32_t& token : each.prompt_tokens) token = static_cast<std::int32_t>(random.below(151'936));
    std::vector<std::int64_t> lengths(plan.responses);
    for (std::int64_t& length : lengths) length = static_cast<std::int64_t>(1 + random.below(plan.longest_response));
    each.responses = random_rows<std::int32_t>(lengths, [&] { return static_cast<std::int32_t>(random.below(151'936)); });
    each.log_probs = random_rows<float>(lengths, [&] { return -8 * random.unit(); });
    each.mask = random_rows<bool>(lengths, [&] { return random.below(16) != 0; });
    each.rewards.resize(plan.responses);
    for (double& reward : each.rewards) reward = random.below(2) == 0 ? 0.0 : 1.0;
    if (i % plan.image_every == 0) {
      each.multi_modal.emplace("pixel_values", random_floats({plan.image_patches, 1176}, random));
      each.multi_modal.emplace("image_grid_thw", expect(lading::tensor::of(std::array<std::int64_t, 3>{1, 32, 32}, {1, 3}), "making a tensor"));
    }
    if (i == plan.rollouts / 2) each.hidden_states = random_floats({plan.hidden_size, plan.hidden_size}, random);
  }
  return batch;
}

rollout_view view_of(const rollout& value) {
  rollout_view made{.id = value.id,
                    .uid = value.uid,
                    .prompt = value.prompt,
                    .prompt_tokens = value.prompt_tokens,
                    .responses = value.responses.view(),
                    .log_probs = value.log_probs.view(),
                    .mask = value.mask.view(),
                    .rewards = value.rewards,
                    .multi_modal = {},
                    .hidden_states = {}};
  for (const auto& [name, image] : value.multi_modal) made.multi_modal.emplace(name, image.view());
  if (value.hidden_states) made.hidden_states = value.hidden_states->view();
  return made;
}

bool same(const rollout& sent, const rollout& received) { return same_rollout(sent, received); }
bool same(const rollout& sent, const rollout_view& received) { return same_rollout(sent, received); }

}  // namespace support
