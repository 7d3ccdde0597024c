// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <utility>

namespace ship {

/// A file descriptor that is closed with its owner.
class descriptor {
 public:
  descriptor() noexcept = default;
  explicit descriptor(int number) noexcept : number_(number) {}
  descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~descriptor();

  [[nodiscard]] int get() const noexcept { return number_; }
  [[nodiscard]] explicit operator bool() const noexcept { return number_ >= 0; }

 private:
  int number_ = -1;
};

/// HOST:PORT as somebody typed it.
struct place {
  std::string host, port;

  /// "5000", "localhost:5000", "[::1]:5000"; without a host it is this one's loopback. Throws a problem that names `option` and says what is wrong.
  [[nodiscard]] static place parse(const std::string& typed, const char* option);
  /// The inverse.
  [[nodiscard]] std::string text() const;
};

/// What a socket is bound to, or connected to: its address as numbers, and whether it can only be reached from this host.
struct socket_place {
  std::string text;
  bool this_host = false;
};
[[nodiscard]] socket_place local_place(const descriptor& of);
[[nodiscard]] socket_place remote_place(const descriptor& of);

// All of these throw a problem that names the remedy. The sockets do not block, and are closed in children.

[[nodiscard]] descriptor listen_at(const place& at);
/// A connection that has come in; empty where there is none.
[[nodiscard]] descriptor accept_from(const descriptor& listening);
[[nodiscard]] descriptor connect_to(const place& at, std::chrono::milliseconds timeout);
/// Two sockets of this process that are connected.
[[nodiscard]] std::pair<descriptor, descriptor> connected_pair();

}  // namespace ship
