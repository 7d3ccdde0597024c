// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include <lading/core/result.hpp>

namespace lading {

/// A table of records under 32-bit handles that are never given out twice, with a count of users per record.
///
/// Looking up a record pins it: while pinned it stays where it is, and cannot be removed. An id is the place in the table (20 bits) and how often
/// that place has been used (12 bits); a place whose count is used up is retired, so a stale id never finds another's record.
/// A record that is removed while pinned can be retired instead: nobody pins it any more, and its last user takes it out.
///
/// Threads:    every function, by any thread. pin and unpin never lock.
/// Complexity: constant, but for_each.
template <class Record>
class registry {
 public:
  registry() = default;
  registry(const registry&) = delete;
  registry& operator=(const registry&) = delete;
  ~registry() {
    for (auto& chunk : chunks_) delete[] chunk.load(std::memory_order_relaxed);
  }

  /// Puts a record in; returns its id.
  ///
  /// Errors: no_memory, limit_exceeded once 2^32 ids have been used.
  [[nodiscard]] result<std::uint32_t> insert(std::unique_ptr<Record> record) {
    std::lock_guard held(mutex_);
    std::uint32_t index = free_;
    if (index != none) {
      free_ = at(index).next_free;
    } else {
      if (size_ == index_limit) return fail(errc::limit_exceeded, {.available = index_limit, .what = "all handles are used up: open a new endpoint"});
      index = size_;
      auto& chunk = chunks_[chunk_of(index)];
      if (chunk.load(std::memory_order_relaxed) == nullptr) {
        entry* fresh = new (std::nothrow) entry[chunk_size(chunk_of(index))];
        if (fresh == nullptr) return fail(errc::no_memory);
        chunk.store(fresh, std::memory_order_release);
      }
      ++size_;
    }
    entry& place = at(index);
    place.generation += 1;
    place.record = std::move(record);
    place.word.store(live | (std::uint64_t{place.generation} << generation_shift), std::memory_order_release);
    return index | (place.generation << index_bits);
  }

  /// The record under `id`, pinned; nullptr where there is none (any more).
  [[nodiscard]] Record* pin(std::uint32_t id) noexcept {
    entry* place = find(id);
    if (place == nullptr) return nullptr;
    std::uint64_t word = place->word.load(std::memory_order_acquire);
    do {
      if (!is_open(word, id)) return nullptr;
    } while (!place->word.compare_exchange_weak(word, word + 1, std::memory_order_acq_rel, std::memory_order_acquire));
    return place->record.get();
  }

  /// Gives up one pin. Returns the record where it was retired and this was its last user, else nothing.
  [[nodiscard]] std::unique_ptr<Record> unpin(std::uint32_t id) noexcept {
    std::unique_ptr<Record> last;
    unpin(id, [&](std::unique_ptr<Record> record) noexcept { last = std::move(record); });
    return last;
  }
  /// The same, but the record goes to `last_user(record)` before `contains` says that it is gone.
  void unpin(std::uint32_t id, auto&& last_user) noexcept {
    entry& place = at(id & index_mask);
    const std::uint64_t before = place.word.fetch_sub(1, std::memory_order_acq_rel);
    if ((before & pin_mask) == 1 && (before & retired) != 0) take(id, last_user);
  }

  /// The record of an id that the caller has pinned.
  [[nodiscard]] Record& pinned(std::uint32_t id) noexcept { return *at(id & index_mask).record; }

  /// Takes the record out.
  ///
  /// Errors: busy while it is pinned, not_registered where there is none.
  [[nodiscard]] result<std::unique_ptr<Record>> remove(std::uint32_t id) noexcept {
    entry* place = find(id);
    if (place != nullptr) {
      std::uint64_t word = place->word.load(std::memory_order_acquire);
      while (is_open(word, id)) {
        if ((word & pin_mask) != 0)
          return fail(errc::busy, {.available = word & pin_mask, .what = "running transfers use it: wait for them, then try again"});
        if (place->word.compare_exchange_weak(word, word | retired, std::memory_order_acq_rel, std::memory_order_acquire)) return take(id);
      }
    }
    return fail(errc::not_registered, {.what = "no such handle: it was given back, or is another endpoint's"});
  }

  /// Lets nobody pin it any more. Returns the record where nobody uses it; else its last user's unpin does.
  [[nodiscard]] std::unique_ptr<Record> retire(std::uint32_t id) noexcept {
    entry* place = find(id);
    if (place == nullptr) return nullptr;
    std::uint64_t word = place->word.load(std::memory_order_acquire);
    do {
      if (!is_open(word, id)) return nullptr;
    } while (!place->word.compare_exchange_weak(word, word | retired, std::memory_order_acq_rel, std::memory_order_acquire));
    return (word & pin_mask) == 0 ? take(id) : nullptr;
  }

  /// Whether the id's record is in the table, retired or not.
  [[nodiscard]] bool contains(std::uint32_t id) noexcept {
    const entry* place = find(id);
    if (place == nullptr) return false;
    const std::uint64_t word = place->word.load(std::memory_order_acquire);
    return (word & live) != 0 && (word >> generation_shift) == id >> index_bits;
  }

  /// How often the id's record is pinned now.
  [[nodiscard]] std::uint32_t pins(std::uint32_t id) noexcept {
    const entry* place = find(id);
    return place == nullptr ? 0 : static_cast<std::uint32_t>(place->word.load(std::memory_order_acquire) & pin_mask);
  }

  /// Calls visit(id, record) for each record that can be pinned, which it is meanwhile; retired(record) for those that this unpin takes out.
  template <class Visit, class Retired>
  void for_each(Visit&& visit, Retired&& last_user) {
    std::uint32_t count;
    {
      std::lock_guard held(mutex_);
      count = size_;
    }
    for (std::uint32_t index = 0; index < count; ++index) {
      const std::uint64_t word = at(index).word.load(std::memory_order_acquire);
      if ((word & live) == 0) continue;
      const std::uint32_t id = index | (static_cast<std::uint32_t>(word >> generation_shift) << index_bits);
      if (Record* record = pin(id); record != nullptr) {
        visit(id, *record);
        unpin(id, last_user);
      }
    }
  }

 private:
  struct entry {
    std::atomic<std::uint64_t> word{0};  // bits 0..31 pins, 32 live, 33 retired, 40..51 generation
    std::unique_ptr<Record> record;
    std::uint32_t generation = 0;
    std::uint32_t next_free = none;
  };

  static constexpr unsigned index_bits = 20;
  static constexpr std::uint32_t index_limit = std::uint32_t{1} << index_bits;
  static constexpr std::uint32_t index_mask = index_limit - 1;
  static constexpr std::uint32_t generation_limit = (std::uint32_t{1} << (32 - index_bits)) - 1;
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  static constexpr std::uint64_t pin_mask = 0xffffffffu;
  static constexpr std::uint64_t live = std::uint64_t{1} << 32;
  static constexpr std::uint64_t retired = std::uint64_t{1} << 33;
  static constexpr unsigned generation_shift = 40;

  // Chunk k holds 64 << k entries, so that entries never move and pin needs no lock.
  static constexpr unsigned first_chunk_bits = 6;
  static constexpr std::size_t chunk_count = index_bits - first_chunk_bits + 1;
  static constexpr std::size_t chunk_of(std::uint32_t index) noexcept {
    return static_cast<std::size_t>(std::bit_width((index >> first_chunk_bits) + 1) - 1);
  }
  static constexpr std::size_t chunk_size(std::size_t chunk) noexcept { return std::size_t{1} << (first_chunk_bits + chunk); }

  static bool is_open(std::uint64_t word, std::uint32_t id) noexcept {
    return (word & live) != 0 && (word & retired) == 0 && (word >> generation_shift) == id >> index_bits;
  }

  entry& at(std::uint32_t index) noexcept {
    const std::size_t chunk = chunk_of(index);
    return chunks_[chunk].load(std::memory_order_acquire)[index - (chunk_size(chunk) - chunk_size(0))];
  }
  entry* find(std::uint32_t id) noexcept {
    const std::uint32_t index = id & index_mask;
    const std::size_t chunk = chunk_of(index);
    entry* entries = chunks_[chunk].load(std::memory_order_acquire);
    return entries == nullptr ? nullptr : entries + (index - (chunk_size(chunk) - chunk_size(0)));
  }

  /// The record is retired and has no user: only one caller gets here, so it may be taken without a lock.
  void take(std::uint32_t id, auto&& taker) noexcept {
    const std::uint32_t index = id & index_mask;
    entry& place = at(index);
    taker(std::move(place.record));
    place.word.store(0, std::memory_order_release);
    if (place.generation < generation_limit) {
      std::lock_guard held(mutex_);
      place.next_free = free_;
      free_ = index;
    }
  }
  std::unique_ptr<Record> take(std::uint32_t id) noexcept {
    std::unique_ptr<Record> taken;
    take(id, [&](std::unique_ptr<Record> record) noexcept { taken = std::move(record); });
    return taken;
  }

  std::mutex mutex_;
  std::array<std::atomic<entry*>, chunk_count> chunks_{};
  std::uint32_t size_ = 0;
  std::uint32_t free_ = none;
};

}  // namespace lading
