// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "mapped_file.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "problem.hpp"

namespace demo {

namespace {

/// Closes a descriptor at the end of its scope; the mapping stays.
struct descriptor {
  int number;
  ~descriptor() {
    if (number >= 0) ::close(number);
  }
};

std::string why(int number) { return std::system_category().message(number); }

}  // namespace

mapped_file::mapped_file(std::string path) : path_(std::move(path)) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  const descriptor opened{::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (opened.number < 0) throw problem(path_ + ": " + why(errno));
  struct stat about {};
  if (::fstat(opened.number, &about) != 0) throw problem(path_ + ": " + why(errno));
  if (S_ISDIR(about.st_mode)) throw problem(path_ + ": is a directory, not a file");
  if (!S_ISREG(about.st_mode)) throw problem(path_ + ": is not a regular file");
  const auto size = static_cast<std::size_t>(about.st_size);
  if (size == 0) return;  // mmap refuses nothing
  void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, opened.number, 0);
  if (mapped == MAP_FAILED) throw problem(path_ + ": cannot be mapped: " + why(errno));
  bytes_ = {static_cast<std::byte*>(mapped), size};
}

mapped_file::~mapped_file() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace demo
