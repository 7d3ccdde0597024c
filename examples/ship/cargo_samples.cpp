// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cmath>

#include <support/problem.hpp>

#include "cargo.hpp"

namespace ship {

using support::expect;
using support::problem;

std::vector<support::rollout> make_samples(std::uint64_t slot_bytes) {
  // The largest value has all three of its large parts at once.
  const std::uint64_t bytes = std::clamp<std::uint64_t>(slot_bytes, 64 << 10, 16 << 20);
  support::rollout_plan plan{.rollouts = 16, .responses = 8, .image_every = 4};
  plan.longest_response = std::min<std::size_t>(1536, bytes / 6 / (plan.responses * 9));
  plan.image_patches = std::min<std::int64_t>(1024, static_cast<std::int64_t>(bytes / 3 / (1176 * sizeof(float))));
  plan.hidden_size = std::min<std::int64_t>(512, static_cast<std::int64_t>(std::sqrt(static_cast<double>(bytes) / 6 / sizeof(float))));
  return support::make_rollouts(plan);
}

namespace {

class sample_source final : public source {
 public:
  sample_source(const sample_limits& limits, hello& announced) : values_(make_samples(announced.slot_bytes)), limits_(limits) {
    for (const support::rollout& each : values_) {
      views_.push_back(support::view_of(each));
      const auto frames = expect(lading::encode(views_.back()), "encoding a value");
      sizes_.push_back(expect(lading::calc_packed_size(frames), "measuring a value"));
    }
    const std::size_t largest = *std::max_element(sizes_.begin(), sizes_.end()) + 1024;
    if (largest > announced.slot_bytes) throw problem("a generated value takes up to " + std::to_string(largest) + " bytes: pass a larger --slot");
    announced.generated = true;
  }

  std::size_t pack(std::uint64_t sequence, lading::bytes_span slot) override {
    if (start_ == clock::time_point{}) start_ = clock::now();
    const std::uint64_t number = sequence % views_.size();
    if (number == 0 && fraction() >= 1) return 0;  // ends with a whole batch
    sample next{sequence, number, {}};
    std::swap(next.value, views_[number]);
    const auto frames = expect(lading::encode(next), "encoding a value");
    const std::size_t size = expect(lading::pack_into(slot, frames, {.schema = lading::schema_of<sample>()}), "packing a value");
    for (const lading::bytes_view frame : frames) bytes_ += frame.size();
    std::swap(next.value, views_[number]);
    packed_ = sequence + 1;
    return size;
  }
  std::uint64_t bytes() const override { return bytes_; }
  double fraction() const override {
    double most = 0;
    const auto part = [&](double done, double all) {
      if (all > 0) most = std::max(most, done / all);
    };
    part(static_cast<double>(packed_), static_cast<double>(limits_.batches * views_.size()));
    part(static_cast<double>(bytes_), static_cast<double>(limits_.bytes));
    if (packed_ != 0) part(std::chrono::duration<double>(clock::now() - start_).count(), limits_.seconds);
    return most;
  }
  std::uint64_t batches() const override { return packed_ / views_.size(); }

 private:
  using clock = std::chrono::steady_clock;

  std::vector<support::rollout> values_;
  std::vector<support::rollout_view> views_;
  std::vector<std::size_t> sizes_;
  sample_limits limits_;
  std::uint64_t bytes_ = 0, packed_ = 0;
  clock::time_point start_{};
};

class sample_sink final : public sink {
 public:
  explicit sample_sink(const hello& announced) : values_(make_samples(announced.slot_bytes)) {}

  void take(std::uint64_t sequence, const lading::unpacked& items) override {
    const auto value = expect(lading::decode<sample>(items), "decoding slot", sequence);
    if (value.sequence != sequence || value.number != sequence % values_.size() || !support::same(values_[value.number], value.value))
      throw problem("slot " + std::to_string(sequence) + " does not hold the value that was generated");
    for (const lading::bytes_view item : items) bytes_ += item.size();
    taken_ = sequence + 1;
  }
  void finish() override {
    if (taken_ % values_.size() != 0) throw problem("the sender has ended in the middle of a batch");
  }
  std::uint64_t schema() const override { return lading::schema_of<sample>(); }
  std::uint64_t bytes() const override { return bytes_; }
  std::uint64_t batches() const override { return taken_ / values_.size(); }

 private:
  std::vector<support::rollout> values_;
  std::uint64_t bytes_ = 0, taken_ = 0;
};

}  // namespace

std::unique_ptr<source> generate_samples(const sample_limits& limits, hello& announced) { return std::make_unique<sample_source>(limits, announced); }
std::unique_ptr<sink> compare_samples(const hello& announced) { return std::make_unique<sample_sink>(announced); }

}  // namespace ship
