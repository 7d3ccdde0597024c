// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// The longer members of tensor_view: strided views, slices, comparison. Include tensor_view.hpp, which includes this.

#include <lading/codec/tensor/tensor_view.hpp>

namespace lading {

inline void tensor_view::refresh() noexcept {
  const std::int64_t* shape = extents_.shape();
  const std::int64_t* strides = extents_.strides();
  std::int64_t count = 1;
  contiguous_ = true;
  for (std::size_t i = rank(); i-- > 0 && count != 0;) {
    contiguous_ = contiguous_ && (shape[i] == 1 || strides[i] == count);
    count *= shape[i];
  }
  item_count_ = count;
  if (count != 0) return;
  // No item will ever be reached, so the compact strides do, which cannot overflow.
  contiguous_ = true;
  (void)detail::set_compact(extents_, extents_.shape(), item_size(), item_count_);
}

inline result<void> tensor_view::set_strided(lading::dtype type, const void* data, shape_ref shape, shape_ref strides) noexcept {
  if (!set_shape(type, shape)) return refuse(explain(type, shape));
  if (strides.size() != shape.size()) {
    return refuse(
        fail(errc::invalid_argument, {.needed = shape.size(), .available = strides.size(), .what = "a tensor has one stride for each dimension"}));
  }
  data_ = static_cast<const std::byte*>(data);
  if (item_count_ == 0) return {};
  if (data == nullptr) return refuse(fail(errc::invalid_argument, {.what = "a tensor with items has a null pointer"}));
  std::uint64_t spanned = 1;
  for (std::size_t i = 0; i < rank(); ++i) {
    if (this->shape()[i] == 1) continue;  // its stride is never used: the compact one stays
    extents_.strides()[i] = strides[i];
    if (!detail::add_reach(this->shape()[i], strides[i], spanned)) spanned = max_tensor_bytes;
    if (spanned > max_tensor_bytes / item_size()) {
      return refuse(fail(errc::size_overflow, {.item = i, .what = "the strides of a tensor reach further than memory can"}));
    }
  }
  refresh();
  return {};
}

inline result<tensor_view> tensor_view::strided(lading::dtype type, const void* data, shape_ref shape, shape_ref strides) {
  result<tensor_view> view;
  if (result<void> made = view->set_strided(type, data, shape, strides); !made) view = fail(made.error());
  return view;
}

inline result<tensor_view> tensor_view::strided_in(bytes_view storage, std::uint64_t offset, lading::dtype type, shape_ref shape, shape_ref strides) {
  const auto outside = [&](std::uint64_t size) {
    return fail(errc::entry_out_of_bounds,
                {.needed = size, .available = storage.size(), .offset = offset, .what = "a tensor reaches outside its storage"});
  };
  if (offset > storage.size()) return outside(0);
  static constexpr std::byte nothing{};
  const std::byte* data = storage.data() == nullptr ? &nothing : storage.data() + offset;
  result<tensor_view> view = strided(type, data, shape, strides);
  if (!view || view->empty()) return view;
  std::uint64_t below = 0;
  std::uint64_t above = 1;
  for (std::size_t i = 0; i < view->rank(); ++i) {
    const std::int64_t stride = view->strides()[i];
    (void)detail::add_reach(view->shape()[i], stride, stride < 0 ? below : above);  // both fit: strided() has added them
  }
  below *= view->item_size();
  above *= view->item_size();
  if (below > offset || above > storage.size() - offset) return outside(below + above);
  return view;
}

inline result<tensor_view> tensor_view::select(std::size_t dimension, std::int64_t index) const noexcept {
  if (dimension >= rank()) return detail::fail_dimension(dimension, rank());
  if (index < 0 || index >= shape()[dimension]) return detail::fail_index(index, shape()[dimension]);
  result<tensor_view> part;
  detail::extents& extents = part->extents_;
  if (!extents.resize(rank() - 1)) return detail::fail_extents_memory();
  for (std::size_t i = 0; i < rank() - 1; ++i) {
    extents.shape()[i] = shape()[i + (i >= dimension)];
    extents.strides()[i] = strides()[i + (i >= dimension)];
  }
  part->type_ = type_;
  part->data_ = empty() ? data_ : data_ + index * strides()[dimension] * static_cast<std::int64_t>(item_size());
  part->refresh();
  return part;
}

inline result<tensor_view> tensor_view::slice(std::size_t dimension, std::int64_t begin, std::int64_t end, std::int64_t step) const noexcept {
  if (dimension >= rank()) return detail::fail_dimension(dimension, rank());
  const std::int64_t size = shape()[dimension];
  if (begin < 0 || begin > size) return detail::fail_index(begin, size);
  if (end < begin || end > size) return detail::fail_index(end, size);
  if (step < 1) return fail(errc::invalid_argument, {.what = "a slice steps by at least 1: flip() the dimension to go backwards"});
  const std::int64_t count = end == begin ? 0 : 1 + (end - begin - 1) / step;
  result<tensor_view> part = copy();
  if (!part) return part;
  part->extents_.shape()[dimension] = count;
  if (count > 1) part->extents_.strides()[dimension] *= step;
  if (!empty() && count != 0) part->data_ += begin * strides()[dimension] * static_cast<std::int64_t>(item_size());
  part->refresh();
  return part;
}

inline result<tensor_view> tensor_view::flip(std::size_t dimension) const noexcept {
  if (dimension >= rank()) return detail::fail_dimension(dimension, rank());
  result<tensor_view> part = copy();
  if (!part || empty()) return part;
  const std::int64_t stride = strides()[dimension];
  part->data_ += (shape()[dimension] - 1) * stride * static_cast<std::int64_t>(item_size());
  part->extents_.strides()[dimension] = -stride;
  part->refresh();
  return part;
}

inline result<tensor_view> tensor_view::permute(shape_ref order) const noexcept {
  if (order.size() != rank()) return detail::fail_dimension(order.size(), rank());
  result<tensor_view> part = copy();
  if (!part) return part;
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < rank(); ++i) {
    if (order[i] < 0 || static_cast<std::uint64_t>(order[i]) >= rank()) return detail::fail_index(order[i], static_cast<std::int64_t>(rank()));
    const auto from = static_cast<std::size_t>(order[i]);
    if ((seen >> from & 1) != 0) return fail(errc::invalid_argument, {.item = i, .what = "an order of dimensions names each of them once"});
    seen |= std::uint64_t{1} << from;
    part->extents_.shape()[i] = shape()[from];
    part->extents_.strides()[i] = strides()[from];
  }
  part->refresh();
  return part;
}

inline result<tensor_view> tensor_view::transpose(std::size_t first, std::size_t second) const noexcept {
  if (first >= rank() || second >= rank()) return detail::fail_dimension(first < rank() ? second : first, rank());
  result<tensor_view> part = copy();
  if (!part) return part;
  std::swap(part->extents_.shape()[first], part->extents_.shape()[second]);
  std::swap(part->extents_.strides()[first], part->extents_.strides()[second]);
  part->refresh();
  return part;
}

inline result<tensor_view> tensor_view::reshape(shape_ref shape) const noexcept {
  if (!contiguous_) return fail_strided();
  result<tensor_view> part;
  if (result<void> made = part->assign(type_, shape, {data_, size_bytes()}); !made) {
    const bool is_count = made.error() == errc::truncated || made.error() == errc::trailing_bytes;
    part = is_count ? fail(errc::invalid_argument,
                           {.needed = made.error().details().needed, .available = size_bytes(), .what = "the new shape has another number of items"})
                    : fail(made.error());
  }
  return part;
}

inline result<tensor_view> tensor_view::expand(shape_ref shape) const noexcept {
  if (shape.size() > max_rank) return detail::fail_rank(shape.size());
  if (shape.size() < rank()) return detail::fail_dimension(shape.size(), rank());
  result<tensor_view> part;
  detail::extents& extents = part->extents_;
  if (!extents.resize(shape.size())) return detail::fail_extents_memory();
  if (!detail::set_compact(extents, shape.span().data(), item_size(), part->item_count_)) return detail::fail_shape(shape.span());
  const std::size_t added = shape.size() - rank();
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::int64_t before = i < added ? 1 : this->shape()[i - added];
    if (before != shape[i] && before != 1) return fail(errc::invalid_argument, {.item = i, .what = "only a dimension of 1 can be repeated"});
    if (before == shape[i] && i >= added) {
      extents.strides()[i] = strides()[i - added];
    } else if (shape[i] > 1) {
      extents.strides()[i] = 0;
    }
  }
  part->data_ = data_;
  part->type_ = type_;
  part->refresh();
  return part;
}

namespace detail {

/// Compares two strided tensors of one shape, run by run; the last `together` dimensions are compact in both.
struct strided_comparison {
  const tensor_view& left;
  const tensor_view& right;
  std::size_t outer = 0;
  std::size_t run = 0;

  strided_comparison(const tensor_view& a, const tensor_view& b) noexcept : left(a), right(b), outer(a.rank()) {
    std::int64_t count = 1;
    while (outer > 0 && (left.shape()[outer - 1] == 1 || (left.strides()[outer - 1] == count && right.strides()[outer - 1] == count))) {
      count *= left.shape()[--outer];
    }
    run = static_cast<std::size_t>(count) * left.item_size();
  }

  [[nodiscard]] bool same(std::size_t dimension, const std::byte* a, const std::byte* b) const noexcept {
    if (dimension == outer) return std::memcmp(a, b, run) == 0;
    const auto size = static_cast<std::int64_t>(left.item_size());
    for (std::int64_t i = 0; i < left.shape()[dimension]; ++i) {
      if (!same(dimension + 1, a + i * left.strides()[dimension] * size, b + i * right.strides()[dimension] * size)) return false;
    }
    return true;
  }
};

}  // namespace detail

inline bool operator==(const tensor_view& left, const tensor_view& right) noexcept {
  if (left.type_ != right.type_ || left.rank() != right.rank()) return false;
  for (std::size_t i = 0; i < left.rank(); ++i) {
    if (left.shape()[i] != right.shape()[i]) return false;
  }
  return left.empty() || detail::strided_comparison(left, right).same(0, left.data_, right.data_);
}

}  // namespace lading
