// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

#include <lading/core/bytes.hpp>

// Gibibytes to test with that take no such memory.

namespace lading_test {

using lading::bytes_span;
using lading::bytes_view;

/// Memory of zeros that takes no room until it is written; empty where the system has none to give.
class zeros {
 public:
  explicit zeros(std::size_t size, bool writable = false) {
    void* const mapped = ::mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return;
    data_ = static_cast<std::byte*>(mapped);
    size_ = size;
  }
  zeros(const zeros&) = delete;
  zeros& operator=(const zeros&) = delete;
  ~zeros() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }
  [[nodiscard]] bytes_view view() const { return {data_, size_}; }
  [[nodiscard]] bytes_span span() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Address space in which the same 64 MiB of memory appear again and again, but for the ends; empty where the system cannot.
///
/// Where the blocks hold the same bytes, so do those of a buffer that they are packed into: both fit any machine.
class repeated {
 public:
  static constexpr std::size_t block = std::size_t{64} << 20;

  explicit repeated(std::size_t times) : space_(times * block) {
    const int file = ::memfd_create("lading", 0);
    if (file < 0 || space_.view().empty()) return;
    bool fine = ::ftruncate(file, static_cast<off_t>(3 * block)) == 0;
    for (std::size_t i = 0; fine && i < times; ++i) {
      const std::size_t part = i == 0 ? 0 : i + 1 < times ? 1 : 2;
      std::byte* const place = space_.span().data() + i * block;
      fine = ::mmap(place, block, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, static_cast<off_t>(part * block)) == place;
    }
    ::close(file);
    if (fine) span_ = space_.span();
  }
  [[nodiscard]] bytes_span span() const { return span_; }

  /// The same in every block: words that count from 0.
  void fill() const {
    for (const std::size_t begin : {std::size_t{0}, block, span_.size() - block}) {
      for (std::size_t at = 0; at < block; at += sizeof(at)) std::memcpy(span_.data() + begin + at, &at, sizeof(at));
    }
  }

 private:
  zeros space_;
  bytes_span span_;
};

}  // namespace lading_test
