// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Which regions can be reached by a pointer: those of this process whose owners share them.

#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lading/core/bytes.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
#include <lading/transport/types.hpp>

namespace lading {

namespace detail {

/// Memory that others of this process may copy from and to until its owner closes it.
///
/// Who enters counts itself and then looks whether it is closed; who closes says so and then looks at the count. All four are in one order that every
/// thread sees, or both could miss each other.
class reachable_memory {
 public:
  explicit reachable_memory(bytes_span bytes) noexcept : bytes_(bytes) {}

  /// Whether the memory may be used now; then until leave().
  [[nodiscard]] bool enter() noexcept {
    users_.fetch_add(1, std::memory_order_seq_cst);
    if (!closed_.load(std::memory_order_seq_cst)) return true;
    leave();
    return false;
  }
  void leave() noexcept { users_.fetch_sub(1, std::memory_order_release); }

  /// Lets nobody in any more, and waits for the copies that are at it: some milliseconds at most.
  void close() noexcept {
    closed_.store(true, std::memory_order_seq_cst);
    while (users_.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
  }
  [[nodiscard]] bytes_span bytes() const noexcept { return bytes_; }

 private:
  bytes_span bytes_;
  std::atomic<std::uint32_t> users_{0};
  std::atomic<bool> closed_{false};
};

/// The shared regions of this process, by the descriptors that their owners give to peers.
class reachable_regions {
 public:
  static reachable_regions& instance() {
    static reachable_regions& all = *new reachable_regions;  // never destroyed: regions of static objects may outlive it
    return all;
  }
  void add(bytes_view descriptor, std::shared_ptr<reachable_memory> memory) {
    std::lock_guard held(mutex_);
    by_descriptor_.insert_or_assign(key_of(descriptor), std::move(memory));
  }
  void remove(bytes_view descriptor) noexcept {
    LADING_TRY {
      std::lock_guard held(mutex_);
      by_descriptor_.erase(key_of(descriptor));
    }
    LADING_CATCH_BAD_ALLOC(static_cast<void>(0))  // it is closed, and so harmless
  }
  [[nodiscard]] std::shared_ptr<reachable_memory> find(bytes_view descriptor) {
    std::lock_guard held(mutex_);
    const auto found = by_descriptor_.find(key_of(descriptor));
    return found == by_descriptor_.end() ? nullptr : found->second;
  }

 private:
  static std::string key_of(bytes_view descriptor) {
    // Safety: bytes may be viewed as characters.
    return {reinterpret_cast<const char*>(descriptor.data()), descriptor.size()};
  }

  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<reachable_memory>> by_descriptor_;
};

/// The regions of one submitter, its own and those it imported, that can be reached by a pointer.
class address_book {
 public:
  void add(std::uint64_t id, std::shared_ptr<reachable_memory> memory) {
    std::lock_guard held(mutex_);
    entries_.insert_or_assign(id, std::move(memory));
  }
  void remove(std::uint64_t id) noexcept {
    std::lock_guard held(mutex_);
    entries_.erase(id);
  }
  [[nodiscard]] std::shared_ptr<reachable_memory> find(std::uint64_t id) const noexcept {
    std::lock_guard held(mutex_);
    const auto found = entries_.find(id);
    return found == entries_.end() ? nullptr : found->second;
  }

  static constexpr std::uint64_t key(region_id id) noexcept { return static_cast<std::uint64_t>(id); }
  static constexpr std::uint64_t key(remote_region_id id) noexcept { return (std::uint64_t{1} << 32) | static_cast<std::uint64_t>(id); }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<reachable_memory>> entries_;
};

}  // namespace detail

/// A region that peers may address: by its descriptor, and those of this process by a pointer. Ends with this object, which waits for copies
/// that are at it. Destroy it before the region.
class shared_region {
 public:
  shared_region() noexcept = default;
  shared_region(shared_region&& other) noexcept
      : book_(std::move(other.book_)), memory_(std::move(other.memory_)), descriptor_(std::move(other.descriptor_)), id_(other.id_) {
    other.memory_ = nullptr;
  }
  shared_region& operator=(shared_region&& other) noexcept {
    std::swap(book_, other.book_);
    std::swap(memory_, other.memory_);
    std::swap(descriptor_, other.descriptor_);
    std::swap(id_, other.id_);
    return *this;
  }
  ~shared_region() { close(); }

  /// To be sent to peers.
  [[nodiscard]] bytes_view descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] region_id id() const noexcept { return id_; }
  [[nodiscard]] bytes_span bytes() const noexcept { return memory_ == nullptr ? bytes_span{} : memory_->bytes(); }

  void close() noexcept {
    if (memory_ == nullptr) return;
    memory_->close();
    detail::reachable_regions::instance().remove(descriptor_);
    book_->remove(detail::address_book::key(id_));
    memory_.reset();
  }

 private:
  template <class, class, class>
  friend class basic_submitter;

  std::shared_ptr<detail::address_book> book_;
  std::shared_ptr<detail::reachable_memory> memory_;
  std::vector<std::byte> descriptor_;
  region_id id_{};
};

}  // namespace lading
