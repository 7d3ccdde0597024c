// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
#include <lading/exchange/detail/client_memory.hpp>
#include <lading/exchange/detail/late_memory.hpp>
#include <lading/exchange/protocol.hpp>

namespace lading::detail {

/// One value to be fetched.
struct wanted_value {
  std::size_t index = 0;
  std::string_view key;
  unsigned doubts = 0;
};

/// One value on its way.
struct arriving_value {
  wanted_value wanted;
  protocol::meta meta;
  registered_bytes* memory = nullptr;
  std::size_t first_item = 0, last_item = 0;

  /// How it went, by the results of the items.
  [[nodiscard]] result<void> how(const std::vector<result<void>>& moved) const noexcept {
    const auto begin = moved.begin() + static_cast<std::ptrdiff_t>(first_item), end = moved.begin() + static_cast<std::ptrdiff_t>(last_item);
    const auto failed = std::find_if(begin, end, [](const auto& each) { return !each; });
    return failed == end ? result<void>{} : *failed;
  }
};

/// The move of values; however it is left, memory that the transport may still write is not freed before it has let go.
template <class Submitter>
class fetching {
 public:
  fetching(const std::vector<arriving_value>& values, const std::shared_ptr<late_targets>& targets)
      : values_(values), late_(std::make_shared<late_memory>(targets, values.size())) {}
  fetching(const fetching&) = delete;
  fetching& operator=(const fetching&) = delete;
  ~fetching() {
    moving.cancel();
    end();
  }
  /// Waits for the end.
  void end() noexcept {
    moving.wait();
    if (late_ == nullptr || !moving.quarantined()) return;
    for (const arriving_value& each : values_) {
      if (!each.how(moving.get())) late_->add(std::move(*each.memory));
    }
    keep_while_moving(moving, std::exchange(late_, nullptr));
  }
  typename Submitter::future moving;

 private:
  const std::vector<arriving_value>& values_;
  std::shared_ptr<late_memory> late_;
};

/// What the server holds for a reader; it is told when that is no longer needed.
template <class Channel>
class reading {
 public:
  explicit reading(Channel& line) noexcept : line_(line) {}
  reading(const reading&) = delete;
  reading& operator=(const reading&) = delete;
  ~reading() { end(); }
  void begin(std::uint64_t lease) noexcept { lease_ = lease; }
  void end() noexcept {
    const std::uint64_t lease = std::exchange(lease_, 0);
    if (lease == 0) return;
    LADING_TRY { line_.release(lease); }
    LADING_CATCH_BAD_ALLOC(static_cast<void>(0))  // it ends by itself
  }

 private:
  Channel& line_;
  std::uint64_t lease_ = 0;
};

}  // namespace lading::detail
