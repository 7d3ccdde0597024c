// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>
#include <string>
#include <utility>

#include <lading/core/bytes.hpp>

namespace support {

/// A file's bytes, read by the kernel when they are touched and never copied here: it may be larger than memory.
///
/// Lifetime: views of it end with it. Reading what somebody has cut off meanwhile raises SIGBUS; check_unchanged tells before that, mostly.
class mapped_file {
 public:
  /// Throws a problem where `path` is no file that can be read.
  explicit mapped_file(std::string path);
  mapped_file(mapped_file&& other) noexcept
      : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})), file_(std::exchange(other.file_, -1)), changed_(other.changed_) {}
  mapped_file& operator=(mapped_file&&) = delete;
  ~mapped_file();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] lading::bytes_view bytes() const noexcept { return bytes_; }

  /// Throws a problem where the file has been written or shortened since it was opened.
  void check_unchanged() const;

 private:
  std::string path_;
  lading::bytes_span bytes_;
  int file_ = -1;
  struct timespec changed_ {};
};

}  // namespace support
