// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <lading/codec/counted.hpp>

// Maps and sets, ordered and hashed, unique and multi: a count, then keys (each followed by its mapped value). Ordered ones must arrive in order,
// duplicates of a unique key are errors; hashed ones are written in iteration order unless encode_options::sort_unordered asks for more.

namespace lading::detail {

template <class T>
concept hashed = requires { typename T::hasher; };

template <class T>
concept unique_keys = requires(T& value, typename T::value_type&& item) { value.insert(std::move(item)).second; };

template <class T, bool Map>
struct wire_associative {
  using key = typename T::key_type;
  static constexpr bool fixed = false;
  static constexpr std::size_t min_size = count_size;

  static consteval std::size_t least_entry() {
    if constexpr (Map)
      return min_wire_size<key>() + min_wire_size<typename T::mapped_type>();
    else
      return min_wire_size<key>();
  }
  static consteval auto list_parts() {
    if constexpr (Map)
      return type_list<key, typename T::mapped_type>{};
    else
      return type_list<key>{};
  }
  using parts = decltype(list_parts());

  static consteval void tag(auto& hash) {
    constexpr const char* letters = Map ? "mMhH" : "sSkK";
    hash.add(letters[(hashed<T> ? 2 : 0) + (unique_keys<T> ? 0 : 1)]);
  }

  template <class Planner>
  LADING_ALWAYS_INLINE static std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
    offset = measure_count<1>(offset, plan, value.size());
    in_order(plan, value, [&](const auto& entry) LADING_FLATTEN_LAMBDA {
      if constexpr (Map) {
        offset = detail::measure(offset, plan, entry.first);
        offset = detail::measure(offset, plan, entry.second);
      } else {
        offset = detail::measure(offset, plan, entry);
      }
      return true;
    });
    return offset;
  }

  template <class Writer>
  LADING_ALWAYS_INLINE static std::byte* put(std::byte* at, const Writer& out, const T& value) {
    at = put_count<1>(at, out, value.size(), 0);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    const bool sorted = in_order(out, value, [&](const auto& entry) LADING_FLATTEN_LAMBDA {
      if constexpr (Map) {
        at = detail::put(at, out, entry.first);
        if (at != nullptr) [[likely]]
          at = detail::put(at, out, entry.second);
      } else {
        at = detail::put(at, out, entry);
      }
      return at != nullptr;
    });
    return sorted ? at : nullptr;
  }

  [[nodiscard]] LADING_ALWAYS_INLINE static const std::byte* get(const std::byte* at, const reader& in, T& value) {
    if (in.depth == 0) [[unlikely]]
      return in.too_deep(at);
    std::uint32_t count;
    at = get_count<1, least_entry()>(at, in, count);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    if (count == out_of_band_mark) [[unlikely]]
      return in.fail(errc::not_canonical, at, "keys and values do not travel out of band");
    value.clear();
    if constexpr (requires { value.reserve(std::size_t{count}); }) {
      const std::size_t affordable = allowance(in, at) / (sizeof(typename T::value_type) + 2 * sizeof(void*));
      value.reserve(count < affordable ? count : affordable);
    }
    const reader inner = in.deeper();
    std::size_t walked = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::byte* const entry = at;
      key found_key = make_key(value);
      at = detail::get(at, inner, found_key);
      if (at == nullptr) [[unlikely]]
        return nullptr;
      if (!in_sequence(value, found_key)) [[unlikely]]
        return in.fail(errc::not_canonical, entry, "the keys of an ordered container are not in ascending order");
      if (!spread_out(value, found_key, walked)) [[unlikely]]
        return in.fail(errc::limit_exceeded, entry, "hashes of keys collide so often that inserting them would take time without bound");
      if constexpr (Map) {
        using mapped = typename T::mapped_type;
        if constexpr (std::default_initializable<mapped>) {
          const auto place = insert(value, std::move(found_key), mapped{});
          if (place == value.end()) [[unlikely]]
            return in.fail(errc::not_canonical, entry, "a key occurs twice");
          at = detail::get(at, inner, place->second);
          if (at == nullptr) [[unlikely]]
            return nullptr;
        } else {
          bool inserted = true;
          at = get_new<mapped>(at, inner,
                               [&](mapped&& item) { return inserted = insert(value, std::move(found_key), std::move(item)) != value.end(); });
          if (!inserted) [[unlikely]]
            return in.fail(errc::not_canonical, entry, "a key occurs twice");
          if (at == nullptr) [[unlikely]]
            return nullptr;
        }
      } else {
        if (insert(value, std::move(found_key)) == value.end()) [[unlikely]]
          return in.fail(errc::not_canonical, entry, "a key occurs twice");
      }
    }
    return at;
  }

 private:
  /// With the container's allocator, where it takes one (std::pmr).
  static key make_key(const T& value) {
    static_assert(std::default_initializable<key>, "lading: decoding a key needs a default constructor: add one, or use a std::vector of pairs");
    if constexpr (requires {
                    requires std::uses_allocator_v<key, typename T::allocator_type>;
                    key(value.get_allocator());
                  })
      return key(value.get_allocator());
    else
      return key{};
  }

  static const auto& key_of(const typename T::value_type& entry) noexcept {
    if constexpr (Map)
      return entry.first;
    else
      return entry;
  }

  static bool in_sequence(const T& value, const key& next) {
    if constexpr (hashed<T>) {
      return true;
    } else {
      if (value.empty()) return true;
      const auto& last = key_of(*value.rbegin());
      if constexpr (unique_keys<T>)
        return value.key_comp()(last, next);
      else
        return !value.key_comp()(next, last);
    }
  }

  /// Keys that were chosen to share a bucket make each insertion walk past all before it: what the walks may take together grows with the
  /// number of entries, not with its square. Adds to `walked` what inserting `next` will take.
  static bool spread_out(const T& value, const key& next, std::size_t& walked) {
    if constexpr (requires { value.key_eq()(next, key_of(*value.begin(value.bucket(next)))); }) {
      if (value.empty()) return true;  // and there may be no bucket
      const std::size_t bucket = value.bucket(next);
      const auto end = value.end(bucket);
      for (auto entry = value.begin(bucket); entry != end && !value.key_eq()(key_of(*entry), next); ++entry) ++walked;
      return walked <= 4096 + 32 * value.size();
    } else {
      return true;
    }
  }

  /// Where the entry went; end() where its key was there already.
  template <class... Entry>
  static auto insert(T& value, Entry&&... entry) {
    if constexpr (!hashed<T>) {
      return value.emplace_hint(value.end(), std::forward<Entry>(entry)...);
    } else if constexpr (unique_keys<T>) {
      const auto [place, inserted] = value.emplace(std::forward<Entry>(entry)...);
      return inserted ? place : value.end();
    } else {
      return value.emplace(std::forward<Entry>(entry)...);
    }
  }

  /// Calls use(entry) for each entry in the order of the wire until it returns false; returns whether it never did.
  template <class Cursor, class Use>
  LADING_ALWAYS_INLINE static bool in_order(const Cursor& cursor, const T& value, Use&& use) {
    if constexpr (hashed<T>) {
      if (cursor.state->options.sort_unordered) [[unlikely]]
        return sorted(cursor, value, use);
    }
    for (const auto& entry : value) {
      if (!use(entry)) [[unlikely]]
        return false;
    }
    return true;
  }

  template <class Cursor, class Use>
  static bool sorted(const Cursor& cursor, const T& value, Use& use) {
    if constexpr (requires(const key& k) {
                    { k < k } -> std::convertible_to<bool>;
                  }) {
      struct place {
        const typename T::value_type* entry;
        std::size_t order;  // entries of equal keys stay in the container's order
      };
      std::vector<place> places;
      places.reserve(value.size());
      for (const auto& entry : value) places.push_back({&entry, places.size()});
      // std::qsort, because <algorithm> would add 5,000 lines to every user's translation unit for this one rarely used option.
      std::qsort(places.data(), places.size(), sizeof(place), [](const void* left, const void* right) {
        const auto &first = *static_cast<const place*>(left), &second = *static_cast<const place*>(right);
        if (key_of(*first.entry) < key_of(*second.entry)) return -1;
        if (key_of(*second.entry) < key_of(*first.entry)) return 1;
        return first.order < second.order ? -1 : 1;
      });
      for (const place& item : places) {
        if (!use(*item.entry)) return false;
      }
      return true;
    } else {
      cursor.state->fail(errc::unsupported, {.what = "sort_unordered needs keys with operator<"});
      return false;
    }
  }
};

template <class T>
struct wire<T, kind::map> : wire_associative<T, true> {};

template <class T>
struct wire<T, kind::set> : wire_associative<T, false> {};

}  // namespace lading::detail
