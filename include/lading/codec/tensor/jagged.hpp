// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include <lading/codec/tensor/tensor.hpp>
#include <lading/codec/tensor/tensor_view.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/checked.hpp>
#include <lading/core/result.hpp>
#include <lading/memory/aligned_buffer.hpp>
#include <lading/memory/copy.hpp>

namespace lading {

/// Rows of different lengths, one after another in one tensor (torch's nested tensors of layout jagged): values and offsets, both borrowed.
///
/// Shape:    row i is the indices [offsets[i], offsets[i + 1]) of the first dimension of values: [length, trailing dimensions...].
/// Lifetime: as tensor_view, and so the offsets.
///
/// A default-made view has no rows.
class jagged_view {
 public:
  jagged_view() noexcept = default;

  /// Offsets are one more than rows, start at 0, never decrease, and end at the first dimension of `values`.
  ///
  /// Errors:     invalid_argument for values without a dimension, invalid_value for offsets that are otherwise; no_memory above rank 8.
  /// Complexity: one pass over the offsets.
  [[nodiscard]] static result<jagged_view> from(const tensor_view& values, std::span<const std::int64_t> offsets) noexcept {
    result<jagged_view> view;
    if (result<void> made = view->assign(values, offsets); !made) view = fail(made.error());
    return view;
  }

  /// from() over an existing view. Errors: as from(); then nothing has changed.
  [[nodiscard]] result<void> assign(const tensor_view& values, std::span<const std::int64_t> offsets) noexcept {
    if (values.rank() == 0) return fail(errc::invalid_argument, {.what = "the values of a jagged tensor need a dimension to cut rows from"});
    if (result<void> checked = check_offsets(offsets, values.shape()[0]); !checked) return checked;
    result<tensor_view> copied = values.narrow(0, 0, values.shape()[0]);
    if (!copied) return fail(copied.error());
    values_ = std::move(*copied);
    offsets_ = offsets.data();
    row_count_ = offsets.size() - 1;
    return {};
  }

  [[nodiscard]] lading::dtype dtype() const noexcept { return values_.dtype(); }
  [[nodiscard]] const tensor_view& values() const& noexcept { return values_; }
  [[nodiscard]] tensor_view values() && noexcept { return std::move(values_); }
  [[nodiscard]] std::span<const std::int64_t> offsets() const noexcept { return {offsets_, row_count_ + 1}; }
  [[nodiscard]] std::size_t row_count() const noexcept { return row_count_; }
  [[nodiscard]] bool empty() const noexcept { return row_count_ == 0; }
  /// The dimensions that every row has after its length.
  [[nodiscard]] std::span<const std::int64_t> trailing_shape() const noexcept { return values_.shape().subspan(1); }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return values_.size_bytes(); }

  /// Row `index`, of shape [length, trailing dimensions...].
  ///
  /// Errors: invalid_argument for a row that is not there, or offsets that have changed into the impossible since they were checked (a peer
  ///         may write them); no_memory above rank 8.
  [[nodiscard]] result<tensor_view> row(std::size_t index) const noexcept {
    if (index >= row_count_)
      return fail(errc::invalid_argument, {.needed = index, .available = row_count_, .what = "the jagged tensor has not that many rows"});
    return values_.slice(0, read_once(offsets_[index]), read_once(offsets_[index + 1]));
  }

  /// The same dtype, trailing shape and rows, bit for bit.
  friend bool operator==(const jagged_view& left, const jagged_view& right) noexcept {
    return left.row_count_ == right.row_count_ && std::memcmp(left.offsets_, right.offsets_, left.offsets().size_bytes()) == 0 &&
           left.values_ == right.values_;
  }

 private:
  friend class jagged;

  /// A load that the compiler may not repeat.
  static std::int64_t read_once(const std::int64_t& place) noexcept { return static_cast<const volatile std::int64_t&>(place); }

  [[nodiscard]] static result<void> check_offsets(std::span<const std::int64_t> offsets, std::int64_t length) noexcept {
    if (offsets.empty()) return fail(errc::invalid_value, {.what = "a jagged tensor has one offset more than rows, so at least one"});
    if (offsets.front() != 0) return fail(errc::invalid_value, {.item = 0, .what = "the offsets of a jagged tensor start at 0"});
    for (std::size_t i = 1; i < offsets.size(); ++i) {
      if (offsets[i] < offsets[i - 1]) return fail(errc::invalid_value, {.item = i, .what = "the offsets of a jagged tensor decrease"});
    }
    if (offsets.back() != length) {
      return fail(errc::invalid_value, {.needed = static_cast<std::uint64_t>(offsets.back()),
                                        .available = static_cast<std::uint64_t>(length),
                                        .what = "the offsets of a jagged tensor do not end where its values do"});
    }
    return {};
  }

  static constexpr std::int64_t no_offsets[1] = {0};

  tensor_view values_;
  const std::int64_t* offsets_ = no_offsets;
  std::size_t row_count_ = 0;
};

/// Rows of different lengths, owned: values and offsets in one allocation, values compact and 64-byte aligned.
///
/// Lifetime and Threads: as tensor. Copying may throw std::bad_alloc; moving never does.
class jagged {
 public:
  jagged() noexcept = default;
  jagged(const jagged& other) {
    if (!assign(other.view_)) detail::throw_bad_alloc();
  }
  jagged(jagged&& other) noexcept : buffer_(std::move(other.buffer_)), view_(std::exchange(other.view_, jagged_view())) {}
  jagged& operator=(const jagged& other) {
    if (this != &other && !assign(other.view_)) detail::throw_bad_alloc();
    return *this;
  }
  jagged& operator=(jagged&& other) noexcept {
    if (this == &other) return *this;
    buffer_ = std::move(other.buffer_);
    view_ = std::exchange(other.view_, jagged_view());
    return *this;
  }
  ~jagged() = default;

  /// A compact copy.
  ///
  /// Errors: this and all below: no_memory, size_overflow.
  [[nodiscard]] static result<jagged> copy_of(const jagged_view& source) {
    result<jagged> made;
    if (result<void> assigned = made->assign(source); !assigned) made = fail(assigned.error());
    return made;
  }

  /// A copy of rows that agree in dtype and in all dimensions but the first, wherever each lies. No rows make a default jagged.
  ///
  /// Errors: also invalid_argument where they disagree or have no dimension.
  [[nodiscard]] static result<jagged> of_rows(std::span<const tensor_view> rows) {
    result<jagged> made;
    if (result<void> assigned = made->assign_rows(rows); !assigned) made = fail(assigned.error());
    return made;
  }

  /// Rows of these lengths whose items are to be written before they are read; only those of a boolean one are zeroed.
  ///
  /// Errors: also invalid_value for a negative length or dimension, limit_exceeded for too many dimensions.
  [[nodiscard]] static result<jagged> uninitialized(lading::dtype type, std::span<const std::int64_t> lengths, shape_ref trailing_shape) {
    result<jagged> made;
    if (result<void> sized = made->resize(type, lengths, trailing_shape); !sized) made = fail(sized.error());
    return made;
  }

  /// Copies a view, which may be one of this jagged, and reuses the memory where it suffices.
  ///
  /// Errors: as copy_of(), and invalid_value where a peer has changed the offsets since they were checked; then this one has no rows.
  [[nodiscard]] result<void> assign(const jagged_view& source) {
    if (&source == &view_) return {};
    if (owns(source.values_.data()) || owns(reinterpret_cast<const std::byte*>(source.offsets_))) {  // Safety: only the address is used
      result<jagged> moved = copy_of(source);
      if (!moved) return fail(moved.error());
      *this = std::move(*moved);
      return {};
    }
    result<std::int64_t*> offsets = prepare(source.dtype(), source.values_.shape(), source.row_count_);
    if (!offsets) return fail(offsets.error());
    std::memcpy(*offsets, source.offsets_, source.offsets().size_bytes());
    if (result<void> placed = place(*offsets); !placed) return placed;
    source.values_.gather_to(buffer_.data(), 0, size_bytes());
    return {};
  }

  /// Copies from bytes, at any address: values of `values_shape` in row-major order, and offsets as std::int64_t of this host.
  ///
  /// Errors: as jagged_view::from() and tensor_view::from_bytes(); then this one has no rows. Checked after copying: `offsets` may change meanwhile.
  [[nodiscard]] result<void> assign(lading::dtype type, shape_ref values_shape, bytes_view values, bytes_view offsets) {
    tensor_view source;
    result<void> made = source.assign(type, values_shape, values);
    if (made && source.rank() == 0) made = fail(errc::invalid_argument, {.what = "the values of a jagged tensor need a dimension to cut rows from"});
    if (made && (offsets.empty() || offsets.size() % sizeof(std::int64_t) != 0)) {
      made = fail(errc::invalid_value, {.available = offsets.size(), .what = "the offsets of a jagged tensor are 8 bytes each, one more than rows"});
    }
    view_ = jagged_view();
    if (!made) return made;
    result<std::int64_t*> own = prepare(type, source.shape(), offsets.size() / sizeof(std::int64_t) - 1);
    if (!own) return fail(own.error());
    std::memcpy(*own, offsets.data(), offsets.size());
    if (result<void> placed = place(*own); !placed) return placed;
    copy_bytes(buffer_.data(), values.data(), values.size());
    return {};
  }

  /// As of_rows(), reusing the memory where it suffices; no row lies in this jagged.
  [[nodiscard]] result<void> assign_rows(std::span<const tensor_view> rows);

  /// As uninitialized(), reusing the memory where it suffices.
  [[nodiscard]] result<void> resize(lading::dtype type, std::span<const std::int64_t> lengths, shape_ref trailing_shape);

  [[nodiscard]] lading::dtype dtype() const noexcept { return view_.dtype(); }
  [[nodiscard]] std::span<const std::int64_t> offsets() const noexcept { return view_.offsets(); }
  [[nodiscard]] std::size_t row_count() const noexcept { return view_.row_count(); }
  [[nodiscard]] bool empty() const noexcept { return view_.empty(); }
  [[nodiscard]] std::span<const std::int64_t> trailing_shape() const noexcept { return view_.trailing_shape(); }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return view_.size_bytes(); }

  /// All rows as one tensor, and one row. Lifetime: they borrow, so a temporary has none to give. Errors: as jagged_view::row().
  [[nodiscard]] const tensor_view& values() const& noexcept { return view_.values(); }
  void values() const&& = delete;
  [[nodiscard]] result<tensor_view> row(std::size_t index) const& noexcept { return view_.row(index); }
  void row(std::size_t) const&& = delete;

  /// The bytes of all rows, to be written.
  [[nodiscard]] bytes_span bytes() & noexcept { return {buffer_.data(), size_bytes()}; }

  /// The items of one row, to be written. Errors: as row() and tensor_view::as().
  template <tensor_element T>
  [[nodiscard]] result<std::span<T>> row_as(std::size_t index) & noexcept {
    const result<tensor_view> part = view_.row(index);
    if (!part) return fail(part.error());
    const result<std::span<const T>> items = part->template as<T>();
    if (!items) return fail(items.error());
    // Safety: the items lie in this jagged's own buffer, and it is not const.
    return std::span<T>(const_cast<T*>(items->data()), items->size());
  }

  /// Lifetime: borrows, so a temporary has none to give; assigning to the jagged changes the view that the reference names.
  [[nodiscard]] const jagged_view& view() const& noexcept { return view_; }
  void view() const&& = delete;
  operator const jagged_view&() const& noexcept { return view_; }
  operator const jagged_view&() const&& = delete;

  friend bool operator==(const jagged& left, const jagged& right) noexcept { return left.view_ == right.view_; }
  friend bool operator==(const jagged& left, const jagged_view& right) noexcept { return left.view_ == right; }

 private:
  /// Makes room for values and offsets, sets view_'s values, and returns where the offsets go, to be written and then placed.
  [[nodiscard]] result<std::int64_t*> prepare(lading::dtype type, shape_ref values_shape, std::size_t row_count) {
    tensor_view next;
    view_ = jagged_view();
    if (!next.set_shape(type, values_shape)) return next.explain(type, values_shape);
    std::uint64_t at = 0;
    std::uint64_t size = 0;
    if (row_count > (max_tensor_bytes / 2) / sizeof(std::int64_t) || !checked_align_up<std::uint64_t>(next.size_bytes(), alignof(std::int64_t), at) ||
        !checked_add<std::uint64_t>(at, (row_count + 1) * sizeof(std::int64_t), size) || size > max_tensor_bytes) {
      return fail(errc::size_overflow, {.what = "values and offsets of a jagged tensor take more bytes than memory can have"});
    }
    if (size > buffer_.size()) {
      result<aligned_buffer> larger = aligned_buffer::allocate(static_cast<std::size_t>(size), tensor::alignment);
      if (!larger) return fail(larger.error());
      buffer_ = std::move(*larger);
    }
    next.data_ = buffer_.data();
    view_.values_ = std::move(next);
    view_.row_count_ = row_count;
    // Safety: `at` is a multiple of 8 from an address that is one of 64, with row_count + 1 numbers of room.
    return reinterpret_cast<std::int64_t*>(buffer_.data() + at);
  }

  /// Checks offsets that have been written where prepare() said; on error there are no rows.
  [[nodiscard]] result<void> place(const std::int64_t* offsets) noexcept {
    result<void> checked = jagged_view::check_offsets({offsets, view_.row_count_ + 1}, view_.values_.shape()[0]);
    if (checked) {
      view_.offsets_ = offsets;
    } else {
      view_ = jagged_view();
    }
    return checked;
  }

  [[nodiscard]] bool owns(const std::byte* place) const noexcept {
    // Safety: the addresses are only compared, and as numbers, for they may belong to different objects.
    const auto address = reinterpret_cast<std::uintptr_t>(place);
    const auto begin = reinterpret_cast<std::uintptr_t>(buffer_.data());
    return address >= begin && address - begin < buffer_.size();
  }

  aligned_buffer buffer_;
  jagged_view view_;
};

inline result<void> jagged::resize(lading::dtype type, std::span<const std::int64_t> lengths, shape_ref trailing_shape) {
  if (trailing_shape.size() >= max_rank) return detail::fail_rank(trailing_shape.size() + 1);
  std::int64_t shape[max_rank] = {};
  for (std::size_t i = 0; i < trailing_shape.size(); ++i) shape[i + 1] = trailing_shape[i];
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] < 0) return fail(errc::invalid_value, {.item = i, .what = "a row of a jagged tensor has a negative length"});
    if (lengths[i] > std::numeric_limits<std::int64_t>::max() - shape[0])
      return fail(errc::size_overflow, {.item = i, .what = "the lengths of a jagged tensor's rows do not add up"});
    shape[0] += lengths[i];
  }
  result<std::int64_t*> offsets = prepare(type, std::span<const std::int64_t>(shape, trailing_shape.size() + 1), lengths.size());
  if (!offsets) return fail(offsets.error());
  (*offsets)[0] = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) (*offsets)[i + 1] = (*offsets)[i] + lengths[i];
  view_.offsets_ = *offsets;
  if (type == lading::dtype::boolean && size_bytes() != 0) std::memset(buffer_.data(), 0, size_bytes());
  return {};
}

inline result<void> jagged::assign_rows(std::span<const tensor_view> rows) {
  if (rows.empty()) {
    view_ = jagged_view();
    return {};
  }
  std::int64_t shape[max_rank] = {};
  const tensor_view& first = rows.front();
  for (std::size_t i = 1; i < first.rank(); ++i) shape[i] = first.shape()[i];
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const tensor_view& part = rows[row];
    bool agrees = part.rank() != 0 && part.dtype() == first.dtype() && part.rank() == first.rank();
    for (std::size_t i = 1; agrees && i < part.rank(); ++i) agrees = part.shape()[i] == shape[i];
    if (!agrees)
      return fail(errc::invalid_argument, {.item = row, .what = "the rows of a jagged tensor agree in dtype and in all dimensions but the first"});
    if (part.shape()[0] > std::numeric_limits<std::int64_t>::max() - shape[0]) {
      return fail(errc::size_overflow, {.item = row, .what = "the lengths of a jagged tensor's rows do not add up"});
    }
    shape[0] += part.shape()[0];
  }
  result<std::int64_t*> offsets = prepare(first.dtype(), std::span<const std::int64_t>(shape, first.rank()), rows.size());
  if (!offsets) return fail(offsets.error());
  (*offsets)[0] = 0;
  std::byte* target = buffer_.data();
  for (std::size_t row = 0; row < rows.size(); ++row) {
    (*offsets)[row + 1] = (*offsets)[row] + rows[row].shape()[0];
    rows[row].gather_to(target, 0, rows[row].size_bytes());
    target += rows[row].size_bytes();
  }
  view_.offsets_ = *offsets;
  return {};
}

}  // namespace lading
