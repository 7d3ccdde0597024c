// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <new>
#include <utility>

#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>

namespace lading {

/// Owned bytes at a chosen alignment, not initialised. Movable, not copyable; moving keeps every pointer into it valid.
class aligned_buffer {
 public:
  /// A cache line, and what the widest vector loads ask for.
  static constexpr std::size_t default_alignment = 64;

  aligned_buffer() noexcept = default;
  aligned_buffer(aligned_buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), alignment_(other.alignment_) {}
  aligned_buffer& operator=(aligned_buffer&& other) noexcept {
    aligned_buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~aligned_buffer() {
    if (data_ != nullptr) ::operator delete(data_, std::align_val_t{alignment_});
  }

  /// Allocates `size` bytes whose address is a multiple of `alignment`; no bytes need no memory.
  ///
  /// Errors: invalid_argument where the alignment is not a power of two, no_memory.
  [[nodiscard]] static result<aligned_buffer> allocate(std::size_t size, std::size_t alignment = default_alignment) {
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
      return fail(errc::invalid_argument, {.needed = alignment, .what = "an alignment is a power of two"});
    }
    aligned_buffer buffer;
    if (size == 0) return buffer;
    buffer.alignment_ = alignment;
    // An allocator rounds the size up to the alignment; a size that would wrap must not reach it.
    if (size <= ~std::size_t{0} / 2 - alignment) {
      buffer.data_ = static_cast<std::byte*>(::operator new(size, std::align_val_t{alignment}, std::nothrow));
    }
    if (buffer.data_ == nullptr) return fail(errc::no_memory, {.needed = size, .what = "the allocation failed"});
    buffer.size_ = size;
    return buffer;
  }

  [[nodiscard]] std::byte* data() noexcept { return data_; }
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  /// Lifetime: the spans borrow, so a temporary has none to give.
  [[nodiscard]] bytes_span span() & noexcept { return {data_, size_}; }
  [[nodiscard]] bytes_view span() const& noexcept { return {data_, size_}; }
  void span() const&& = delete;
  operator bytes_span() & noexcept { return span(); }
  operator bytes_view() const& noexcept { return span(); }

  void swap(aligned_buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(alignment_, other.alignment_);
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t alignment_ = default_alignment;
};

}  // namespace lading
