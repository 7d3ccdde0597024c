// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include <lading/core/bytes.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
#include <lading/memory/thread.hpp>
#include <lading/transport/types.hpp>

namespace lading::detail {

/// Connects to peers in threads of its own, because some let one wait. Each source has one thread at a time, so that it keeps only its own calls waiting.
///
/// Threads: any.
template <class Transport>
class dialer {
 public:
  /// One peer that is being connected to.
  class call {
   private:
    friend class dialer;
    std::vector<std::byte> address;
    std::uint64_t source = 0;
    bool done = false, dropped = false;  // under lock_
    result<peer_id> peer = fail(errc::busy);
  };

  dialer(Transport& transport, std::chrono::nanoseconds time) noexcept : transport_(transport), time_(time) {}
  dialer(const dialer&) = delete;
  dialer& operator=(const dialer&) = delete;
  ~dialer() { close(); }

  /// Begins to connect to the peer with that address, for who asks for it.
  [[nodiscard]] std::shared_ptr<call> start(bytes_view address, std::uint64_t source) {
    auto fresh = std::make_shared<call>();
    fresh->source = source;
    fresh->address.assign(address.begin(), address.end());
    const lock_guard held(lock_);
    waiting_.push_back(fresh);
    if (idle_ < waiting_.size() && threads_ < most && thread_[threads_].start(&serve, this)) ++threads_;
    if (threads_ == 0) {
      waiting_.pop_back();
      fresh->done = true;  // the system has no thread to give: busy
    }
    work_.notify_one();
    return fresh;
  }

  [[nodiscard]] bool is_done(const call& begun) noexcept {
    const lock_guard held(lock_);
    return begun.done;
  }
  /// The peer, once it is done.
  [[nodiscard]] static result<peer_id> take(call& done) noexcept { return std::exchange(done.peer, fail(errc::closed)); }

  /// Nobody wants the peer any more. A call that is dropped before its turn keeps none of the others waiting.
  ///
  /// Lifetime: the caller holds the call until it returns.
  void drop(call& begun) noexcept {
    {
      const lock_guard held(lock_);
      begun.dropped = true;
      const auto place = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& each) { return each.get() == &begun; });
      if (place != waiting_.end()) waiting_.erase(place);
      if (!begun.done) return;  // its thread, if it has one, sees to it
    }
    if (begun.peer) transport_.disconnect(*begun.peer);
  }

  /// Ends the threads; waits for what they are at, for the time of one connection at most.
  void close() noexcept {
    {
      const lock_guard held(lock_);
      closing_ = true;
      waiting_.clear();
      work_.notify_all();
    }
    while (threads_ != 0) thread_[--threads_].join();
  }

 private:
  static constexpr std::size_t most = 4;  // threads: so many sources with unreachable peers keep the others waiting

  static void* serve(void* self) {
    static_cast<dialer*>(self)->run();
    return nullptr;
  }
  /// The first call whose source has no thread; under lock_.
  [[nodiscard]] auto next() noexcept {
    return std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& each) {
      return std::none_of(running_.begin(), running_.end(), [&](const call* other) { return other != nullptr && other->source == each->source; });
    });
  }
  void run() {
    for (;;) {
      std::shared_ptr<call> mine;
      std::size_t place = 0;  // in running_
      {
        const lock_guard held(lock_);
        ++idle_;
        while (next() == waiting_.end() && !closing_) work_.wait(lock_);
        --idle_;
        if (closing_) return;
        const auto found = next();
        mine = std::move(*found);
        waiting_.erase(found);
        while (running_[place] != nullptr) ++place;  // there are as many as threads
        running_[place] = mine.get();
      }
      result<peer_id> peer = fail(errc::no_memory);
      LADING_TRY { peer = transport_.connect(mine->address, time_); }
      LADING_CATCH_BAD_ALLOC(static_cast<void>(0))
      bool dropped = false;
      {
        const lock_guard held(lock_);
        mine->peer = peer;
        mine->done = true;
        dropped = mine->dropped;
        running_[place] = nullptr;
      }
      if (dropped && peer) transport_.disconnect(*peer);
    }
  }

  Transport& transport_;
  std::chrono::nanoseconds time_;
  detail::mutex lock_;  // what follows
  detail::condition work_;
  std::deque<std::shared_ptr<call>> waiting_;
  std::size_t idle_ = 0, threads_ = 0;
  bool closing_ = false;
  std::array<const call*, most> running_{};
  std::array<detail::thread, most> thread_;
};

}  // namespace lading::detail
