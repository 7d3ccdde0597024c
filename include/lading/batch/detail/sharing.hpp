// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <type_traits>

#include <lading/batch/options.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
#include <lading/memory/worker_pool.hpp>

namespace lading::detail {

/// What a thread should at least have to do: waking it costs as much as copying a tenth of this. Units: bytes.
inline constexpr std::size_t least_work = std::size_t{512} << 10;

/// Pieces for each worker: enough that they end at about the same time, few enough that the pool hands them out one by one.
inline constexpr std::size_t pieces_per_worker = 4;

/// Who takes part in a batch, and how much at a time.
class work_sharing {
 public:
  /// For `work` bytes to be moved or hashed.
  work_sharing(const batch_options& options, std::size_t work) {
    std::size_t wanted = options.num_workers;
    if (wanted == 1 || work < 2 * least_work) return;
    if (wanted == 0) wanted = hardware_threads();
    if (wanted > work / least_work) wanted = work / least_work;
    if (wanted <= 1) return;
    pool_ = options.pool != nullptr ? options.pool : &worker_pool::shared();
    if (wanted > pool_->size() + 1) wanted = pool_->size() + 1;
    workers_ = wanted;
    piece_ = work / (workers_ * pieces_per_worker) + 1;
  }

  [[nodiscard]] bool alone() const noexcept { return workers_ == 1; }
  [[nodiscard]] std::size_t workers() const noexcept { return workers_; }
  /// Units: bytes.
  [[nodiscard]] std::size_t piece() const noexcept { return piece_; }

  template <class Task>
  [[nodiscard]] result<void> run(std::size_t count, Task&& task) const {
    return pool_->run(count, workers_, task);
  }

 private:
  worker_pool* pool_ = nullptr;
  std::size_t workers_ = 1;
  std::size_t piece_ = 0;
};

/// Calls run(), which keeps `item` at the object it is busy with, and makes an error of an exception.
template <class Run>
[[nodiscard]] auto guarded_item(const std::uint64_t& item, Run&& run) -> decltype(run()) {
#if LADING_HAS_EXCEPTIONS
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return fail(errc::no_memory, {.item = item, .what = "an allocation failed"});
  } catch (const std::length_error&) {
    return fail(errc::no_memory, {.item = item, .what = "a container would outgrow its limit"});
  } catch (...) {
    return fail(errc::invalid_value, {.item = item, .what = "an exception was thrown: return an error instead"});
  }
#else
  (void)item;
  return run();
#endif
}

}  // namespace lading::detail
