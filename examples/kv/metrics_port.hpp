// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Answers HTTP requests for /metrics on localhost, one at a time.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace kv {

class metrics_port {
 public:
  metrics_port() = default;
  metrics_port(const metrics_port&) = delete;
  metrics_port& operator=(const metrics_port&) = delete;
  ~metrics_port() {
    if (listening_ >= 0) ::close(listening_);
  }

  [[nodiscard]] bool open(std::uint16_t port) {
    listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listening_ < 0) return false;
    const int one = 1;
    ::setsockopt(listening_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    ::sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // Safety: the socket interface takes every kind of address by the same pointer.
    return ::bind(listening_, reinterpret_cast<const ::sockaddr*>(&where), sizeof where) == 0 && ::listen(listening_, 4) == 0;
  }

  /// Answers who has called, if anybody has; waits for a slow caller's words at most 100 ms.
  template <class Text>
  void serve(Text&& text) {
    if (listening_ < 0) return;
    const int caller = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    if (caller < 0) return;
    ::pollfd waiting{.fd = caller, .events = POLLIN, .revents = 0};
    char words[1024];
    const ::ssize_t size = ::poll(&waiting, 1, 100) == 1 ? ::recv(caller, words, sizeof words, 0) : 0;
    const std::string_view request(words, size > 0 ? static_cast<std::size_t>(size) : 0);
    if (request.starts_with("GET /metrics ")) {
      const std::string body = text();
      send(caller, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\nContent-Length: " +
                       std::to_string(body.size()) + "\r\n\r\n" + body);
    } else {
      send(caller, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
    ::close(caller);
  }

 private:
  static void send(int caller, std::string_view all) {
    while (!all.empty()) {
      const ::ssize_t sent = ::send(caller, all.data(), all.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      all.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  int listening_ = -1;
};

}  // namespace kv
