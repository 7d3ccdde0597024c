// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>

#include <lading/memory/worker_pool.hpp>

namespace lading::detail {

/// Threads that share a piece of work: the caller, and those of a pool that are idle.
struct crew {
  worker_pool* pool = nullptr;  // null = worker_pool::shared()
  std::size_t size = 1;         // at most, the caller included

  /// Calls task(0) .. task(count - 1). What a task throws comes out where the caller works alone, else it ends the run.
  template <class Task>
  void run(std::size_t count, Task&& task) const {
    if (count <= 1 || size <= 1) {
      for (std::size_t i = 0; i < count; ++i) task(i);
    } else {
      static_cast<void>((pool != nullptr ? *pool : worker_pool::shared()).run(count, size, task));
    }
  }
};

}  // namespace lading::detail
