// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "landing.hpp"

#include <cerrno>
#include <random>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <cstdio>

#include <support/problem.hpp>
#include <support/units.hpp>

#include "file_names.hpp"

namespace ship {

using support::problem;

static std::string why(int number) { return std::system_category().message(number); }

folder::folder(std::string path) : path_(std::move(path)), fd_(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (!fd_) throw problem(path_ + ": " + why(errno) + ": --into takes a folder that exists");
  if (::faccessat(fd(), ".", W_OK, 0) != 0) throw problem(path_ + ": cannot be written into: " + why(errno));
}

std::uint64_t folder::free_bytes() const {
  struct statvfs about {};
  if (::fstatvfs(fd(), &about) != 0) return ~std::uint64_t{0};
  return std::uint64_t{about.f_bavail} * about.f_frsize;
}

landing::landing(const folder& into, std::string name, std::uint64_t size, bool replace)
    : into_(into), name_(std::move(name)), size_(size), replace_(replace) {
  check_name(name_);
  struct stat about {};
  if (!replace_ && ::fstatat(into_.fd(), name_.c_str(), &about, AT_SYMLINK_NOFOLLOW) == 0)
    throw problem(where() + ": exists, and is not replaced: pass --force to the receiver, or another --into");
  create();
  if (!file_) throw problem(where() + ": cannot be written: " + why(errno));
}

static std::string some_name() {
  static std::random_device random;
  return support::format(".ship-%08x", static_cast<unsigned>(random()));
}

void landing::create() {
#if defined(O_TMPFILE)
  if (::access("/proc/self/fd", X_OK) == 0)  // by which it gets a name
    file_ = descriptor(::openat(into_.fd(), ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666));
  if (file_) return;
#endif
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string candidate = some_name();
    file_ = descriptor(::openat(into_.fd(), candidate.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (file_) temporary_ = std::move(candidate);
    if (file_ || errno != EEXIST) return;
  }
}

int landing::link(const std::string& name) const {
  const std::string unnamed = "/proc/self/fd/" + std::to_string(file_.get());
  const int linked = temporary_.empty() ? ::linkat(AT_FDCWD, unnamed.c_str(), into_.fd(), name.c_str(), AT_SYMLINK_FOLLOW)
                                        : ::linkat(into_.fd(), temporary_.c_str(), into_.fd(), name.c_str(), 0);
  return linked == 0 ? 0 : errno;
}

landing::~landing() {
  if (!temporary_.empty()) ::unlinkat(into_.fd(), temporary_.c_str(), 0);
}

void landing::append(lading::bytes_view bytes) {
  if (bytes.size() > size_ - written_) throw problem(where() + ": more bytes came than were announced");
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(file_.get(), bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) throw problem(where() + ": cannot be written: " + why(errno));
    written_ += static_cast<std::uint64_t>(wrote);
    bytes = bytes.subspan(static_cast<std::size_t>(wrote));
  }
}

void landing::finish() {
  if (written_ != size_) throw problem(where() + ": is not whole");
  int code = 0;
  if (replace_) {
    for (int attempt = 0; attempt < 100 && temporary_.empty(); ++attempt) {  // only what has a name can take another's
      std::string candidate = some_name();
      code = link(candidate);
      if (code == 0) temporary_ = std::move(candidate);
      if (code != EEXIST) break;
    }
    if (code == 0 && ::renameat(into_.fd(), temporary_.c_str(), into_.fd(), name_.c_str()) != 0) code = errno;
  } else {
    code = link(name_);  // the first name, where it has one, goes with this object
#if defined(RENAME_NOREPLACE)
    if (!temporary_.empty() && (code == EPERM || code == EOPNOTSUPP))  // a file system without links
      code = ::renameat2(into_.fd(), temporary_.c_str(), into_.fd(), name_.c_str(), RENAME_NOREPLACE) != 0 ? errno : 0;
#endif
  }
  if (code != 0) throw problem(where() + ": cannot be given its name: " + why(code));
  if (replace_) temporary_.clear();
}

}  // namespace ship
