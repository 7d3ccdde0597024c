// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <new>
#include <span>
#include <type_traits>

#include <lading/codec/tensor/dtype.hpp>
#include <lading/core/checked.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>

namespace lading {

/// Most dimensions of a tensor, as in NumPy 2 and PyTorch.
inline constexpr std::size_t max_rank = 64;

/// Most bytes of a tensor, and the furthest apart that two of its items can be: what the difference of two pointers can say.
inline constexpr std::uint64_t max_tensor_bytes = static_cast<std::uint64_t>(std::numeric_limits<std::ptrdiff_t>::max());

/// Dimensions, strides or an order of dimensions as an argument: a braced list, or anything contiguous of std::int64_t.
///
/// Lifetime: borrows for the call, so never keep one.
class shape_ref {
 public:
  constexpr shape_ref(std::initializer_list<std::int64_t> dimensions) noexcept : span_(std::span(dimensions.begin(), dimensions.size())) {}
  template <class Range>
    requires(!std::same_as<Range, shape_ref> && std::convertible_to<const Range&, std::span<const std::int64_t>>)
  constexpr shape_ref(const Range& dimensions) noexcept : span_(dimensions) {}

  [[nodiscard]] constexpr std::size_t size() const noexcept { return span_.size(); }
  [[nodiscard]] constexpr std::int64_t operator[](std::size_t i) const noexcept { return span_[i]; }
  [[nodiscard]] constexpr std::span<const std::int64_t> span() const noexcept { return span_; }

 private:
  std::span<const std::int64_t> span_;
};

namespace detail {

[[noreturn]] LADING_COLD inline void throw_bad_alloc() {
#if LADING_HAS_EXCEPTIONS
  throw std::bad_alloc();
#else
  std::abort();
#endif
}

LADING_COLD inline failure fail_dtype(dtype type) noexcept {
  return fail(errc::invalid_value, {.needed = static_cast<std::uint8_t>(type), .what = "no dtype has this number"});
}
LADING_COLD inline failure fail_rank(std::size_t rank) noexcept {
  return fail(errc::limit_exceeded, {.needed = rank, .available = max_rank, .what = "a tensor has too many dimensions"});
}
LADING_COLD inline failure fail_extents_memory() noexcept {
  return fail(errc::no_memory, {.what = "the allocation of a tensor's dimensions failed"});
}
LADING_COLD inline failure fail_index(std::int64_t index, std::int64_t size) noexcept {
  return fail(errc::invalid_argument, {.needed = index < 0 ? error_details::unset : static_cast<std::uint64_t>(index),
                                       .available = static_cast<std::uint64_t>(size),
                                       .what = index < 0 ? "an index is negative" : "an index or range lies outside its dimension"});
}
LADING_COLD inline failure fail_dimension(std::size_t dimension, std::size_t rank) noexcept {
  return fail(errc::invalid_argument, {.needed = dimension, .available = rank, .what = "the tensor has not that many dimensions"});
}

/// Why dimensions make no tensor: the first negative one, else that their product does not fit.
LADING_COLD inline failure fail_shape(std::span<const std::int64_t> shape) noexcept {
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) return fail(errc::invalid_value, {.item = i, .what = "a dimension of a tensor is negative"});
  }
  return fail(errc::size_overflow, {.what = "the dimensions of a tensor multiply to more bytes than memory can have"});
}

/// Shape and strides of a tensor: in place up to 8 dimensions, else in one block.
class extents {
 public:
  static constexpr std::size_t inline_rank = 8;

  extents() noexcept {}
  extents(const extents& other) {
    if (!assign(other)) throw_bad_alloc();
  }
  /// Takes the block and leaves rank 0; without one it copies, and `other` stays as it was.
  extents(extents&& other) noexcept { take(other); }
  extents& operator=(const extents& other) {
    if (!assign(other)) throw_bad_alloc();
    return *this;
  }
  extents& operator=(extents&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~extents() { release(); }

  [[nodiscard]] std::size_t rank() const noexcept { return rank_; }
  [[nodiscard]] std::int64_t* shape() noexcept { return is_inline() ? storage_.in_place : storage_.block; }
  [[nodiscard]] const std::int64_t* shape() const noexcept { return is_inline() ? storage_.in_place : storage_.block; }
  [[nodiscard]] std::int64_t* strides() noexcept { return is_inline() ? storage_.in_place + inline_rank : storage_.block + rank_; }
  [[nodiscard]] const std::int64_t* strides() const noexcept { return is_inline() ? storage_.in_place + inline_rank : storage_.block + rank_; }

  /// Makes room for `rank` <= max_rank dimensions, whose values are then unspecified; false, and nothing changed, where memory is short.
  [[nodiscard]] bool resize(std::size_t rank) noexcept {
    if (rank > inline_rank) {
      if (rank == rank_) return true;
      auto* block = new (std::nothrow) std::int64_t[2 * rank];
      if (block == nullptr) return false;
      release();
      storage_.block = block;
    } else {
      release();
    }
    rank_ = static_cast<std::uint8_t>(rank);
    return true;
  }

  /// Whether a dimension lies in here, so that it must not be read after resize().
  [[nodiscard]] bool holds(const std::int64_t* dimension) const noexcept {
    // Safety: the addresses are only compared, and as numbers, for they may belong to different objects.
    const auto place = reinterpret_cast<std::uintptr_t>(dimension);
    const auto begin = reinterpret_cast<std::uintptr_t>(shape());
    return place - begin < (is_inline() ? sizeof(storage_) : 2 * rank() * sizeof(std::int64_t));
  }

  [[nodiscard]] bool assign(const extents& other) noexcept {
    if (this == &other) return true;
    if (!resize(other.rank_)) return false;
    if (is_inline()) {
      storage_ = other.storage_;
      return true;
    }
    std::memcpy(shape(), other.shape(), rank_ * sizeof(std::int64_t));
    std::memcpy(strides(), other.strides(), rank_ * sizeof(std::int64_t));
    return true;
  }

 private:
  [[nodiscard]] bool is_inline() const noexcept { return rank_ <= inline_rank; }
  void release() noexcept {
    if (!is_inline()) delete[] storage_.block;
    rank_ = 0;
  }
  void take(extents& other) noexcept {
    storage_ = other.storage_;
    rank_ = other.rank_;
    if (!is_inline()) other.rank_ = 0;
  }

  union storage {
    std::int64_t in_place[2 * inline_rank];
    std::int64_t* block;
    storage() noexcept : block(nullptr) {}  // the rest is left as it is: `rank_` says what is there
  };
  storage storage_;
  std::uint8_t rank_ = 0;
};

/// Sets shape and compact row-major strides; false where a dimension is negative or the bytes exceed max_tensor_bytes.
///
/// A dimension of 0 counts as 1 in the strides and in the check, so that no slice of an empty tensor can overflow either. `shape` is read
/// once, for it may lie in memory that a peer can write; it is as long as `dimensions`, and is theirs or elsewhere.
[[nodiscard]] LADING_ALWAYS_INLINE bool set_compact(extents& dimensions, const std::int64_t* shape, std::size_t size_of_item,
                                                    std::int64_t& item_count) noexcept {
  std::int64_t* own_shape = dimensions.shape();
  std::int64_t* strides = dimensions.strides();
  std::uint64_t count = 1;  // may wrap, and is then refused by `product`, which is never 0 instead
  std::uint64_t product = 1;
  std::int64_t signs = 0;
  bool fits = true;
  for (std::size_t i = dimensions.rank(); i-- > 0;) {
    const std::int64_t size = shape[i];
    own_shape[i] = size;
    strides[i] = static_cast<std::int64_t>(product);
    signs |= size;
    count *= static_cast<std::uint64_t>(size);
    fits &= checked_multiply<std::uint64_t>(product, size == 0 ? 1 : static_cast<std::uint64_t>(size), product);
  }
  fits &= checked_multiply<std::uint64_t>(product, size_of_item, product);
  item_count = static_cast<std::int64_t>(count);
  return fits && product <= max_tensor_bytes && signs >= 0;
}

/// sum += (size - 1) * |stride|, how far a dimension of at least one index reaches; false where it does not fit.
[[nodiscard]] inline bool add_reach(std::int64_t size, std::int64_t stride, std::uint64_t& sum) noexcept {
  const std::uint64_t magnitude = stride < 0 ? 0 - static_cast<std::uint64_t>(stride) : static_cast<std::uint64_t>(stride);
  std::uint64_t reach = 0;
  return checked_multiply<std::uint64_t>(static_cast<std::uint64_t>(size - 1), magnitude, reach) && checked_add<std::uint64_t>(sum, reach, sum);
}

}  // namespace detail
}  // namespace lading
