// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <span>
#include <string>
#include <vector>

#include <support/rollout.hpp>
#include "cargo.hpp"
#include "ship.hpp"

namespace demo {

using support::make_rollouts;
using support::rollout;
using support::rollout_plan;
using support::rollout_view;

void ship_rollouts(const arguments& given, report& told) {
  rollout_plan plan;
  if (given.small) plan = {.rollouts = 8, .responses = 4, .longest_response = 256, .image_every = 4, .hidden_size = 512};
  const std::vector<rollout> batch = make_rollouts(plan);
  told.cargo = "rollout batch: " + std::to_string(batch.size()) + " prompts with " + std::to_string(plan.responses) + " jagged responses each, " +
               std::to_string((plan.rollouts + plan.image_every - 1) / plan.image_every) + " with an image, one with a " +
               std::to_string(plan.hidden_size * plan.hidden_size / 262'144) + " MiB tensor";
  ship_values<rollout, rollout_view>(std::span<const rollout>(batch), given.options, told);
}

}  // namespace demo
