// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Tensors from and to other libraries, without a copy. In a header of its own: nothing else of lading needs it.
//
// The functions take any struct with DLPack's members, whoever declares it: <dlpack/dlpack.h> of any version, the copy that torch or TVM
// carries, or lading::dlpack for programs that have none. So no such header is included here, and none can disagree with it.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <utility>

#include <lading/codec/tensor/dlpack_types.hpp>
#include <lading/codec/tensor/dtype.hpp>
#include <lading/codec/tensor/tensor.hpp>
#include <lading/codec/tensor/tensor_view.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>

namespace lading {

/// The items of a DLTensor, borrowed: it keeps its owner. Strides, also none (compact), and byte_offset are minded.
///
/// Errors:   unsupported for memory that the CPU cannot read (only kDLCPU and kDLCUDAHost) and for types as above; invalid_value for a negative
///           rank or dimension and for missing pointers; size_overflow, limit_exceeded for the shape.
/// Lifetime: that of the DLTensor's data; its shape and strides are copied. That the memory is there is the producer's word.
template <class Tensor>
  requires detail::dlpack_tensor<const Tensor>
[[nodiscard]] result<tensor_view> view_of_dlpack(const Tensor& source) {
  const auto device = static_cast<std::int64_t>(source.device.device_type);
  if (device != detail::dlpack_cpu && device != detail::dlpack_cuda_host) {
    return detail::fail_dlpack_unsupported(static_cast<std::uint64_t>(device),
                                           "the DLPack tensor is not in memory that the CPU can read: copy it there first");
  }
  const result<dtype> type = dtype_from_dlpack(source.dtype);
  if (!type) return fail(type.error());
  if (source.ndim < 0) return detail::fail_dlpack("the rank of a DLPack tensor is negative");
  const auto rank = static_cast<std::size_t>(source.ndim);
  if (rank > max_rank) return detail::fail_rank(rank);
  if (rank != 0 && source.shape == nullptr) return detail::fail_dlpack("a DLPack tensor has no shape");
  std::int64_t shape[max_rank];
  std::int64_t strides[max_rank];
  bool is_empty = false;
  for (std::size_t i = 0; i < rank; ++i) {
    shape[i] = source.shape[i];
    is_empty = is_empty || shape[i] == 0;
  }
  if (!is_empty && source.data == nullptr) return detail::fail_dlpack("a DLPack tensor with items has no data");
  const std::byte* data = nullptr;
  if (!is_empty) {
    if (source.byte_offset > max_tensor_bytes)
      return fail(errc::size_overflow, {.offset = source.byte_offset, .what = "the byte offset of a DLPack tensor"});
    data = static_cast<const std::byte*>(source.data) + source.byte_offset;
  }
  const std::span<const std::int64_t> sizes(shape, rank);
  if (source.strides == nullptr) {
    detail::extents compact;
    std::int64_t count = 0;
    if (!compact.resize(rank)) return detail::fail_extents_memory();
    if (!detail::set_compact(compact, shape, item_size(*type), count)) return detail::fail_shape(sizes);
    return tensor_view::strided(*type, data, sizes, std::span<const std::int64_t>(compact.strides(), rank));
  }
  for (std::size_t i = 0; i < rank; ++i) strides[i] = source.strides[i];
  return tensor_view::strided(*type, data, sizes, std::span<const std::int64_t>(strides, rank));
}

/// Another library's tensor, owned: its deleter is called once, when this ends or is assigned to.
///
/// Lifetime: view() and everything made from it end with this object; moving keeps them valid.
/// Threads:  the deleter runs on the thread that ends this object.
template <dlpack_managed Managed>
class dlpack_owner {
 public:
  dlpack_owner() noexcept = default;

  /// As import_dlpack().
  [[nodiscard]] static result<dlpack_owner> take(Managed* managed) {
    if (managed == nullptr) return fail(errc::invalid_argument, {.what = "there is no DLPack tensor to import"});
    result<dlpack_owner> owner;
    owner->managed_ = managed;
    if constexpr (dlpack_versioned<Managed>) {
      if (managed->version.major != dlpack::current_version.major) {
        return detail::fail_dlpack_unsupported(managed->version.major, "the DLPack tensor is of another major version");
      }
      if ((managed->flags & dlpack::flag_sub_byte_padded) != 0 && managed->dl_tensor.dtype.bits < 8) {
        return detail::fail_dlpack_unsupported(managed->dl_tensor.dtype.bits, "the DLPack items are of less than a byte and padded");
      }
    }
    result<tensor_view> view = view_of_dlpack(managed->dl_tensor);
    if (!view) return fail(view.error());
    owner->view_ = std::move(*view);
    return owner;
  }

  dlpack_owner(dlpack_owner&& other) noexcept : managed_(std::exchange(other.managed_, nullptr)), view_(std::exchange(other.view_, tensor_view())) {}
  dlpack_owner& operator=(dlpack_owner&& other) noexcept {
    if (this == &other) return *this;
    reset();
    managed_ = std::exchange(other.managed_, nullptr);
    view_ = std::exchange(other.view_, tensor_view());
    return *this;
  }
  ~dlpack_owner() { reset(); }

  [[nodiscard]] const tensor_view& view() const& noexcept { return view_; }
  void view() const&& = delete;
  operator const tensor_view&() const& noexcept { return view_; }
  operator const tensor_view&() const&& = delete;

  /// Whether the producer forbids writing to the items. Without versions DLPack cannot say so.
  [[nodiscard]] bool is_read_only() const noexcept {
    if constexpr (dlpack_versioned<Managed>) return managed_ != nullptr && (managed_->flags & dlpack::flag_read_only) != 0;
    return false;
  }

  /// The items to be written; null where they are read-only or there are none.
  [[nodiscard]] std::byte* writable_data() const noexcept {
    // Safety: the producer handed over a pointer to mutable items, and has not said otherwise.
    return is_read_only() ? nullptr : const_cast<std::byte*>(view_.data());
  }

  /// Calls the deleter, if there is anything to delete.
  void reset() noexcept {
    view_ = tensor_view();
    if (Managed* ended = std::exchange(managed_, nullptr); ended != nullptr && ended->deleter != nullptr) ended->deleter(ended);
  }

  /// Gives the tensor up to a caller who will call its deleter.
  [[nodiscard]] Managed* release() noexcept {
    view_ = tensor_view();
    return std::exchange(managed_, nullptr);
  }

 private:
  Managed* managed_ = nullptr;
  tensor_view view_;
};

/// Takes a tensor over from another library, with its deleter, whether this succeeds or not.
///
/// Errors: as view_of_dlpack(); unsupported for another major version, of which only the deleter is touched; invalid_argument for null.
template <dlpack_managed Managed>
[[nodiscard]] result<dlpack_owner<Managed>> import_dlpack(Managed* managed) {
  return dlpack_owner<Managed>::take(managed);
}

namespace detail {

/// What an exported tensor hangs on: the struct that is handed out, its dimensions, and what keeps the items alive.
template <class Managed, class Keeper>
struct dlpack_export {
  Managed managed{};
  std::int64_t dimensions[2 * max_rank];
  Keeper keeper;

  explicit dlpack_export(Keeper&& kept) : keeper(std::move(kept)) {}

  static void end(Managed* managed) noexcept { delete static_cast<dlpack_export*>(managed->manager_ctx); }
};

template <class Managed, class Keeper>
[[nodiscard]] Managed* make_dlpack_export(dlpack_export<Managed, Keeper>& made, const tensor_view& view, std::uint64_t flags) noexcept {
  Managed& managed = made.managed;
  managed.manager_ctx = &made;
  managed.deleter = &dlpack_export<Managed, Keeper>::end;
  auto& target = managed.dl_tensor;
  // Safety: DLPack has no pointer to const; a versioned tensor says in its flags whether the items may be written.
  target.data = view.empty() ? nullptr : const_cast<std::byte*>(view.data());
  target.device.device_type = static_cast<decltype(target.device.device_type)>(dlpack_cpu);
  target.device.device_id = 0;
  target.ndim = static_cast<decltype(target.ndim)>(view.rank());
  for (const dlpack_row& row : dlpack_rows) {
    if (row.type != view.dtype()) continue;
    target.dtype.code = row.code;
    target.dtype.bits = row.bits;
    target.dtype.lanes = row.lanes;
  }
  target.shape = made.dimensions;
  target.strides = made.dimensions + view.rank();
  for (std::size_t i = 0; i < view.rank(); ++i) {
    target.shape[i] = view.shape()[i];
    target.strides[i] = view.strides()[i];
  }
  target.byte_offset = 0;
  if constexpr (dlpack_versioned<Managed>) {
    managed.version.major = dlpack::current_version.major;
    managed.version.minor = dlpack::current_version.minor;
    managed.flags = flags;
  }
  return &managed;
}

}  // namespace detail

/// Hands a tensor over to another library: the memory moves into the DLPack tensor, whose deleter frees it.
///
/// Errors:   no_memory; then `source` is unchanged.
/// Lifetime: the caller, or who gets the pointer, calls managed->deleter(managed) once.
template <dlpack_managed Managed = dlpack::managed_tensor_versioned>
[[nodiscard]] result<Managed*> export_dlpack(tensor&& source) {
  using exported = detail::dlpack_export<Managed, tensor>;
  auto* made = new (std::nothrow) exported(tensor());
  if (made == nullptr) return fail(errc::no_memory, {.what = "the DLPack tensor could not be allocated"});
  made->keeper = std::move(source);
  return detail::make_dlpack_export(*made, made->keeper.view(), 0);
}

/// Lends a view to another library, with its strides, and read-only where DLPack can say so.
///
/// `keep_alive` is what owns the items (a std::shared_ptr, a dlpack_owner, a moved-in buffer; else dlpack::kept_by_caller): the deleter
/// destroys it, or this function where it fails.
///
/// Errors:   no_memory.
/// Lifetime: the caller, or who gets the pointer, calls managed->deleter(managed) once.
template <dlpack_managed Managed = dlpack::managed_tensor_versioned, std::movable Keeper>
[[nodiscard]] result<Managed*> export_dlpack(const tensor_view& view, Keeper keep_alive) {
  using exported = detail::dlpack_export<Managed, Keeper>;
  auto* made = new (std::nothrow) exported(std::move(keep_alive));
  if (made == nullptr) return fail(errc::no_memory, {.what = "the DLPack tensor could not be allocated"});
  return detail::make_dlpack_export(*made, view, dlpack::flag_read_only);
}

}  // namespace lading
