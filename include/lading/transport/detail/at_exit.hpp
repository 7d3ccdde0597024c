// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

namespace lading::detail {

/// Does something when the scope is left, by whatever way.
template <class Action>
class [[nodiscard]] at_exit {
 public:
  explicit at_exit(Action action) noexcept : action_(std::move(action)) {}
  at_exit(const at_exit&) = delete;
  at_exit& operator=(const at_exit&) = delete;
  ~at_exit() { action_(); }

 private:
  Action action_;
};

}  // namespace lading::detail
