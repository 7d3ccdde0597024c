// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <lading/core/checked.hpp>
#include <lading/core/result.hpp>
#include <lading/memory/copy.hpp>

namespace lading {

/// Items of one size spread over memory: item (i, j, ...) lies at data + i * byte_strides[0] + j * byte_strides[1] + ...
///
/// Shape: any rank up to max_strided_rank, 0 being one item; strides may be zero or negative.
struct strided_source {
  const std::byte* data = nullptr;
  std::size_t item_size = 0;  ///< Units: bytes
  std::size_t rank = 0;
  const std::int64_t* shape = nullptr;         ///< `rank` extents
  const std::int64_t* byte_strides = nullptr;  ///< `rank` distances
};

inline constexpr std::size_t max_strided_rank = 64;

/// The bytes that `source` takes in row-major order.
///
/// Errors: invalid_argument for a negative extent or a rank above max_strided_rank, size_overflow.
[[nodiscard]] inline result<std::size_t> strided_size(const strided_source& source) {
  if (source.rank > max_strided_rank) {
    return fail(errc::invalid_argument, {.needed = source.rank, .available = max_strided_rank, .what = "the rank of a strided source is too high"});
  }
  bool empty = source.item_size == 0;
  for (std::size_t i = 0; i < source.rank; ++i) {
    if (source.shape[i] < 0) return fail(errc::invalid_argument, {.item = i, .what = "an extent of the shape is negative"});
    empty = empty || source.shape[i] == 0;
  }
  if (empty) return std::size_t{0};  // also where the other extents' product would not fit
  std::size_t size = source.item_size;
  for (std::size_t i = 0; i < source.rank; ++i) {
    const auto extent = static_cast<std::uint64_t>(source.shape[i]);
    if (extent > ~std::size_t{0} || !checked_multiply<std::size_t>(size, static_cast<std::size_t>(extent), size)) {
      return fail(errc::size_overflow, {.item = i, .what = "the product of the extents does not fit"});
    }
  }
  return size;
}

namespace detail {

/// A non-empty strided source with extents of 1 dropped and dimensions that follow one another in memory merged; innermost first.
struct strided_runs {
  std::size_t run = 0;  ///< bytes that lie together
  std::size_t rank = 0;
  std::uint64_t extents[max_strided_rank];
  std::uint64_t strides[max_strided_rank];  ///< modulo 2^64, so that sums of negative ones never overflow

  explicit strided_runs(const strided_source& source) noexcept : run(source.item_size) {
    for (std::size_t i = source.rank; i-- > 0;) {
      const auto extent = static_cast<std::uint64_t>(source.shape[i]);
      const auto stride = static_cast<std::uint64_t>(source.byte_strides[i]);
      if (extent == 1) continue;
      if (rank == 0 && stride == run) {
        run *= static_cast<std::size_t>(extent);
      } else if (rank != 0 && stride == strides[rank - 1] * extents[rank - 1]) {
        extents[rank - 1] *= extent;
      } else {
        extents[rank] = extent;
        strides[rank++] = stride;
      }
    }
  }
};

[[nodiscard]] LADING_ALWAYS_INLINE const std::byte* displaced(const std::byte* base, std::uint64_t offset) noexcept {
  return base + static_cast<std::ptrdiff_t>(offset);
}

template <std::size_t Size>
void copy_items(std::byte* target, const std::byte* source, std::uint64_t stride, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) std::memcpy(target + i * Size, displaced(source, stride * i), Size);
}

/// Copies `count` runs that lie `stride` apart.
inline void copy_runs(std::byte* target, const std::byte* source, std::uint64_t stride, std::size_t run, std::size_t count) noexcept {
  switch (run) {
    case 1: return copy_items<1>(target, source, stride, count);
    case 2: return copy_items<2>(target, source, stride, count);
    case 4: return copy_items<4>(target, source, stride, count);
    case 8: return copy_items<8>(target, source, stride, count);
    case 16: return copy_items<16>(target, source, stride, count);
    default:
      for (std::size_t i = 0; i < count; ++i) std::memcpy(target + i * run, displaced(source, stride * i), run);
  }
}

/// Copies the bytes [begin, begin + size) of one row of runs.
inline void copy_row(std::byte* target, const std::byte* row, std::uint64_t stride, std::size_t run, std::size_t begin, std::size_t size) noexcept {
  std::size_t index = begin / run;
  if (const std::size_t skipped = begin % run; skipped != 0) {
    const std::size_t part = size < run - skipped ? size : run - skipped;
    std::memcpy(target, displaced(row, stride * index) + skipped, part);
    target += part;
    size -= part;
    ++index;
  }
  const std::size_t count = size / run;
  if (count != 0) copy_runs(target, displaced(row, stride * index), stride, run, count);
  if (const std::size_t part = size % run; part != 0) std::memcpy(target + count * run, displaced(row, stride * (index + count)), part);
}

}  // namespace detail

/// Whether the items already lie in row-major order without holes; nothing at all does.
[[nodiscard]] inline bool is_contiguous(const strided_source& source) noexcept {
  for (std::size_t i = 0; i < source.rank; ++i) {
    if (source.shape[i] == 0) return true;
  }
  return source.item_size == 0 || detail::strided_runs(source).rank == 0;
}

/// Writes the bytes [begin, end) of the row-major form to `target`, so that workers can share one large source.
///
/// The caller has checked strided_size(source), and end does not exceed it. Never allocates.
inline void gather(std::byte* target, const strided_source& source, std::size_t begin, std::size_t end) noexcept {
  if (begin >= end) return;
  const detail::strided_runs runs(source);
  if (runs.rank == 0) return copy_bytes(target, source.data + begin, end - begin);
  const std::size_t row_size = runs.run * static_cast<std::size_t>(runs.extents[0]);
  std::uint64_t indices[max_strided_rank];
  std::uint64_t row = begin / row_size;
  std::uint64_t offset = 0;
  for (std::size_t i = 1; i < runs.rank; ++i) {
    indices[i] = row % runs.extents[i];
    row /= runs.extents[i];
    offset += indices[i] * runs.strides[i];
  }
  for (std::size_t at = begin % row_size; begin < end; at = 0) {
    const std::size_t size = row_size - at < end - begin ? row_size - at : end - begin;
    detail::copy_row(target, detail::displaced(source.data, offset), runs.strides[0], runs.run, at, size);
    target += size;
    begin += size;
    for (std::size_t i = 1; i < runs.rank; ++i) {
      offset += runs.strides[i];
      if (++indices[i] < runs.extents[i]) break;
      offset -= runs.strides[i] * runs.extents[i];
      indices[i] = 0;
    }
  }
}

/// Writes all of `source` to `target` in row-major order; the caller has checked strided_size(source). Never allocates.
inline void gather(std::byte* target, const strided_source& source) noexcept {
  std::size_t size = source.item_size;
  for (std::size_t i = 0; i < source.rank; ++i) size *= static_cast<std::size_t>(source.shape[i]);
  gather(target, source, 0, size);
}

}  // namespace lading
