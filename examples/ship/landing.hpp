// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <lading/core/bytes.hpp>

#include "socket.hpp"

namespace ship {

/// The folder that files are written into. Throws a problem where that cannot be done.
class folder {
 public:
  explicit folder(std::string path);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] std::uint64_t free_bytes() const;

 private:
  std::string path_;
  descriptor fd_;
};

/// A file on its way into a folder: without a name, until it is whole. Ended before that, even by being killed, it leaves nothing.
///
/// Where the file system has no files without a name, it is called ".ship-" and a number until then; a process that is killed leaves that.
class landing {
 public:
  /// Throws a problem where `name` is not a plain one, or exists and must not be replaced.
  landing(const folder& into, std::string name, std::uint64_t size, bool replace);
  landing(const landing&) = delete;
  landing& operator=(const landing&) = delete;
  ~landing();

  [[nodiscard]] std::uint64_t written() const noexcept { return written_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  void append(lading::bytes_view bytes);
  /// Gives it its name; it must be whole.
  void finish();

 private:
  void create();
  /// Gives it this name as well, which is refused where it exists; returns an errno.
  [[nodiscard]] int link(const std::string& name) const;
  [[nodiscard]] std::string where() const { return into_.path() + '/' + name_; }

  const folder& into_;
  std::string name_, temporary_;  // the latter empty where it has no name
  descriptor file_;
  std::uint64_t size_, written_ = 0;
  bool replace_;
};

}  // namespace ship
