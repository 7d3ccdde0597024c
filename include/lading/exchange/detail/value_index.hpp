// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <lading/core/checked.hpp>
#include <lading/exchange/protocol.hpp>
#include <lading/exchange/slab.hpp>
#include <lading/exchange/store.hpp>

namespace lading::detail {

/// A published value. Readers hold on to it, so its bytes stay until the last of them is done.
struct stored_value {
  protocol::meta meta;
  slab_lease lease;
};

/// The values by key, in the order of their use. Not for several threads.
class value_index {
 public:
  using value = std::shared_ptr<const stored_value>;

  /// `most` bytes for keys and what is kept beside the values.
  explicit value_index(std::uint64_t most = ~std::uint64_t{0}) noexcept : most_(most) {}

  /// Bytes that a value takes besides its own.
  [[nodiscard]] static std::uint64_t cost_of(std::string_view key, const protocol::meta& what) noexcept {
    return cost_of_entry + key.size() + what.shape.size() * sizeof(what.shape[0]);
  }
  /// Whether it could be published where the index were empty, and whether it can as it is.
  [[nodiscard]] bool can_hold(std::string_view key, const protocol::meta& what) const noexcept { return cost_of(key, what) <= most_; }
  [[nodiscard]] bool has_room(std::string_view key, const protocol::meta& what) const noexcept {
    const auto found = entries_.find(key);
    const std::uint64_t freed = found == entries_.end() ? 0 : cost_of(key, found->second->held->meta);
    return cost_ - freed + cost_of(key, what) <= most_;
  }

  [[nodiscard]] bool contains(std::string_view key) const { return entries_.contains(key); }

  /// The value, which is now the most recently used; null where there is none.
  [[nodiscard]] value find(std::string_view key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return nullptr;
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    return found->second->held;
  }

  /// Puts it where the key is free, or in place of what is there.
  ///
  /// Errors: already_exists, no_space where the index is full.
  [[nodiscard]] result<void> publish(std::string_view key, value fresh, put_mode mode) {
    const auto found = entries_.find(key);
    if (found != entries_.end() && mode == put_mode::insert) return fail(errc::already_exists);
    if (!has_room(key, fresh->meta)) return fail(errc::no_space);
    if (found != entries_.end()) {
      cost_ += cost_of(key, fresh->meta) - cost_of(key, found->second->held->meta);
      bytes_ += fresh->meta.size - found->second->held->meta.size;
      found->second->held = std::move(fresh);
      by_use_.splice(by_use_.begin(), by_use_, found->second);
      return {};
    }
    const std::uint64_t size = fresh->meta.size, cost = cost_of(key, fresh->meta);
    by_use_.push_front({std::string(key), std::move(fresh)});
    LADING_TRY { entries_.emplace(by_use_.front().key, by_use_.begin()); }
    LADING_CATCH_BAD_ALLOC(by_use_.pop_front(); return fail(errc::no_memory))
    bytes_ += size;
    cost_ += cost;
    return {};
  }

  [[nodiscard]] bool remove(std::string_view key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return false;
    drop(found->second);
    return true;
  }

  /// Calls use(value) for the values that evict would drop, in that order, until it returns false.
  template <class Use>
  void each_evictable(Use&& use) const {
    for (auto each = by_use_.rbegin(); each != by_use_.rend(); ++each) {
      if (each->held.use_count() == 1 && !use(each->key, *each->held)) return;
    }
  }

  /// Drops the least recently used value that nobody reads; false where there is none.
  [[nodiscard]] bool evict() {
    for (auto each = by_use_.rbegin(); each != by_use_.rend(); ++each) {
      if (each->held.use_count() != 1) continue;
      drop(std::prev(each.base()));
      ++evicted_;
      return true;
    }
    return false;
  }

  /// Evicts until there is room for what publish would keep beside the value; nothing where that would not be enough.
  void make_room(std::string_view key, const protocol::meta& what) {
    const auto found = entries_.find(key);
    std::uint64_t left = cost_ + cost_of(key, what) - (found == entries_.end() ? 0 : cost_of(key, found->second->held->meta));
    each_evictable([&](const std::string& other, const stored_value& held) {
      if (other != key) left -= cost_of(other, held.meta);
      return left > most_;
    });
    if (left > most_) return;
    while (!has_room(key, what) && evict()) {}
  }

  [[nodiscard]] std::uint64_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t evicted() const noexcept { return evicted_; }

 private:
  struct entry {
    std::string key;
    value held;
  };
  using place = std::list<entry>::iterator;

  static constexpr std::uint64_t cost_of_entry = 256;  // the entry in both containers, the value's record and its lease, about

  void drop(place which) {
    cost_ -= cost_of(which->key, which->held->meta);
    bytes_ -= which->held->meta.size;
    entries_.erase(which->key);
    by_use_.erase(which);
  }

  std::list<entry> by_use_;  // most recent first
  std::unordered_map<std::string_view, place> entries_;
  std::uint64_t most_, cost_ = 0, bytes_ = 0, evicted_ = 0;
};

/// Whether what a peer says of a value can be true.
[[nodiscard]] inline bool plausible(const protocol::meta& said) noexcept {
  switch (said.kind) {
    case value_kind::bytes: return said.dtype == 0 && said.shape.empty() && said.schema == 0;
    case value_kind::packed: return said.dtype == 0 && said.shape.empty();
    case value_kind::tensor: {
      if (said.schema != 0 || !is_valid_dtype(said.dtype) || said.shape.size() > max_rank) return false;
      std::uint64_t bytes = item_size(static_cast<dtype>(said.dtype));
      for (const std::int64_t each : said.shape) {
        if (each < 0 || !checked_multiply<std::uint64_t>(bytes, static_cast<std::uint64_t>(each), bytes)) return false;
      }
      return bytes == said.size;
    }
  }
  return false;
}

}  // namespace lading::detail
