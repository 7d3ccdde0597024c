// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include <lading/codec/tensor/tensor_view.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>
#include <lading/memory/aligned_buffer.hpp>
#include <lading/memory/copy.hpp>

namespace lading {

/// Items of one dtype with their shape, owned: compact, in row-major order, 64-byte aligned.
///
/// Lifetime: spans and views of it stay valid while it is moved, and end with assignment, resize and destruction.
/// Threads:  as safe as a vector: any number of readers or one writer.
///
/// A default-made tensor is float32 of shape [0]; so is one that has been moved from. Copying may throw std::bad_alloc; moving never does.
class tensor {
 public:
  static constexpr std::size_t alignment = 64;

  tensor() noexcept = default;
  tensor(const tensor& other) {
    if (!assign(other.view_)) detail::throw_bad_alloc();
  }
  tensor(tensor&& other) noexcept : buffer_(std::move(other.buffer_)), view_(std::exchange(other.view_, tensor_view())) {}
  tensor& operator=(const tensor& other) {
    if (!assign(other.view_)) detail::throw_bad_alloc();
    return *this;
  }
  tensor& operator=(tensor&& other) noexcept {
    if (this == &other) return *this;
    buffer_ = std::move(other.buffer_);
    view_ = std::exchange(other.view_, tensor_view());
    return *this;
  }
  ~tensor() = default;

  /// A tensor whose items are all zero bits.
  ///
  /// Errors: this and all below: invalid_value, size_overflow, limit_exceeded for the shape, no_memory.
  [[nodiscard]] static result<tensor> zeros(lading::dtype type, shape_ref shape) {
    result<tensor> made = uninitialized(type, shape);
    if (made && made->size_bytes() != 0) std::memset(made->buffer_.data(), 0, made->size_bytes());
    return made;
  }

  /// A tensor whose items are to be written before they are read; only those of a boolean one are zeroed, for not every byte is a bool.
  [[nodiscard]] static result<tensor> uninitialized(lading::dtype type, shape_ref shape) {
    return make([&](tensor& made) { return made.resize(type, shape); });
  }

  /// A compact copy of the items of a view, however they lie.
  [[nodiscard]] static result<tensor> copy_of(const tensor_view& source) {
    return make([&](tensor& made) { return made.assign(source); });
  }

  /// A copy of a span, vector or array, one-dimensional or in row-major order of `shape`.
  ///
  /// Errors: also truncated or trailing_bytes where the shape asks for more or fewer items.
  template <class Range>
    requires tensor_element<std::remove_pointer_t<decltype(std::data(std::declval<const Range&>()))>>
  [[nodiscard]] static result<tensor> of(const Range& items, shape_ref shape) {
    const result<tensor_view> source = tensor_view::of(items, shape);
    return source ? copy_of(*source) : result<tensor>(fail(source.error()));
  }
  template <class Range>
    requires tensor_element<std::remove_pointer_t<decltype(std::data(std::declval<const Range&>()))>>
  [[nodiscard]] static result<tensor> of(const Range& items) {
    return of(items, shape_ref{static_cast<std::int64_t>(std::size(items))});
  }

  /// A copy of exactly the bytes of a compact row-major tensor.
  ///
  /// Errors: also truncated or trailing_bytes where the shape asks for more or fewer.
  [[nodiscard]] static result<tensor> from_bytes(lading::dtype type, shape_ref shape, bytes_view bytes) {
    return make([&](tensor& made) { return made.assign(type, shape, bytes); });
  }

  /// Takes a buffer as the items, without a copy; bytes past those that the shape asks for stay unused.
  ///
  /// Errors: also truncated for a buffer that is too small, misaligned for one that is not 64-byte aligned; then `buffer` is unchanged.
  [[nodiscard]] static result<tensor> adopt(lading::dtype type, shape_ref shape, aligned_buffer&& buffer) {
    result<tensor> made;
    tensor_view next;
    if (!next.set_shape(type, shape)) {
      made = next.explain(type, shape);
    } else if (next.size_bytes() > buffer.size()) {
      made = fail(errc::truncated, {.needed = next.size_bytes(), .available = buffer.size(), .what = "the buffer is too small for the shape"});
    } else {
      next.data_ = buffer.data();
      if (!next.is_aligned(alignment)) {
        made = fail(errc::misaligned, {.needed = alignment, .what = "the buffer is not aligned for a tensor"});
      } else {
        made->buffer_ = std::move(buffer);
        made->view_ = std::move(next);
      }
    }
    return made;
  }

  /// Copies the items of a view, which may be one of this tensor, and reuses the memory where it suffices.
  ///
  /// Errors: no_memory; then nothing has changed.
  [[nodiscard]] result<void> assign(const tensor_view& source) {
    if (&source == &view_) return {};
    if (owns(source.data())) {
      result<tensor> moved = copy_of(source);
      if (!moved) return fail(moved.error());
      *this = std::move(*moved);
      return {};
    }
    if (result<void> sized = resize_unset(source.dtype(), source.shape()); !sized) return sized;
    source.gather_to(buffer_.data(), 0, size_bytes());
    return {};
  }

  /// As from_bytes(), reusing the memory where it suffices. `bytes` are not this tensor's own.
  ///
  /// Errors: as from_bytes(); then nothing has changed.
  [[nodiscard]] result<void> assign(lading::dtype type, shape_ref shape, bytes_view bytes) {
    tensor_view source;
    if (result<void> made = source.assign(type, shape, bytes); !made) return made;
    return assign(source);
  }

  /// Takes another dtype and shape and reuses the memory where it suffices; items as uninitialized() leaves them.
  ///
  /// Errors: as uninitialized(); then nothing has changed.
  [[nodiscard]] result<void> resize(lading::dtype type, shape_ref shape) {
    result<void> sized = resize_unset(type, shape);
    if (sized && type == lading::dtype::boolean && size_bytes() != 0) std::memset(buffer_.data(), 0, size_bytes());
    return sized;
  }

  [[nodiscard]] lading::dtype dtype() const noexcept { return view_.dtype(); }
  [[nodiscard]] std::size_t rank() const noexcept { return view_.rank(); }
  [[nodiscard]] std::span<const std::int64_t> shape() const noexcept { return view_.shape(); }
  [[nodiscard]] std::int64_t item_count() const noexcept { return view_.item_count(); }
  [[nodiscard]] std::size_t item_size() const noexcept { return view_.item_size(); }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return view_.size_bytes(); }
  [[nodiscard]] bool empty() const noexcept { return view_.empty(); }
  /// Bytes that assignment and resize can use without another allocation.
  [[nodiscard]] std::size_t capacity_bytes() const noexcept { return buffer_.size(); }

  [[nodiscard]] std::byte* data() noexcept { return buffer_.data(); }
  [[nodiscard]] const std::byte* data() const noexcept { return buffer_.data(); }
  [[nodiscard]] bytes_span bytes() & noexcept { return {buffer_.data(), size_bytes()}; }
  [[nodiscard]] bytes_view bytes() const& noexcept { return {buffer_.data(), size_bytes()}; }
  void bytes() const&& = delete;

  /// The items. Errors: as tensor_view::as(), of which only a wrong dtype and a wrong bool can happen here.
  template <tensor_element T>
  [[nodiscard]] result<std::span<T>> as() & noexcept {
    const result<std::span<const T>> items = view_.as<T>();
    if (!items) return fail(items.error());
    // Safety: the items lie in this tensor's own buffer, and it is not const.
    return std::span<T>(const_cast<T*>(items->data()), items->size());
  }
  template <tensor_element T>
  [[nodiscard]] result<std::span<const T>> as() const& noexcept {
    return view_.as<T>();
  }
  template <tensor_element T>
  void as() const&& = delete;

  /// One item. Errors: as tensor_view::at().
  template <tensor_element T, std::convertible_to<std::int64_t>... Index>
  [[nodiscard]] result<std::remove_cv_t<T>> at(Index... index) const noexcept {
    return view_.at<T>(index...);
  }

  /// Lifetime: borrows, so a temporary has none to give; assigning to the tensor changes the view that the reference names.
  [[nodiscard]] const tensor_view& view() const& noexcept { return view_; }
  void view() const&& = delete;
  operator const tensor_view&() const& noexcept { return view_; }
  operator const tensor_view&() const&& = delete;

  /// The same dtype, shape and items, bit for bit; also with a tensor_view on either side.
  friend bool operator==(const tensor& left, const tensor& right) noexcept { return left.view_ == right.view_; }
  friend bool operator==(const tensor& left, const tensor_view& right) noexcept { return left.view_ == right; }

 private:
  template <class Fill>
  [[nodiscard]] static result<tensor> make(Fill&& fill) {
    result<tensor> made;
    if (result<void> filled = fill(*made); !filled) made = fail(filled.error());
    return made;
  }

  [[nodiscard]] result<void> resize_unset(lading::dtype type, shape_ref shape) {
    tensor_view next;
    if (!next.set_shape(type, shape)) return next.explain(type, shape);
    if (next.size_bytes() > buffer_.size()) {
      result<aligned_buffer> larger = aligned_buffer::allocate(next.size_bytes(), alignment);
      if (!larger) return fail(larger.error());
      buffer_ = std::move(*larger);
    }
    next.data_ = buffer_.data();
    view_ = std::move(next);
    return {};
  }

  [[nodiscard]] bool owns(const std::byte* place) const noexcept {
    // Safety: the addresses are only compared, and as numbers, for they may belong to different objects.
    const auto address = reinterpret_cast<std::uintptr_t>(place);
    const auto begin = reinterpret_cast<std::uintptr_t>(buffer_.data());
    return address >= begin && address - begin < buffer_.size();
  }

  aligned_buffer buffer_;
  tensor_view view_;
};

}  // namespace lading
