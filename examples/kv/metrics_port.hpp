// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Answers HTTP requests for /metrics on localhost, many callers in turn, by the thread that has other things to do.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace kv {

/// Threads: one.
class metrics_port {
 public:
  static constexpr std::size_t most_callers = 16;          // at a time; the one that has been here longest makes room for another
  static constexpr std::size_t longest_request = 8 << 10;  // bytes, with all its headers
  static constexpr std::chrono::seconds longest_stay{5};   // of one caller

  metrics_port() = default;
  metrics_port(const metrics_port&) = delete;
  metrics_port& operator=(const metrics_port&) = delete;
  ~metrics_port() {
    for (caller& each : callers_) leave(each);
    if (listening_ >= 0) ::close(listening_);
  }

  /// Listens on a port of the loopback address; 0 = any that is free, which port() tells. False where that cannot be done.
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
    auto* const plain = reinterpret_cast<::sockaddr*>(&where);
    ::socklen_t size = sizeof where;
    if (::bind(listening_, plain, size) != 0 || ::listen(listening_, 16) != 0 || ::getsockname(listening_, plain, &size) != 0) return false;
    port_ = ntohs(where.sin_port);
    return true;
  }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  /// Lets in who has called, reads what has come and answers, as far as that goes without waiting for anybody. text() is the page.
  template <class Text>
  void serve(Text&& text) {
    if (listening_ < 0) return;
    accept_all();
    for (caller& each : callers_) {
      if (each.socket < 0) continue;
      if (clock::now() - each.since > longest_stay) {
        leave(each);
      } else if (each.answer.empty()) {
        read(each, text);
      } else {
        write(each);
      }
    }
  }

 private:
  using clock = std::chrono::steady_clock;

  struct caller {
    int socket = -1;
    clock::time_point since{};
    std::string request, answer;  // one after the other
    std::size_t sent = 0;         // of the answer; all of it: it waits for the caller to hang up
  };

  static void leave(caller& one) {
    if (one.socket >= 0) ::close(one.socket);
    one = {};
  }
  void accept_all() {
    for (std::size_t i = 0; i < most_callers; ++i) {
      const int fresh = ::accept4(listening_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fresh < 0) return;
      caller* place = &callers_[0];
      for (caller& each : callers_) {
        if (place->socket >= 0 && (each.socket < 0 || each.since < place->since)) place = &each;
      }
      leave(*place);
      place->socket = fresh;
      place->since = clock::now();
    }
  }
  template <class Text>
  static void read(caller& one, Text& text) {
    std::array<char, 2048> words;
    for (;;) {
      const auto found = ::recv(one.socket, words.data(), words.size(), 0);
      if (found < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
      if (found <= 0) return leave(one);
      one.request.append(words.data(), static_cast<std::size_t>(found));
      if (one.request.find("\r\n\r\n") != std::string::npos) break;
      if (one.request.size() > longest_request) return reply(one, "431 Request Header Fields Too Large", {});
    }
    const std::string_view line = std::string_view(one.request).substr(0, one.request.find("\r\n"));
    const std::size_t first = line.find(' '), last = line.rfind(' ');
    if (first == last || last == std::string_view::npos || !line.substr(last).starts_with(" HTTP/1.")) return reply(one, "400 Bad Request", {});
    if (line.substr(0, first) != "GET") return reply(one, "405 Method Not Allowed", {});
    const std::string_view path = line.substr(first + 1, last - first - 1);
    path.substr(0, path.find('?')) == "/metrics" ? reply(one, "200 OK", text()) : reply(one, "404 Not Found", {});
  }
  static void reply(caller& one, std::string_view status, const std::string& body) {
    one.answer = "HTTP/1.1 " + std::string(status) +
                 "\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                 body;
    write(one);
  }
  static void write(caller& one) {
    while (one.sent != one.answer.size()) {
      const auto taken = ::send(one.socket, one.answer.data() + one.sent, one.answer.size() - one.sent, MSG_NOSIGNAL);
      if (taken < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
      if (taken < 0) return leave(one);
      one.sent += static_cast<std::size_t>(taken);
      if (one.sent == one.answer.size()) ::shutdown(one.socket, SHUT_WR);
    }
    // Closing with words unread would reset the connection, and the answer with it.
    std::array<char, 2048> rest;
    const auto found = ::recv(one.socket, rest.data(), rest.size(), 0);
    if (found == 0 || (found < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) leave(one);
  }

  int listening_ = -1;
  std::uint16_t port_ = 0;
  std::array<caller, most_callers> callers_;
};

}  // namespace kv
