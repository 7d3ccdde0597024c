// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "mapped_file.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "problem.hpp"

namespace support {

static std::string why(int number) { return std::system_category().message(number); }

mapped_file::mapped_file(std::string path) : path_(std::move(path)) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  file_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file_ < 0) throw problem(path_ + ": " + why(errno));
  const auto refuse = [this](const std::string& reason) {
    ::close(file_);
    throw problem(path_ + ": " + reason);
  };
  struct stat about {};
  if (::fstat(file_, &about) != 0) refuse(why(errno));
  if (S_ISDIR(about.st_mode)) refuse("is a directory, not a file");
  if (!S_ISREG(about.st_mode)) refuse("is not a regular file");
  changed_ = about.st_mtim;
  const auto size = static_cast<std::size_t>(about.st_size);
  if (size == 0) return;  // mmap refuses nothing
  void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file_, 0);
  if (mapped == MAP_FAILED) refuse("cannot be mapped: " + why(errno));
  bytes_ = {static_cast<std::byte*>(mapped), size};
}

void mapped_file::check_unchanged() const {
  struct stat about {};
  if (::fstat(file_, &about) != 0) throw problem(path_ + ": " + why(errno));
  if (static_cast<std::size_t>(about.st_size) != bytes_.size() || about.st_mtim.tv_sec != changed_.tv_sec ||
      about.st_mtim.tv_nsec != changed_.tv_nsec) {
    throw problem(path_ + ": was changed while it was read");
  }
}

mapped_file::~mapped_file() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
  if (file_ >= 0) ::close(file_);
}

}  // namespace support
