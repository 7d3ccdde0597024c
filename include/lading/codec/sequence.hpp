// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include <lading/codec/counted.hpp>

// Strings, vectors, deques, lists (owning) and spans, string views (borrowing): a count, then the elements. Contiguous elements whose bytes are
// the wire's are copied whole, may leave as frames, and can be borrowed.

namespace lading::detail {

template <class T>
concept resizable = requires(T& value, std::size_t count) { value.resize(count); };

/// What owning sequences and views share: everything but reading.
template <class T>
struct sequence_writing {
  using element = std::remove_cv_t<typename T::value_type>;
  using parts = type_list<element>;
  static constexpr bool fixed = false;
  static constexpr std::size_t min_size = count_size;

  static consteval std::size_t align() {
    if constexpr (wire_of<element>::fixed)
      return wire_of<element>::wire_align;
    else
      return 1;
  }
  /// The elements' memory is their wire form.
  static consteval bool bulk() {
    if constexpr (contiguous_shaped<const T>)
      return dense<element>;
    else
      return false;
  }

  static consteval void tag(auto& hash) { hash.add('['); }

  static std::size_t count_of(const T& value) {
    if constexpr (requires { value.size(); }) {
      return static_cast<std::size_t>(value.size());
    } else {
      std::size_t count = 0;
      for (auto item = value.begin(); item != value.end(); ++item) ++count;
      return count;
    }
  }

  template <class Planner>
  LADING_ALWAYS_INLINE static std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
    const std::size_t count = count_of(value);
    if constexpr (wire_of<element>::fixed) {
      const std::size_t bytes = count * wire_of<element>::wire_size;
      if constexpr (Planner::framed && bulk()) {
        if (count != 0 && bytes >= plan.state->options.out_of_band_threshold && layout_matches<element>()) {
          // Safety: dense elements have no padding, and any object may be read as bytes.
          if (plan.state->payloads != nullptr)
            plan.state->payloads->push_back({.data = reinterpret_cast<const std::byte*>(value.data()), .size = bytes});
          return offset + count_size;
        }
      }
      return measure_count<align()>(offset, plan, count) + bytes;
    } else {
      offset = measure_count<1>(offset, plan, count);
      for (const auto& item : value) offset = detail::measure(offset, plan, item);
      return offset;
    }
  }

  template <class Writer>
  LADING_ALWAYS_INLINE static std::byte* put(std::byte* at, const Writer& out, const T& value) {
    const std::size_t count = count_of(value);
    if constexpr (wire_of<element>::fixed) {
      constexpr std::size_t size = wire_of<element>::wire_size;
      const std::size_t bytes = count * size;
      if constexpr (Writer::framed && bulk()) {
        if (count != 0 && bytes >= out.state->options.out_of_band_threshold && layout_matches<element>()) {
          if (out.room(at) < count_size) [[unlikely]]
            return out.full(at);
          store_little(at, out_of_band_mark);
          return at + count_size;
        }
      }
      at = put_count<align()>(at, out, count, bytes);
      if (at == nullptr) [[unlikely]]
        return nullptr;
      if constexpr (bulk()) {
        if (layout_matches<element>()) [[likely]] {
          copy_run(at, value.data(), bytes);
          return at + bytes;
        }
      }
      for (const auto& item : value) {
        store_fixed(at, static_cast<const element&>(item));
        at += size;
      }
      return at;
    } else {
      at = put_count<1>(at, out, count, 0);
      if (at == nullptr) [[unlikely]]
        return nullptr;
      for (const auto& item : value) {
        at = detail::put(at, out, item);
        if (at == nullptr) [[unlikely]]
          return nullptr;
      }
      return at;
    }
  }

  /// Takes the frame behind an out-of-band mark; false, and the error is set, where it cannot be this sequence's.
  [[nodiscard]] static bool take_elements(const std::byte* at, const reader& in, bytes_view& frame) {
    if (!in.take_frame(at, frame)) return false;
    if (frame.empty() || frame.size() % wire_of<element>::wire_size != 0) {
      in.state->fail(errc::invalid_value, {.needed = wire_of<element>::wire_size,
                                           .available = frame.size(),
                                           .item = in.state->next_frame - 1,
                                           .what = "the frame does not hold a whole number of elements"});
      return false;
    }
    return true;
  }
};

template <class T>
struct wire<T, kind::sequence> : sequence_writing<T> {
  using base = sequence_writing<T>;
  using typename base::element;
  static constexpr bool owns_payload = base::bulk();

  template <std::size_t Rest>
  [[nodiscard]] LADING_ALWAYS_INLINE static const std::byte* get_within(const std::byte* at, const reader& in, T& value) {
    if constexpr (wire_of<element>::fixed) {
      constexpr std::size_t size = wire_of<element>::wire_size;
      std::uint32_t count;
      at = get_count_within<base::align(), size, Rest>(at, in, count);
      if (at == nullptr) [[unlikely]]
        return nullptr;
      if (count == out_of_band_mark) [[unlikely]]
        return get_from_frame(at, in, value);
      if constexpr (base::bulk()) {
        if (layout_matches<element>()) [[likely]] {
          assign(value, at, count);
          return at + std::size_t{count} * size;
        }
      }
      return get_fixed_elements(at, in, value, count);
    } else {
      if (in.depth == 0) [[unlikely]]
        return in.too_deep(at);
      std::uint32_t count;
      at = get_count_within<1, min_wire_size<element>()>(at, in, count);
      if (at == nullptr) [[unlikely]]
        return nullptr;
      if (count == out_of_band_mark) [[unlikely]]
        return in.fail(errc::not_canonical, at, "elements of variable size do not travel out of band");
      at = get_elements(at, in.deeper(), value, count);
      if (at == nullptr) [[unlikely]]
        return nullptr;
      if constexpr (Rest != 0) {
        if (in.left(at) < Rest) [[unlikely]]
          return in.truncated(at, Rest);
      }
      return at;
    }
  }

 private:
  LADING_ALWAYS_INLINE static void assign(T& value, const std::byte* from, std::size_t count) {
    if (count <= value.size()) {
      value.resize(count);
      copy_run(value.data(), from, count * sizeof(element));
    } else if (alignof(element) == 1 || reinterpret_cast<std::uintptr_t>(from) % alignof(element) == 0) {
      // Safety: aligned, dense, and get_count has checked that the elements are there.
      const auto* elements = reinterpret_cast<const element*>(from);
      value.assign(elements, elements + count);
    } else {
      value.resize(count);
      std::memcpy(value.data(), from, count * sizeof(element));
    }
  }

  [[nodiscard]] static const std::byte* get_fixed_elements(const std::byte* at, const reader& in, T& value, std::size_t count) {
    constexpr std::size_t size = wire_of<element>::wire_size;
    const auto load = [&](element& item) {
      if (!load_fixed(at, in, item)) [[unlikely]] {
        at = in.fail(errc::invalid_value, at, "a bool, padding byte or other field has bits that no value sets");
        return false;
      }
      at += size;
      return true;
    };
    if constexpr (resizable<T> && std::default_initializable<element>) {
      if (count * sizeof(element) <= allowance(in, at)) [[likely]] {
        value.resize(count);
        for (auto&& item : value) {
          if constexpr (std::is_same_v<decltype(item), element&>) {
            if (!load(item)) return nullptr;
          } else {  // std::vector<bool>
            element plain{};
            if (!load(plain)) return nullptr;
            item = plain;
          }
        }
        return at;
      }
    }
    return append_elements(at, in, value, count);
  }

  [[nodiscard]] LADING_ALWAYS_INLINE static const std::byte* get_elements(const std::byte* at, const reader& in, T& value, std::size_t count) {
    if constexpr (resizable<T> && std::default_initializable<element>) {
      if (count * sizeof(element) <= allowance(in, at)) [[likely]] {
        value.resize(count);
        for (auto& item : value) {
          at = detail::get(at, in, item);
          if (at == nullptr) [[unlikely]]
            return nullptr;
        }
        return at;
      }
    }
    return append_elements(at, in, value, count);
  }

  /// One by one, growing as they arrive: for elements that may be much larger in memory than on the wire.
  [[nodiscard]] LADING_NOINLINE static const std::byte* append_elements(const std::byte* at, reader in, T& value, std::size_t count) {
    value.clear();
    if constexpr (requires { value.push_back(std::declval<element>()); }) {
      for (std::size_t i = 0; i < count; ++i) {
        at = get_new<element>(at, in, [&](element&& item) { return value.push_back(std::move(item)), true; });
        if (at == nullptr) return nullptr;
      }
    } else {
      auto last = value.before_begin();
      for (std::size_t i = 0; i < count; ++i) {
        at = get_new<element>(at, in, [&](element&& item) { return last = value.insert_after(last, std::move(item)), true; });
        if (at == nullptr) return nullptr;
      }
    }
    return at;
  }

  [[nodiscard]] LADING_NOINLINE static const std::byte* get_from_frame(const std::byte* at, reader in, T& value) {
    if constexpr (!solid<element>) {
      return in.fail(errc::not_canonical, at, "elements with padding or bools do not travel out of band");
    } else {
      bytes_view frame;
      if (!base::take_elements(at, in, frame)) return nullptr;
      const std::size_t count = frame.size() / wire_of<element>::wire_size;
      if constexpr (base::bulk()) {
        if (layout_matches<element>()) {
          assign(value, frame.data(), count);
          return at;
        }
      }
      const reader within{frame.data(), frame.data() + frame.size(), in.state, in.depth};
      return get_fixed_elements(frame.data(), within, value, count) != nullptr ? at : nullptr;
    }
  }
};

template <class T>
struct wire<T, kind::view> : sequence_writing<T> {
  using base = sequence_writing<T>;
  using typename base::element;
  static constexpr bool borrows = true;
  static constexpr std::size_t borrowed_align = alignof(element);

  /// The stream has elements as they are, and aligned as the host wants them.
  static consteval bool borrowable() {
    if constexpr (whole<element>)
      return alignof(element) <= wire_of<element>::wire_align;
    else
      return false;
  }
  static consteval bool of_any_length() {
    if constexpr (requires { T::extent; })
      return T::extent == ~std::size_t{0};
    else
      return true;
  }

  template <std::size_t Rest>
  [[nodiscard]] LADING_ALWAYS_INLINE static const std::byte* get_within(const std::byte* at, const reader& in, T& value) {
    static_assert(std::is_constructible_v<T, const element*, std::size_t> && of_any_length(),
                  "lading: a decoded view only reads: use std::span<const T> without a fixed extent, or std::string_view");
    static_assert(borrowable(), "lading: these elements have another layout on the wire, so they cannot be borrowed: decode into a std::vector");
    std::uint32_t count;
    at = get_count_within<base::align(), wire_of<element>::wire_size, Rest>(at, in, count);
    if (at == nullptr) [[unlikely]]
      return nullptr;
    if (count == out_of_band_mark) [[unlikely]]
      return get_from_frame(at, in, value);
    if (!borrow(value, at, count, in)) [[unlikely]]
      return nullptr;
    return at + std::size_t{count} * sizeof(element);
  }

 private:
  static bool all_elements_valid(const std::byte* from, std::size_t count) noexcept {
    if constexpr (std::is_same_v<element, bool>) {
      std::uint64_t seen = 0;
      for (; count >= sizeof(seen); from += sizeof(seen), count -= sizeof(seen)) {
        std::uint64_t eight;
        std::memcpy(&eight, from, sizeof(eight));
        seen |= eight;
      }
      for (; count != 0; ++from, --count) seen |= std::to_integer<std::uint64_t>(*from);
      return (seen & 0xfefefefefefefefeU) == 0;
    } else {
      bool valid = true;
      for (std::size_t i = 0; i < count; ++i) valid &= all_valid<element>(from + i * sizeof(element));
      return valid;
    }
  }

  LADING_ALWAYS_INLINE static bool borrow(T& value, const std::byte* from, std::size_t count, const reader& in) {
    if (!layout_matches<element>()) {
      (void)in.fail(errc::unsupported, from, "the elements have another layout on the wire: decode into a std::vector");
      return false;
    }
    if constexpr (!dense<element>) {
      if (!all_elements_valid(from, count)) [[unlikely]] {
        std::size_t i = 0;
        while (i + 1 < count && all_valid<element>(from + i * sizeof(element))) ++i;
        (void)in.fail(errc::invalid_value, from + i * sizeof(element), "a bool, padding byte or other field has bits that no value sets");
        return false;
      }
    }
    // Safety: aligned, long enough, laid out like the host's objects, and every byte pattern has been checked to be a value.
    value = T(reinterpret_cast<const element*>(from), count);
    return true;
  }

  [[nodiscard]] LADING_NOINLINE static const std::byte* get_from_frame(const std::byte* at, reader in, T& value) {
    if constexpr (!solid<element>) {
      return in.fail(errc::not_canonical, at, "elements with padding or bools do not travel out of band");
    } else {
      bytes_view frame;
      if (!base::take_elements(at, in, frame)) return nullptr;
      const reader within{frame.data(), frame.data() + frame.size(), in.state, in.depth};
      if (!is_aligned(alignof(element), frame.data())) return within.fail(errc::misaligned, frame.data(), misaligned_view);
      return borrow(value, frame.data(), frame.size() / sizeof(element), within) ? at : nullptr;
    }
  }
};

/// A path is its native characters.
template <class T>
struct wire<T, kind::path> {
  using string = typename T::string_type;
  using parts = type_list<string>;
  static constexpr bool fixed = false;
  static constexpr std::size_t min_size = count_size;
  static consteval void tag(auto& hash) { hash.add('p'); }
  template <class Planner>
  static std::size_t measure(std::size_t offset, const Planner& plan, const T& value) {
    return wire<string>::measure(offset, plan.unframed(), value.native());
  }
  template <class Writer>
  static std::byte* put(std::byte* at, const Writer& out, const T& value) {
    return wire<string>::put(at, out.unframed(), value.native());
  }
  [[nodiscard]] static const std::byte* get(const std::byte* at, const reader& in, T& value) {
    string text;
    at = detail::get(at, in, text);
    if (at != nullptr) value = std::move(text);
    return at;
  }
};

}  // namespace lading::detail
