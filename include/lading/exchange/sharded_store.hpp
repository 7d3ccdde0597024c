// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/exchange/detail/batch_results.hpp>
#include <lading/exchange/store.hpp>
#include <lading/memory/worker_pool.hpp>
#include <lading/pack/checksum.hpp>

namespace lading {

namespace detail {

/// Some elements of a range, in any order, where they are.
template <class Range>
class picked {
 public:
  class iterator {
   public:
    iterator(const Range& all, const std::size_t* which) noexcept : all_(&all), which_(which) {}
    [[nodiscard]] decltype(auto) operator[](std::ptrdiff_t i) const { return std::begin(*all_)[static_cast<std::ptrdiff_t>(which_[i])]; }

   private:
    const Range* all_;
    const std::size_t* which_;
  };

  picked(const Range& all, std::span<const std::size_t> which) noexcept : all_(all), which_(which) {}
  [[nodiscard]] iterator begin() const noexcept { return {all_, which_.data()}; }
  [[nodiscard]] std::size_t size() const noexcept { return which_.size(); }

 private:
  const Range& all_;
  std::span<const std::size_t> which_;
};

}  // namespace detail

/// Several stores as one: each key lies in one of them.
///
/// A key's store is the one of whose name and the key the hash is highest (XXH3-64 of both, xor, then the last step of MurmurHash3). So all clients that name
/// the same stores agree, in whichever order; of n stores each has about one key in n; and where one is added or taken away, only the keys that come to it,
/// or were in it, have another place. Nothing moves them there.
/// A store that fails, fails for its own keys only.
/// Errors:   by key, as of the stores.
/// Threads:  as the stores; those that a batch concerns are called at the same time, by threads of the pool.
template <class Store>
class sharded_store {
 public:
  struct shard {
    std::string name{};  ///< such as "host:6379": what says which keys are its own
    std::unique_ptr<Store> store{};
  };

  /// `pool`: whose threads call stores; null = worker_pool::shared().
  ///
  /// Errors: invalid_argument for no shard, one without a store, or two of one name.
  [[nodiscard]] static result<sharded_store> create(std::vector<shard> shards, worker_pool* pool = nullptr) {
    if (shards.empty()) return fail(errc::invalid_argument, {.needed = 1, .available = 0, .what = "keys need a store at least"});
    sharded_store made(std::move(shards), pool != nullptr ? *pool : worker_pool::shared());
    for (std::size_t i = 0; i < made.shards_.size(); ++i) {
      if (made.shards_[i].store == nullptr) return fail(errc::invalid_argument, {.item = i, .what = "a shard has no store"});
      for (std::size_t before = 0; before < i; ++before) {
        if (made.shards_[before].name == made.shards_[i].name)
          return fail(errc::invalid_argument, {.item = i, .what = "two shards have the same name: keys would have no place"});
      }
      made.hashes_.push_back(hash_of(made.shards_[i].name));
    }
    return made;
  }

  [[nodiscard]] std::size_t size() const noexcept { return shards_.size(); }
  [[nodiscard]] Store& at(std::size_t index) const noexcept { return *shards_[index].store; }

  /// The index of the shard that a key belongs to.
  [[nodiscard]] std::size_t place_of(std::string_view key) const noexcept {
    const std::uint64_t hash = hash_of(key);
    std::size_t best = 0;
    std::uint64_t highest = 0;
    for (std::size_t i = 0; i < hashes_.size(); ++i) {
      const std::uint64_t each = mix(hash ^ hashes_[i]);
      if (i == 0 || each > highest) {
        highest = each;
        best = i;
      }
    }
    return best;
  }

  template <class Keys, class Values>
  [[nodiscard]] std::vector<result<void>> put_batch(const Keys& keys, const Values& values, const put_options& options = {}) {
    if (std::size(keys) != std::size(values)) return uneven<void>(std::size(keys), "one value for each key");
    return scatter<void>(keys, [&](Store& one, std::span<const std::string_view> names, std::span<const std::size_t> which) {
      return one.put_batch(names, detail::picked<Values>(values, which), options);
    });
  }
  template <class T, class Keys>
  [[nodiscard]] std::vector<result<T>> get_batch(const Keys& keys, const store_call_options& options = {}) {
    return scatter<T>(keys, [&](Store& one, std::span<const std::string_view> names, std::span<const std::size_t>) {
      return one.template get_batch<T>(names, options);
    });
  }
  template <class T, class Keys>
  [[nodiscard]] auto view_batch(const Keys& keys, const store_call_options& options = {}) {
    using held_type = typename decltype(std::declval<Store&>().template view_batch<T>(std::span<const std::string_view>()))::value_type::value_type;
    return scatter<held_type>(keys, [&](Store& one, std::span<const std::string_view> names, std::span<const std::size_t>) {
      return one.template view_batch<T>(names, options);
    });
  }
  template <class Keys, class Buffers>
  [[nodiscard]] std::vector<result<std::size_t>> get_batch_into(const Keys& keys, const Buffers& buffers, const store_call_options& options = {}) {
    if (std::size(keys) != std::size(buffers)) return uneven<std::size_t>(std::size(keys), "one buffer for each key");
    return scatter<std::size_t>(keys, [&](Store& one, std::span<const std::string_view> names, std::span<const std::size_t> which) {
      return one.get_batch_into(names, detail::picked<Buffers>(buffers, which), options);
    });
  }
  template <class Keys>
  [[nodiscard]] std::vector<result<bool>> exists_batch(const Keys& keys, const store_call_options& options = {}) {
    return scatter<bool>(
        keys, [&](Store& one, std::span<const std::string_view> names, std::span<const std::size_t>) { return one.exists_batch(names, options); });
  }
  template <class Keys>
  [[nodiscard]] std::vector<result<void>> remove_batch(const Keys& keys, const store_call_options& options = {}) {
    return scatter<void>(
        keys, [&](Store& one, std::span<const std::string_view> names, std::span<const std::size_t>) { return one.remove_batch(names, options); });
  }

  /// The sums over all stores; `clients` is that of the store that has most.
  ///
  /// Errors: those of the first store that has none to tell, with its index as item.
  [[nodiscard]] result<store_stats> stats(const store_call_options& options = {}) {
    store_stats sum;
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      const auto each = shards_[i].store->stats(options);
      if (!each) return fail(each.error().with_item(i));
      sum.values += each->values;
      sum.bytes += each->bytes;
      sum.capacity += each->capacity;
      sum.free += each->free;
      sum.evicted += each->evicted;
      sum.leased += each->leased;
      sum.clients = std::max(sum.clients, each->clients);
    }
    return sum;
  }

 private:
  sharded_store(std::vector<shard> shards, worker_pool& pool) noexcept : shards_(std::move(shards)), pool_(&pool) {}

  [[nodiscard]] static std::uint64_t hash_of(std::string_view text) noexcept { return checksum_of(text.data(), text.size()); }
  [[nodiscard]] static constexpr std::uint64_t mix(std::uint64_t number) noexcept {
    number = (number ^ (number >> 33)) * 0xff51afd7ed558ccdu;
    number = (number ^ (number >> 33)) * 0xc4ceb9fe1a85ec53u;
    return number ^ (number >> 33);
  }
  template <class T>
  [[nodiscard]] static std::vector<result<T>> uneven(std::size_t count, const char* what) {
    return std::vector<result<T>>(count, result<T>(fail(errc::invalid_argument, {.what = what})));
  }

  /// Has call(store, keys, indices) done for the keys of each store, and puts the results in the order of the keys.
  template <class T, class Keys, class Call>
  [[nodiscard]] std::vector<result<T>> scatter(const Keys& keys, Call&& call) {
    struct part {
      std::vector<std::string_view> keys{};
      std::vector<std::size_t> which{};
    };
    struct named {
      std::size_t index = 0;
      std::string_view key{};
    };
    auto results = detail::undone<T>(std::size(keys));
    std::vector<part> parts(shards_.size());
    for (const named& each : detail::items_of<named>(keys)) {
      part& mine = parts[place_of(each.key)];
      mine.keys.push_back(each.key);
      mine.which.push_back(each.index);
    }
    std::vector<std::size_t> wanted;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (!parts[i].keys.empty()) wanted.push_back(i);
    }
    const auto run = [&](std::size_t i) {
      const part& mine = parts[wanted[i]];
      std::vector<result<T>> found = call(*shards_[wanted[i]].store, std::span(mine.keys), std::span(mine.which));
      for (std::size_t n = 0; n < found.size() && n < mine.which.size(); ++n) {
        result<T>& target = results[mine.which[n]];
        if (found[n]) {
          target = std::move(found[n]);
        } else {
          target = fail(found[n].error().with_item(mine.which[n]));
        }
      }
    };
    // Where memory runs out the keys of that store keep the result that they began with, which says so.
    static_cast<void>(pool_->run(wanted.size(), wanted.size(), [&](std::size_t i) {
      LADING_TRY { run(i); }
      LADING_CATCH_BAD_ALLOC(static_cast<void>(0))
    }));
    return results;
  }

  std::vector<shard> shards_;
  std::vector<std::uint64_t> hashes_;  // of their names
  worker_pool* pool_;
};

}  // namespace lading
