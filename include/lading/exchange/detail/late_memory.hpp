// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/exchange/detail/client_memory.hpp>

namespace lading::detail {

class late_memory;

/// Which parts of a user's memory transfers may still write although they have ended.
///
/// Threads: any.
class late_targets {
 public:
  [[nodiscard]] bool overlap(bytes_view bytes) const noexcept;

 private:
  friend class late_memory;
  mutable std::mutex mutex_;
  std::vector<const late_memory*> all_;
};

/// Memory that a transfer may still touch after its end. Made before the transfer begins, so that keeping it cannot fail.
class late_memory {
 public:
  late_memory(std::shared_ptr<late_targets> targets, std::size_t most) : targets_(std::move(targets)) {
    bytes_.reserve(most);
    std::lock_guard held(targets_->mutex_);
    targets_->all_.push_back(this);
  }
  late_memory(const late_memory&) = delete;
  late_memory& operator=(const late_memory&) = delete;
  ~late_memory() {
    std::lock_guard held(targets_->mutex_);
    std::erase(targets_->all_, this);
  }

  /// There is room for as many as were announced.
  void add(registered_bytes bytes) noexcept {
    std::lock_guard held(targets_->mutex_);
    bytes_.push_back(std::move(bytes));
  }

  std::shared_ptr<late_memory> itself;

 private:
  friend class late_targets;
  std::shared_ptr<late_targets> targets_;
  std::vector<registered_bytes> bytes_;
};

inline bool late_targets::overlap(bytes_view bytes) const noexcept {
  // Safety: addresses are compared as numbers, because ranges of different objects have no order.
  const auto address = [](bytes_view each) { return reinterpret_cast<std::uintptr_t>(each.data()); };
  std::lock_guard held(mutex_);
  return std::any_of(all_.begin(), all_.end(), [&](const late_memory* one) {
    return std::any_of(one->bytes_.begin(), one->bytes_.end(), [&](const registered_bytes& each) {
      return each.is_of_user() && address(each.bytes) < address(bytes) + bytes.size() && address(bytes) < address(each.bytes) + each.bytes.size();
    });
  });
}

/// Keeps `held` until the transport has let go of all that the submission moves; where there is no memory to remember it by, for ever.
template <class Submission, class Held>
void keep_while_moving(Submission& moving, const std::shared_ptr<Held>& held) noexcept {
  LADING_TRY { moving.keep(held); }
  LADING_CATCH_BAD_ALLOC(held->itself = held)
}

}  // namespace lading::detail
