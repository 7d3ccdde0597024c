// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <lading/core/checked.hpp>
#include <lading/exchange/detail/retry.hpp>
#include <lading/exchange/detail/value_index.hpp>
#include <lading/transport/identity.hpp>
#include <lading/transport/time_source.hpp>

namespace lading::detail {

/// Values that clients are reading: they stay where they are until they are released, or their time is up.
///
/// Threads: one at a time.
class read_leases {
 public:
  using clock = std::chrono::steady_clock;

  explicit read_leases(std::chrono::nanoseconds time) noexcept : time_(time) {}

  /// Returns the lease's number; never 0, and no other server's: one that comes late to be released there must not end another.
  [[nodiscard]] std::uint64_t add(std::uint64_t reader, std::vector<value_index::value> values) {
    if (++last_ == 0) ++last_;
    std::uint64_t bytes = 0;
    for (const auto& each : values) {
      if (!checked_add(bytes, each->meta.size, bytes)) bytes = ~std::uint64_t{0};
    }
    leases_.emplace(last_, lease{reader, later(clock::now(), later(time_, time_for(bytes))), std::move(values)});
    return last_;
  }
  void release(std::uint64_t reader, std::uint64_t number) noexcept {
    const auto found = leases_.find(number);
    if (found != leases_.end() && found->second.reader == reader) leases_.erase(found);
  }
  void release_all(std::uint64_t reader) noexcept {
    std::erase_if(leases_, [&](const auto& each) { return each.second.reader == reader; });
  }
  /// A reader that takes longer finds another checksum where the memory was used again, and asks once more.
  void expire() {
    const auto now = clock::now();
    if (now < next_expiry_) return;
    std::erase_if(leases_, [&](const auto& each) { return each.second.until <= now; });
    next_expiry_ = later(now, time_ / 8);
  }
  void clear() noexcept { leases_.clear(); }

  [[nodiscard]] std::size_t size() const noexcept { return leases_.size(); }
  /// How many different values there are.
  [[nodiscard]] std::size_t values() const {
    std::unordered_set<const void*> all;
    for (const auto& each : leases_) {
      for (const auto& value : each.second.values) all.insert(value.get());
    }
    return all.size();
  }

 private:
  struct lease {
    std::uint64_t reader = 0;  // its endpoint
    clock::time_point until{};
    std::vector<value_index::value> values;
  };

  std::chrono::nanoseconds time_;
  std::unordered_map<std::uint64_t, lease> leases_;
  std::uint64_t last_ = random_number();
  clock::time_point next_expiry_{};
};

}  // namespace lading::detail
