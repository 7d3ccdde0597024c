// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <random>

#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

namespace lading {

/// Who an endpoint is: numbers drawn at random, so that they name one process and one endpoint among all hosts and restarts.
///
/// Two endpoints with the same `process` share an address space. (Addresses of hosts say nothing about that: containers share them.)
struct endpoint_identity {
  std::uint64_t process = 0;
  std::uint64_t endpoint = 0;

  friend bool operator==(const endpoint_identity&, const endpoint_identity&) = default;
};

namespace detail {

[[nodiscard]] inline std::uint64_t random_number() {
  std::random_device device;
  for (;;) {
    const std::uint64_t number = (std::uint64_t{device()} << 32) ^ device();
    if (number != 0) return number;
  }
}

}  // namespace detail

/// This process's random number; a forked child has its own.
[[nodiscard]] inline std::uint64_t process_identity() {
#if __has_include(<unistd.h>)
  static std::atomic<std::int64_t> owner{-1};
  static std::atomic<std::uint64_t> number{0};
  const std::int64_t self = ::getpid();
  if (owner.load(std::memory_order_acquire) != self) {
    // The first thread in this process draws; the others wait for what it drew.
    static std::atomic<std::int64_t> drawing{-1};
    std::int64_t seen = drawing.load();
    if (seen != self && drawing.compare_exchange_strong(seen, self)) {
      number.store(detail::random_number());
      owner.store(self, std::memory_order_release);
    }
    while (owner.load(std::memory_order_acquire) != self) {}
  }
  return number.load();
#else
  static const std::uint64_t number = detail::random_number();
  return number;
#endif
}

}  // namespace lading
