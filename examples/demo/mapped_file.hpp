// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include <lading/core/bytes.hpp>

namespace demo {

/// A file's bytes, read by the kernel when they are touched and never copied here.
///
/// Lifetime: views of it end with it. Somebody who shortens the file meanwhile ends the program with SIGBUS.
class mapped_file {
 public:
  /// Throws a problem where `path` is no file that can be read.
  explicit mapped_file(std::string path);
  mapped_file(mapped_file&& other) noexcept : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}
  mapped_file& operator=(mapped_file&&) = delete;
  ~mapped_file();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] lading::bytes_view bytes() const noexcept { return bytes_; }

 private:
  std::string path_;
  lading::bytes_span bytes_;
};

}  // namespace demo
