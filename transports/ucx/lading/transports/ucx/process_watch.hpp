// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <utility>

#if defined(__linux__)
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lading::detail {

/// A number for this host and the process ids on it: peers with the same one can watch each other's process. 0 = unknown.
[[nodiscard]] inline std::uint64_t host_number() noexcept {
#if defined(__linux__) && defined(SYS_pidfd_open)
  char text[128] = {};
  std::size_t used = 0;
  if (std::FILE* const file = std::fopen("/proc/sys/kernel/random/boot_id", "re"); file != nullptr) {
    used = std::fread(text, 1, 64, file);
    std::fclose(file);
  }
  const auto space = ::readlink("/proc/self/ns/pid", text + used, sizeof text - used);
  if (used == 0 || space <= 0) return 0;
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (std::size_t i = 0; i < used + static_cast<std::size_t>(space); ++i) hash = (hash ^ static_cast<unsigned char>(text[i])) * 0x100000001b3u;
  return hash | 1;
#else
  return 0;
#endif
}

[[nodiscard]] inline std::uint64_t own_process_number() noexcept {
#if defined(__linux__)
  return static_cast<std::uint64_t>(::getpid());
#else
  return 0;
#endif
}

/// Tells when a process of this host has ended, be it reaped or not. Linux; elsewhere it never does.
class process_watch {
 public:
  process_watch() noexcept = default;
  process_watch(process_watch&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  process_watch& operator=(process_watch&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~process_watch() {
#if defined(__linux__)
    if (fd_ >= 0) ::close(fd_);
#endif
  }

  void watch([[maybe_unused]] std::uint64_t pid) noexcept {
#if defined(__linux__) && defined(SYS_pidfd_open)
    if (fd_ < 0 && pid != 0) fd_ = static_cast<int>(::syscall(SYS_pidfd_open, static_cast<int>(pid), 0));
#endif
  }
  [[nodiscard]] bool active() const noexcept { return fd_ >= 0; }
  [[nodiscard]] bool ended() const noexcept {
#if defined(__linux__)
    ::pollfd watched{.fd = fd_, .events = POLLIN, .revents = 0};
    return fd_ >= 0 && ::poll(&watched, 1, 0) == 1;
#else
    return false;
#endif
  }

 private:
  int fd_ = -1;
};

}  // namespace lading::detail
