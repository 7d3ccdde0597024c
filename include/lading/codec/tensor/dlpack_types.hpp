// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What DLPack declares, recognised by its shape. Include dlpack.hpp, which moves tensors.
//
// Source: DLPack, https://dmlc.github.io/dlpack/latest/c_api.html, version 1.1; DLManagedTensor is that of 0.2 to 1.1.

#include <concepts>
#include <cstdint>

#include <lading/codec/tensor/dtype.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>

namespace lading {
namespace dlpack {

/// The declarations of DLPack, for programs that have no dlpack.h. Same layout, so a pointer from a C interface may be cast to these.
struct version {
  std::uint32_t major;
  std::uint32_t minor;
};
struct device {
  std::int32_t device_type;  ///< 1 = CPU, 2 = CUDA, 3 = CUDA host, ...
  std::int32_t device_id;
};
struct data_type {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct dl_tensor {
  void* data;
  dlpack::device device;
  std::int32_t ndim;
  data_type dtype;
  std::int64_t* shape;
  std::int64_t* strides;  ///< in items; null where compact and row-major
  std::uint64_t byte_offset;
};
struct managed_tensor {
  dlpack::dl_tensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(managed_tensor*);
};
struct managed_tensor_versioned {
  dlpack::version version;
  void* manager_ctx;
  void (*deleter)(managed_tensor_versioned*);
  std::uint64_t flags;
  dlpack::dl_tensor dl_tensor;
};

/// The version that exports declare, and the flags of a versioned tensor.
inline constexpr version current_version{1, 0};
inline constexpr std::uint64_t flag_read_only = 1;
inline constexpr std::uint64_t flag_is_copied = 2;
inline constexpr std::uint64_t flag_sub_byte_padded = 4;

/// What to pass as keep_alive where the caller sees to it that the items outlive the DLPack tensor.
struct kept_by_caller {};

}  // namespace dlpack

namespace detail {

template <class T>
concept dlpack_tensor = requires(T& value) {
  { value.data } -> std::convertible_to<void*>;
  { *value.shape } -> std::convertible_to<std::int64_t>;
  { *value.strides } -> std::convertible_to<std::int64_t>;
  value.device.device_type;
  value.device.device_id;
  value.dtype.code;
  value.dtype.bits;
  value.dtype.lanes;
  value.byte_offset;
  value.ndim;
};

}  // namespace detail

/// DLManagedTensorVersioned, whoever declares it.
template <class Managed>
concept dlpack_versioned = requires(Managed& value) {
  requires detail::dlpack_tensor<decltype(value.dl_tensor)>;
  value.manager_ctx;
  value.deleter(&value);
  value.version.major;
  value.version.minor;
  value.flags;
};

/// DLManagedTensor or DLManagedTensorVersioned, whoever declares it.
template <class Managed>
concept dlpack_managed = dlpack_versioned<Managed> || requires(Managed& value) {
  requires detail::dlpack_tensor<decltype(value.dl_tensor)>;
  value.manager_ctx;
  value.deleter(&value);
};

namespace detail {

// The numbers of DLDeviceType and DLDataTypeCode, which not every dlpack.h has all of.
inline constexpr int dlpack_cpu = 1;
inline constexpr int dlpack_cuda_host = 3;

struct dlpack_row {
  dtype type;
  std::uint8_t code;
  std::uint8_t bits;
  std::uint8_t lanes;
};

inline constexpr dlpack_row dlpack_rows[] = {
    {dtype::boolean, 6, 8, 1},
    {dtype::uint8, 1, 8, 1},
    {dtype::uint16, 1, 16, 1},
    {dtype::uint32, 1, 32, 1},
    {dtype::uint64, 1, 64, 1},
    {dtype::int8, 0, 8, 1},
    {dtype::int16, 0, 16, 1},
    {dtype::int32, 0, 32, 1},
    {dtype::int64, 0, 64, 1},
    {dtype::float16, 2, 16, 1},
    {dtype::float32, 2, 32, 1},
    {dtype::float64, 2, 64, 1},
    {dtype::bfloat16, 4, 16, 1},
    {dtype::float8_e4m3fn, 10, 8, 1},
    {dtype::float8_e5m2, 12, 8, 1},
    {dtype::float8_e4m3fnuz, 11, 8, 1},
    {dtype::float8_e5m2fnuz, 13, 8, 1},
    {dtype::float8_e8m0fnu, 14, 8, 1},
    {dtype::float4_e2m1fn_x2, 17, 4, 2},  // as torch exports it: a byte is one item of two lanes
    {dtype::complex32, 5, 32, 1},
    {dtype::complex64, 5, 64, 1},
    {dtype::complex128, 5, 128, 1},
};

LADING_COLD inline failure fail_dlpack(const char* what) noexcept { return fail(errc::invalid_value, {.what = what}); }
LADING_COLD inline failure fail_dlpack_unsupported(std::uint64_t number, const char* what) noexcept {
  return fail(errc::unsupported, {.needed = number, .what = what});
}

}  // namespace detail

/// The dtype of a DLDataType, whoever declares it.
///
/// Errors: unsupported for a code or width that lading has not, and for vectors (lanes other than 1; other than 2 for float4).
template <class DataType>
[[nodiscard]] result<dtype> dtype_from_dlpack(const DataType& type) noexcept {
  for (const detail::dlpack_row& row : detail::dlpack_rows) {
    if (row.code == type.code && row.bits == type.bits && row.lanes == type.lanes) return row.type;
  }
  if (type.lanes != 1) return detail::fail_dlpack_unsupported(type.lanes, "the DLPack items are vectors (lanes)");
  return detail::fail_dlpack_unsupported(type.code, "no dtype has this DLPack type code and width");
}

}  // namespace lading
