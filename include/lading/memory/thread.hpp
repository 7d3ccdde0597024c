// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// The few threading primitives that the worker pool needs. <thread>, <mutex> and <atomic> would add a third to what a user's
// translation unit compiles, so POSIX threads and the compiler's atomics are used where they are there.

#include <cstddef>

#include <lading/core/config.hpp>

#if __has_include(<pthread.h>) && (defined(__GNUC__) || defined(__clang__))
#define LADING_DETAIL_PTHREADS 1
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#else
#define LADING_DETAIL_PTHREADS 0
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#endif

namespace lading::detail {

#if LADING_DETAIL_PTHREADS

/// A number that threads share; its operations order memory as acquire and release.
class shared_counter {
 public:
  explicit shared_counter(std::size_t value) noexcept : value_(value) {}
  [[nodiscard]] std::size_t load() const noexcept { return __atomic_load_n(&value_, __ATOMIC_ACQUIRE); }
  void store(std::size_t value) noexcept { __atomic_store_n(&value_, value, __ATOMIC_RELEASE); }
  std::size_t fetch_add(std::size_t step) noexcept { return __atomic_fetch_add(&value_, step, __ATOMIC_ACQ_REL); }

 private:
  std::size_t value_;
};

class mutex {
 public:
  mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;
  ~mutex() { ::pthread_mutex_destroy(&handle_); }
  void lock() noexcept { ::pthread_mutex_lock(&handle_); }
  void unlock() noexcept { ::pthread_mutex_unlock(&handle_); }
  [[nodiscard]] ::pthread_mutex_t* native_handle() noexcept { return &handle_; }

 private:
  ::pthread_mutex_t handle_ = PTHREAD_MUTEX_INITIALIZER;
};

class condition {
 public:
  condition() noexcept = default;
  condition(const condition&) = delete;
  condition& operator=(const condition&) = delete;
  ~condition() { ::pthread_cond_destroy(&handle_); }
  /// Gives up the locked mutex until notified; may wake without a reason.
  void wait(mutex& locked) noexcept { ::pthread_cond_wait(&handle_, locked.native_handle()); }
  void notify_one() noexcept { ::pthread_cond_signal(&handle_); }
  void notify_all() noexcept { ::pthread_cond_broadcast(&handle_); }

 private:
  ::pthread_cond_t handle_ = PTHREAD_COND_INITIALIZER;
};

/// A thread that is joined by hand.
class thread {
 public:
  /// Runs body(context); false where the system has no thread to give. Signals stay with the user's threads.
  [[nodiscard]] bool start(void* (*body)(void*), void* context) noexcept {
    ::sigset_t all, previous;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &previous);
    const int status = ::pthread_create(&handle_, nullptr, body, context);
    ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
    return status == 0;
  }
  void join() noexcept { ::pthread_join(handle_, nullptr); }

 private:
  ::pthread_t handle_{};
};

/// The processors that this process may use, at least 1.
[[nodiscard]] inline std::size_t hardware_threads() noexcept {
#if defined(__linux__) && defined(CPU_COUNT)
  ::cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return static_cast<std::size_t>(CPU_COUNT(&allowed));
#endif
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<std::size_t>(online) : 1;
}

/// How often this process is the child of a fork: threads of another generation are not here.
inline std::size_t fork_count = 0;

[[nodiscard]] inline std::size_t fork_generation() noexcept {
  [[maybe_unused]] static const int registered = ::pthread_atfork(nullptr, nullptr, [] { ++fork_count; });
  return fork_count;
}

LADING_ALWAYS_INLINE void pause_briefly() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

#else

class shared_counter {
 public:
  explicit shared_counter(std::size_t value) noexcept : value_(value) {}
  [[nodiscard]] std::size_t load() const noexcept { return value_.load(std::memory_order_acquire); }
  void store(std::size_t value) noexcept { value_.store(value, std::memory_order_release); }
  std::size_t fetch_add(std::size_t step) noexcept { return value_.fetch_add(step, std::memory_order_acq_rel); }

 private:
  std::atomic<std::size_t> value_;
};

using mutex = std::mutex;

class condition {
 public:
  void wait(mutex& locked) {
    std::unique_lock<mutex> held(locked, std::adopt_lock);
    handle_.wait(held);
    held.release();
  }
  void notify_one() noexcept { handle_.notify_one(); }
  void notify_all() noexcept { handle_.notify_all(); }

 private:
  std::condition_variable handle_;
};

class thread {
 public:
  [[nodiscard]] bool start(void* (*body)(void*), void* context) noexcept {
#if LADING_HAS_EXCEPTIONS
    try {
      handle_ = std::thread(body, context);
    } catch (...) {
      return false;
    }
#else
    handle_ = std::thread(body, context);
#endif
    return true;
  }
  void join() { handle_.join(); }

 private:
  std::thread handle_;
};

[[nodiscard]] inline std::size_t hardware_threads() noexcept {
  const unsigned count = std::thread::hardware_concurrency();
  return count != 0 ? count : 1;
}
[[nodiscard]] inline std::size_t fork_generation() noexcept { return 0; }
inline void pause_briefly() noexcept {}

#endif

/// Holds a mutex for a scope.
class lock_guard {
 public:
  explicit lock_guard(mutex& held) noexcept : held_(held) { held_.lock(); }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;
  ~lock_guard() { held_.unlock(); }

 private:
  mutex& held_;
};

}  // namespace lading::detail
