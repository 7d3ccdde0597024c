// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
#include <lading/memory/thread.hpp>

namespace lading {

/// Threads that wait for work, made once. A run() is shared between its caller and those that are idle.
///
/// Threads:    run() may be called from any thread at once and from within a task; it never waits for a thread that is not already
///             working on its own tasks, so nesting cannot deadlock, whatever the pool's size. Destroy the pool after its last run().
/// Complexity: waking a thread costs 3 to 5 microseconds: give it more than that to do, or pass max_workers 1.
class worker_pool {
 public:
  /// Starts `threads` threads; where the system gives fewer, size() tells, and run() works with any number, none included.
  explicit worker_pool(std::size_t threads) {
    if (threads == 0) return;
    shared_ = new (std::nothrow) shared_state;
    threads_ = new (std::nothrow) detail::thread[threads];
    if (shared_ == nullptr || threads_ == nullptr) return;
    while (size_ < threads && threads_[size_].start(&serve, shared_)) ++size_;
  }
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;
  ~worker_pool() {
    if (forked()) return;  // the threads are the parent's: none to join here, and what they wait on cannot be destroyed
    if (size_ != 0) {
      const detail::lock_guard held(shared_->lock);
      shared_->stopping = true;
      shared_->work.notify_all();
    }
    for (std::size_t i = 0; i < size_; ++i) threads_[i].join();
    delete[] threads_;
    delete shared_;
  }

  /// The threads besides the callers of run().
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// One pool for the whole process, as large as the processors it may use; made by the first call and never destroyed.
  [[nodiscard]] static worker_pool& shared() {
    static worker_pool& pool = *new worker_pool(detail::hardware_threads() - 1);
    return pool;
  }

  /// Calls task(0) .. task(count - 1), on at most `max_workers` threads of which the caller is one; returns when all have ended.
  ///
  /// The task returns result<void> or nothing. After a failure no later index is begun; every earlier one still runs, so the error
  /// that is returned, that of the lowest failing index, is the same for any number of workers.
  /// Errors: the task's; for an exception no_memory (std::bad_alloc, std::length_error) or invalid_value, with the index as item.
  template <class Task>
  result<void> run(std::size_t count, std::size_t max_workers, Task&& task) {
    using task_type = std::remove_reference_t<Task>;
    std::size_t helpers = max_workers < count ? max_workers : count;
    helpers = helpers <= 1 || forked() ? 0 : helpers - 1;
    if (helpers > size_) helpers = size_;
    if (helpers == 0) {
      for (std::size_t i = 0; i < count; ++i) {
        if (auto done = call(task, i); !done) return done;
      }
      return {};
    }
    const auto call_erased = [](const void* context, std::size_t index) -> result<void> {
      return call(*static_cast<task_type*>(const_cast<void*>(context)), index);
    };
    job shared_job(call_erased, static_cast<const void*>(&task), count, helpers);
    run_shared(shared_job);
    if (shared_job.first_failed.load() < count) return fail(shared_job.first_error);
    return {};
  }

 private:
  /// One run(): it lives on its caller's stack, and the pool knows it only while threads may still join in.
  struct job {
    job(result<void> (*function)(const void*, std::size_t), const void* task, std::size_t tasks, std::size_t helpers) noexcept
        : call(function), context(task), count(tasks), chunk(tasks / (8 * (helpers + 1)) + 1), first_failed(tasks), wanted(helpers) {}

    result<void> (*call)(const void*, std::size_t);
    const void* context;
    std::size_t count;
    std::size_t chunk;  ///< indices taken at a time: few enough to balance, many enough that taking them costs nothing
    detail::shared_counter next{0};
    detail::shared_counter first_failed;  ///< the lowest index that failed; written under the lock
    detail::shared_counter active{0};     ///< threads inside besides the caller; written under the lock
    std::size_t wanted;                   ///< threads that may still join; under the lock
    error first_error{errc::invalid_value};
    job* following = nullptr;
  };

  struct shared_state {
    detail::mutex lock;
    detail::condition work;      ///< a job was queued, or the pool ends
    detail::condition finished;  ///< a thread has left a job
    job* first = nullptr;        ///< jobs that want threads, oldest first
    bool stopping = false;
    std::size_t generation = detail::fork_generation();
  };

  template <class Task>
  static result<void> call(Task& task, std::size_t index) {
#if LADING_HAS_EXCEPTIONS
    try {
      return call_plain(task, index);
    } catch (const std::bad_alloc&) {
      return fail(errc::no_memory, {.item = index, .what = "an allocation failed in a task"});
    } catch (const std::length_error&) {
      return fail(errc::no_memory, {.item = index, .what = "a container would outgrow its limit in a task"});
    } catch (...) {
      return fail(errc::invalid_value, {.item = index, .what = "a task threw an exception: return an error instead"});
    }
#else
    return call_plain(task, index);
#endif
  }

  template <class Task>
  static result<void> call_plain(Task& task, std::size_t index) {
    if constexpr (std::is_void_v<decltype(task(index))>) {
      task(index);
      return {};
    } else {
      return task(index);
    }
  }

  /// Takes tasks until none is left or an earlier one has failed. Indices are taken in order, so every index below a failed one is
  /// somebody's, and is run.
  static void take_part(shared_state& shared, job& taken) {
    for (;;) {
      const std::size_t begin = taken.next.fetch_add(taken.chunk);
      if (begin >= taken.count) return;
      const std::size_t end = taken.count - begin < taken.chunk ? taken.count : begin + taken.chunk;
      for (std::size_t i = begin; i < end; ++i) {
        if (i > taken.first_failed.load()) return;
        if (const auto done = taken.call(taken.context, i); !done) {
          const detail::lock_guard held(shared.lock);
          if (i < taken.first_failed.load()) {
            taken.first_failed.store(i);
            taken.first_error = done.error();
          }
          return;
        }
      }
    }
  }

  void run_shared(job& mine) {
    shared_state& shared = *shared_;
    const std::size_t wanted = mine.wanted;
    {
      const detail::lock_guard held(shared.lock);
      job** last = &shared.first;
      while (*last != nullptr) last = &(*last)->following;
      *last = &mine;
    }
    for (std::size_t i = 0; i < wanted; ++i) shared.work.notify_one();
    take_part(shared, mine);
    const detail::lock_guard held(shared.lock);
    for (job** link = &shared.first; *link != nullptr; link = &(*link)->following) {
      if (*link == &mine) {
        *link = mine.following;
        break;
      }
    }
    while (mine.active.load() != 0) shared.finished.wait(shared.lock);
  }

  static void* serve(void* context) noexcept {
    shared_state& shared = *static_cast<shared_state*>(context);
    const detail::lock_guard held(shared.lock);
    for (;;) {
      while (shared.first == nullptr) {
        if (shared.stopping) return nullptr;
        shared.work.wait(shared.lock);
      }
      job& taken = *shared.first;
      if (--taken.wanted == 0) shared.first = taken.following;
      taken.active.store(taken.active.load() + 1);
      shared.lock.unlock();
      take_part(shared, taken);
      shared.lock.lock();
      taken.active.store(taken.active.load() - 1);
      shared.finished.notify_all();
    }
  }

  [[nodiscard]] bool forked() const noexcept { return shared_ != nullptr && shared_->generation != detail::fork_generation(); }

  shared_state* shared_ = nullptr;
  detail::thread* threads_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lading
