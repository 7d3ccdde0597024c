// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lading/codec/tensor/jagged.hpp>
#include <lading/codec/tensor/tensor.hpp>

namespace support {

/// One prompt and the responses that a policy gave to it, as a queue between generation and training holds it.
struct rollout {
  std::int64_t id = 0;
  std::string uid;
  std::string prompt;
  std::vector<std::int32_t> prompt_tokens;
  lading::jagged responses;                           // token ids, int32: one row for each response, none as long as the next
  lading::jagged log_probs;                           // float32, as long as the responses
  lading::jagged mask;                                // bool: which tokens are trained on
  std::vector<double> rewards;                        // one for each response
  std::map<std::string, lading::tensor> multi_modal;  // pixel_values [patches, 1176] float32, image_grid_thw [1, 3] int64; empty without an image
  std::optional<lading::tensor> hidden_states;        // [4096, 4096] float32, 64 MiB; of one rollout only
};

/// The same structure, borrowed from a packed buffer.
struct rollout_view {
  std::int64_t id = 0;
  std::string_view uid;
  std::string_view prompt;
  std::span<const std::int32_t> prompt_tokens;
  lading::jagged_view responses;
  lading::jagged_view log_probs;
  lading::jagged_view mask;
  std::span<const double> rewards;
  std::map<std::string_view, lading::tensor_view> multi_modal;
  std::optional<lading::tensor_view> hidden_states;
};

/// How large a batch is made.
struct rollout_plan {
  std::size_t rollouts = 64;
  std::size_t responses = 8;            // of each rollout
  std::size_t longest_response = 1536;  // tokens
  std::size_t image_every = 4;          // one rollout of so many has an image
  std::int64_t image_patches = 1024;    // rows of pixel_values
  std::int64_t hidden_size = 4096;      // both dimensions of hidden_states
};

/// A batch of random values; the same for the same plan.
[[nodiscard]] std::vector<rollout> make_rollouts(const rollout_plan& plan);

/// Borrows all of it.
[[nodiscard]] rollout_view view_of(const rollout& value);

/// Whether every value is the same, bit for bit.
[[nodiscard]] bool same(const rollout& sent, const rollout& received);
[[nodiscard]] bool same(const rollout& sent, const rollout_view& received);

}  // namespace support
