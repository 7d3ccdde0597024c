// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include <lading/codec/tensor/dtype.hpp>
#include <lading/codec/tensor/shape.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>
#include <lading/memory/strided.hpp>

namespace lading {

/// Items of one dtype that someone else owns: where they are, their shape, and their strides.
///
/// Shape:    up to max_rank dimensions; rank 0 is one item; a dimension may be 0. Up to rank 8 a view never allocates.
/// Units:    strides count items, as in torch and DLPack; they may be zero (repeated items) or negative (data() is then not the lowest address).
/// Lifetime: borrows; whoever owns the items must outlive the view and every view and span made from it.
/// Threads:  as safe as reading the items is. Copying a view of rank above 8 may throw std::bad_alloc; moving never does.
///
/// A default-made view is float32 of shape [0]. The items need not be aligned: as() says so, everything else copes.
class tensor_view {
 public:
  tensor_view() noexcept { make_empty(); }
  tensor_view(const tensor_view&) = default;
  tensor_view(tensor_view&& other) noexcept
      : data_(other.data_), item_count_(other.item_count_), extents_(std::move(other.extents_)), type_(other.type_), contiguous_(other.contiguous_) {
    if (other.rank() != rank()) other.make_empty();  // its dimensions have moved; up to rank 8 it stays as it was
  }
  tensor_view& operator=(const tensor_view&) = default;
  tensor_view& operator=(tensor_view&& other) noexcept {
    if (this == &other) return *this;
    this->~tensor_view();
    return *::new (static_cast<void*>(this)) tensor_view(std::move(other));
  }
  ~tensor_view() = default;

  /// The items of a span, vector or array, one-dimensional or in row-major order of `shape`. A temporary that owns its items does not compile.
  ///
  /// Errors: invalid_value, size_overflow, limit_exceeded for the shape; truncated or trailing_bytes where it asks for more or fewer items.
  template <class Range>
    requires tensor_element<std::remove_pointer_t<decltype(std::data(std::declval<Range&>()))>>
  [[nodiscard]] static result<tensor_view> of(Range&& items, shape_ref shape) {
    static_assert(!detail::owning_temporary<Range>, "lading: a tensor_view of a temporary would dangle: keep the container in a variable");
    using item = std::remove_cv_t<std::remove_pointer_t<decltype(std::data(items))>>;
    return from_bytes(dtype_of<item>, shape, std::as_bytes(std::span(std::data(items), std::size(items))));
  }
  template <class Range>
    requires tensor_element<std::remove_pointer_t<decltype(std::data(std::declval<Range&>()))>>
  [[nodiscard]] static result<tensor_view> of(Range&& items) {
    const auto count = static_cast<std::int64_t>(std::size(items));
    return of(std::forward<Range>(items), shape_ref{count});
  }

  /// Exactly the bytes of a compact row-major tensor, at any address.
  ///
  /// Errors: as for of(), and invalid_value for a number that is no dtype.
  [[nodiscard]] static result<tensor_view> from_bytes(lading::dtype type, shape_ref shape, bytes_view bytes) {
    result<tensor_view> view;
    if (result<void> made = view->assign(type, shape, bytes); !made) view = fail(made.error());
    return view;
  }

  /// Items at data + the sum of index * stride over the dimensions. Checks the numbers; that the items exist is the caller's word.
  ///
  /// Errors: as for from_bytes(), size_overflow also where the items span more than max_tensor_bytes, invalid_argument for items at a null pointer
  ///         and for strides that are not one for each dimension.
  [[nodiscard]] static result<tensor_view> strided(lading::dtype type, const void* data, shape_ref shape, shape_ref strides);

  /// As strided(), with the item of index 0 at `offset` bytes into `storage`; every item must lie inside it.
  ///
  /// Errors: as for strided(), and entry_out_of_bounds.
  [[nodiscard]] static result<tensor_view> strided_in(bytes_view storage, std::uint64_t offset, lading::dtype type, shape_ref shape,
                                                      shape_ref strides);

  /// from_bytes() over an existing view, the fastest way: nothing is returned by value.
  ///
  /// Errors: as for from_bytes(); the view is then an empty one.
  [[nodiscard]] LADING_ALWAYS_INLINE result<void> assign(lading::dtype type, shape_ref shape, bytes_view bytes) noexcept {
    if (extents_.holds(shape.span().data())) [[unlikely]]
      return assign_own(type, shape, bytes);
    if (!set_shape(type, shape)) return refuse(explain(type, shape));
    const std::size_t size = static_cast<std::size_t>(item_count_) * lading::item_size(type);
    if (size != bytes.size()) return refuse(fail_size(size, bytes.size()));
    data_ = bytes.data();
    return {};
  }

  [[nodiscard]] lading::dtype dtype() const noexcept { return type_; }
  [[nodiscard]] std::size_t rank() const noexcept { return extents_.rank(); }
  [[nodiscard]] std::span<const std::int64_t> shape() const noexcept { return {extents_.shape(), extents_.rank()}; }
  [[nodiscard]] std::span<const std::int64_t> strides() const noexcept { return {extents_.strides(), extents_.rank()}; }
  [[nodiscard]] std::int64_t item_count() const noexcept { return item_count_; }
  [[nodiscard]] std::size_t item_size() const noexcept { return lading::item_size(type_); }
  [[nodiscard]] bool empty() const noexcept { return item_count_ == 0; }

  /// Bytes of all items laid out compactly; in memory a strided view may take more or fewer.
  [[nodiscard]] std::size_t size_bytes() const noexcept { return static_cast<std::size_t>(item_count_) * item_size(); }

  /// The item of index 0; may be null where there is none.
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }

  /// Whether the items lie in row-major order without holes, so that [data(), data() + size_bytes()) is the tensor.
  [[nodiscard]] bool contiguous() const noexcept { return contiguous_; }

  /// Whether data() is a multiple of `alignment`, a power of two.
  [[nodiscard]] bool is_aligned(std::size_t alignment) const noexcept {
    // Safety: the address is only tested.
    return (reinterpret_cast<std::uintptr_t>(data_) & (alignment - 1)) == 0;
  }

  /// The items' bytes.
  ///
  /// Errors: invalid_argument where the view is not contiguous: copy it into a tensor first.
  [[nodiscard]] result<bytes_view> bytes() const noexcept {
    if (!contiguous_) return fail_strided();
    return bytes_view{data_, size_bytes()};
  }

  /// The items in place. bool is checked to be 0 or 1; uint8_t and std::byte read a boolean tensor unchecked.
  ///
  /// Errors:     invalid_argument where the view is not contiguous or of another dtype, misaligned, invalid_value for a bool that is neither 0 nor 1.
  /// Complexity: constant; one pass for bool.
  template <tensor_element T>
  [[nodiscard]] result<std::span<const T>> as() const noexcept {
    if (!contiguous_) return fail_strided();
    if (!holds<T>()) return fail_type(dtype_of<T>);
    if (item_count_ == 0) return std::span<const T>{};
    if (!is_aligned(alignof(T)))
      return fail(errc::misaligned, {.needed = alignof(T), .what = "the items are not aligned for their type: copy them into a tensor"});
    if constexpr (std::is_same_v<std::remove_cv_t<T>, bool>) {
      if (!all_bool()) return fail(errc::invalid_value, {.what = "an item of a boolean tensor is neither 0 nor 1"});
    }
    // Safety: aligned, of T's size, and as many as item_count(); every element type is trivially copyable and made of these bytes.
    return std::span<const T>(reinterpret_cast<const T*>(data_), static_cast<std::size_t>(item_count_));
  }

  /// One item, wherever it lies; a bool is true where its byte is not 0.
  ///
  /// Errors: invalid_argument for another dtype, another number of indices than rank(), or an index outside its dimension.
  template <tensor_element T, std::convertible_to<std::int64_t>... Index>
  [[nodiscard]] result<std::remove_cv_t<T>> at(Index... index) const noexcept {
    return at_indices<T>(shape_ref{static_cast<std::int64_t>(index)...});
  }
  template <tensor_element T>
  [[nodiscard]] result<std::remove_cv_t<T>> at_indices(shape_ref indices) const noexcept {
    if (!holds<T>()) return fail_type(dtype_of<T>);
    if (indices.size() != rank()) return detail::fail_dimension(indices.size(), rank());
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < rank(); ++i) {
      if (indices[i] < 0 || indices[i] >= shape()[i]) return detail::fail_index(indices[i], shape()[i]);
      offset += indices[i] * strides()[i];
    }
    const std::byte* item = data_ + offset * static_cast<std::int64_t>(sizeof(T));
    if constexpr (std::is_same_v<std::remove_cv_t<T>, bool>) {
      return *item != std::byte{0};
    } else {
      std::remove_cv_t<T> value;
      std::memcpy(&value, item, sizeof(T));
      return value;
    }
  }

  /// Writes the items compactly to the front of `target`.
  ///
  /// Errors: buffer_too_small; then nothing has been written.
  [[nodiscard]] result<void> copy_to(bytes_span target) const noexcept {
    if (target.size() < size_bytes()) return fail(errc::buffer_too_small, {.needed = size_bytes(), .available = target.size()});
    gather_to(target.data(), 0, size_bytes());
    return {};
  }

  /// Writes the bytes [begin, end) of the compact form to `target`; end does not exceed size_bytes(). Never allocates.
  void gather_to(std::byte* target, std::size_t begin, std::size_t end) const noexcept {
    if (begin >= end) return;
    if (contiguous_) return copy_bytes(target, data_ + begin, end - begin);
    std::int64_t byte_strides[max_rank];
    for (std::size_t i = 0; i < rank(); ++i) byte_strides[i] = strides()[i] * static_cast<std::int64_t>(item_size());
    gather(target, strided_source{data_, item_size(), rank(), extents_.shape(), byte_strides}, begin, end);
  }

  /// Without dimension `dimension`: only what has `index` there.
  ///
  /// Errors: this and all below: invalid_argument for a dimension or index that the view does not have; no_memory above rank 8.
  [[nodiscard]] result<tensor_view> select(std::size_t dimension, std::int64_t index) const noexcept;

  /// The indices begin, begin + step, ... below `end` of one dimension; step is at least 1.
  [[nodiscard]] result<tensor_view> slice(std::size_t dimension, std::int64_t begin, std::int64_t end, std::int64_t step = 1) const noexcept;

  /// `count` indices of one dimension from `begin` on.
  [[nodiscard]] result<tensor_view> narrow(std::size_t dimension, std::int64_t begin, std::int64_t count) const noexcept {
    const std::int64_t size = dimension < rank() ? shape()[dimension] : 0;
    if (count < 0 || begin < 0 || begin > size || count > size - begin) return detail::fail_index(begin, size);
    return slice(dimension, begin, begin + count);
  }

  /// One dimension in reverse order.
  [[nodiscard]] result<tensor_view> flip(std::size_t dimension) const noexcept;

  /// The dimensions in another order: dimension i of the result is dimension order[i] of this one.
  [[nodiscard]] result<tensor_view> permute(shape_ref order) const noexcept;

  /// Two dimensions exchanged.
  [[nodiscard]] result<tensor_view> transpose(std::size_t first, std::size_t second) const noexcept;

  /// The same items in another shape with as many. Errors: also invalid_argument where the view is not contiguous.
  [[nodiscard]] result<tensor_view> reshape(shape_ref shape) const noexcept;

  /// Repeated without a copy: dimensions of 1 become those of `shape`, which may have further ones in front.
  [[nodiscard]] result<tensor_view> expand(shape_ref shape) const noexcept;

  /// The same dtype, shape and items, bit for bit: a NaN equals itself, -0 is not 0. Where and how they lie does not matter.
  friend bool operator==(const tensor_view& left, const tensor_view& right) noexcept;

 private:
  friend class tensor;
  friend class jagged;

  void make_empty() noexcept {
    (void)extents_.resize(1);  // in place: cannot fail
    extents_.shape()[0] = 0;
    extents_.strides()[0] = 1;
    data_ = nullptr;
    item_count_ = 0;
    type_ = lading::dtype::float32;
    contiguous_ = true;
  }

  LADING_COLD failure refuse(failure why) noexcept {
    make_empty();
    return why;
  }
  LADING_COLD static failure fail_size(std::uint64_t needed, std::uint64_t available) noexcept {
    return fail(available < needed ? errc::truncated : errc::trailing_bytes,
                {.needed = needed, .available = available, .what = "the bytes are not as many as dtype and shape say"});
  }
  LADING_COLD static failure fail_strided() noexcept {
    return fail(errc::invalid_argument, {.what = "the view is not contiguous: copy it into a tensor"});
  }
  LADING_COLD failure fail_type(lading::dtype asked) const noexcept {
    return fail(
        errc::invalid_argument,
        {.needed = static_cast<std::uint64_t>(asked), .available = static_cast<std::uint64_t>(type_), .what = "the items are of another dtype"});
  }

  template <class T>
  [[nodiscard]] bool holds() const noexcept {
    if (type_ == dtype_of<T>) return true;
    return dtype_of<T> == lading::dtype::uint8 && type_ == lading::dtype::boolean;
  }
  [[nodiscard]] bool all_bool() const noexcept {
    std::byte seen{0};
    for (std::int64_t i = 0; i < item_count_; ++i) seen |= data_[i];
    return seen <= std::byte{1};
  }

  /// The whole of a compact tensor but for where its items are; false where explain() says why, and the view is then to be refused.
  [[nodiscard]] LADING_ALWAYS_INLINE bool set_shape(lading::dtype type, shape_ref shape) noexcept {
    const std::size_t size = lading::item_size(type);
    if (size == 0 || shape.size() > max_rank || !extents_.resize(shape.size())) return false;
    type_ = type;
    contiguous_ = true;
    return detail::set_compact(extents_, shape.span().data(), size, item_count_);
  }
  /// assign() where the shape is a part of this view's own.
  LADING_COLD [[nodiscard]] result<void> assign_own(lading::dtype type, shape_ref shape, bytes_view bytes) noexcept {
    std::int64_t copy[max_rank];
    std::memcpy(copy, shape.span().data(), shape.span().size_bytes());  // no longer than the rank it is a part of
    return assign(type, std::span<const std::int64_t>(copy, shape.size()), bytes);
  }
  LADING_COLD [[nodiscard]] failure explain(lading::dtype type, shape_ref shape) const noexcept {
    if (lading::item_size(type) == 0) return detail::fail_dtype(type);
    if (shape.size() > max_rank) return detail::fail_rank(shape.size());
    if (extents_.rank() != shape.size()) return detail::fail_extents_memory();
    return detail::fail_shape(this->shape());  // the copy that was checked, not what may have changed since
  }

  [[nodiscard]] result<void> set_strided(lading::dtype type, const void* data, shape_ref shape, shape_ref strides) noexcept;

  /// What follows from changed extents that span no more than before.
  void refresh() noexcept;

  /// A copy for a slice to change, which then calls refresh().
  [[nodiscard]] result<tensor_view> copy() const noexcept {
    result<tensor_view> other;
    if (!other->extents_.assign(extents_)) return detail::fail_extents_memory();
    other->data_ = data_;
    other->item_count_ = item_count_;
    other->type_ = type_;
    other->contiguous_ = contiguous_;
    return other;
  }

  const std::byte* data_;
  std::int64_t item_count_;
  detail::extents extents_;
  lading::dtype type_;
  bool contiguous_;
};

}  // namespace lading

#include <lading/codec/tensor/slicing.hpp>
