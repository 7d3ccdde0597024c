// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// A port that tells whoever connects the endpoint's address, and hangs up. It is a plain socket, so that it serves lanes of every kind, reads nothing,
// and keeps nothing for its clients: there is nothing that a hostile one could send or use up.

#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lading/transport/descriptor.hpp>
#include <lading/transport/time_source.hpp>

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#endif

namespace lading::detail {

/// A socket or another descriptor, closed when destroyed.
class ucx_socket {
 public:
  explicit ucx_socket(int fd = -1) noexcept : fd_(fd) {}
  ucx_socket(ucx_socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ucx_socket& operator=(ucx_socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~ucx_socket() {
#if defined(__unix__) || defined(__APPLE__)
    if (fd_ >= 0) ::close(fd_);
#endif
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_;
};

#if defined(__unix__) || defined(__APPLE__)

/// Calls use(address) for each that "host:port", "[v6]:port" or ":port" means, until one returns a socket. Looking up a name takes as long as the system's
/// resolver takes; an address in numbers takes no time.
///
/// Errors: invalid_argument for what is no such text, or names no host; else the last error that `use` returned.
[[nodiscard]] inline result<ucx_socket> for_each_address(std::string_view where, bool to_listen, auto&& use) {
  const auto colon = where.rfind(':');
  constexpr const char* form = "not of the form host:port";
  if (colon == std::string_view::npos || colon + 1 == where.size()) return fail(errc::invalid_argument, {.what = form});
  std::string host(where.substr(0, colon));
  const std::string port(where.substr(colon + 1));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (port.find_first_not_of("0123456789") != std::string::npos || port.size() > 5 || std::stoul(port) > 0xffff || (host.empty() && !to_listen))
    return fail(errc::invalid_argument, {.what = form});
  ::addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  ::addrinfo* found = nullptr;
  const auto look_up = [&](int how) {
    wanted.ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : 0) | how;
    return ::getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &wanted, &found);
  };
  int status = look_up(AI_NUMERICHOST);
  if (status == EAI_NONAME) status = look_up(0);
  if (status != 0) return fail(errc::invalid_argument, {.native = status, .what = "no host of that name"});
  result<ucx_socket> made = fail(errc::invalid_argument, {.what = "no host of that name"});
  for (const ::addrinfo* each = found; each != nullptr && !made; each = each->ai_next) {
    ucx_socket fresh(::socket(each->ai_family, each->ai_socktype, each->ai_protocol));
    if (!fresh || ::fcntl(fresh.get(), F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(fresh.get(), F_SETFL, O_NONBLOCK) != 0) {
      made = fail(errc::backend_failure, {.native = errno, .what = "no socket: is the limit of open files reached?"});
    } else if (auto used = use(fresh.get(), *each); used) {
      made = std::move(fresh);
    } else {
      made = fail(used.error());
    }
  }
  ::freeaddrinfo(found);
  return made;
}

/// The endpoint's side.
class ucx_listener {
 public:
  /// Errors: invalid_argument, backend_failure with errno.
  [[nodiscard]] result<void> open(std::string_view where, std::vector<std::byte> answer) {
    auto made = for_each_address(where, true, [](int fd, const ::addrinfo& address) -> result<void> {
      const int yes = 1;
      static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes));
      if (::bind(fd, address.ai_addr, address.ai_addrlen) == 0 && ::listen(fd, backlog) == 0) return {};
      return fail(errc::backend_failure, {.native = errno, .what = "cannot listen there: is the port taken, and the address this host's?"});
    });
    if (!made) return fail(made.error());
    socket_ = std::move(*made);
    answer_ = std::move(answer);
    keep_spare();
    return {};
  }
  void close() noexcept {
    spare_ = ucx_socket();
    socket_ = ucx_socket();
  }
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  [[nodiscard]] std::uint16_t port() const noexcept {
    ::sockaddr_storage bound{};
    ::socklen_t size = sizeof bound;
    // Safety: what getsockname has written is of the family that it says.
    if (!socket_ || ::getsockname(socket_.get(), reinterpret_cast<::sockaddr*>(&bound), &size) != 0) return 0;
    if (bound.ss_family == AF_INET6) return ntohs(reinterpret_cast<const ::sockaddr_in6&>(bound).sin6_port);
    return ntohs(reinterpret_cast<const ::sockaddr_in&>(bound).sin_port);
  }
  /// Answers some who wait; returns how many. The answer fits a new connection's buffer, so that none is waited for.
  std::size_t serve() noexcept {
    std::size_t served = 0;
    for (; socket_ && served < at_a_time; ++served) {
      ucx_socket client(::accept(socket_.get(), nullptr, nullptr));
      if (!client && (errno == EMFILE || errno == ENFILE) && spare_) {
        // Who cannot be let in would keep the socket readable, and whoever sleeps on it awake.
        spare_ = ucx_socket();
        client = ucx_socket(::accept(socket_.get(), nullptr, nullptr));
      }
      if (!client) break;
      static_cast<void>(::send(client.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
      client = ucx_socket();
      if (!spare_) keep_spare();
    }
    if (socket_ && !spare_) keep_spare();
    return served;
  }

 private:
  static constexpr int backlog = 128;  // who comes while as many wait is let in by the kernel later, or not
  static constexpr std::size_t at_a_time = 16;

  void keep_spare() noexcept { spare_ = ucx_socket(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0)); }

  ucx_socket socket_;
  ucx_socket spare_;  // given up for a moment where no other descriptor is left
  std::vector<std::byte> answer_;
};

/// The other side: what the listener there says. Calls progress() while it waits; nothing of what it returns has been checked but its length.
///
/// Errors: invalid_argument, peer_lost where nobody listens, timed_out, limit_exceeded.
[[nodiscard]] inline result<std::vector<std::byte>> ask_listener(std::string_view where, std::chrono::nanoseconds timeout, auto&& progress) {
  const auto until = later(std::chrono::steady_clock::now(), timeout);
  const auto look_about = [&]() -> result<void> {
    if (std::chrono::steady_clock::now() >= until)
      return fail(errc::timed_out, {.what = "the listener did not answer: is its endpoint making progress?"});
    progress();
    return {};
  };
  const auto wait = [&](int fd, short events) -> result<void> {
    for (;;) {
      ::pollfd watched{.fd = fd, .events = events, .revents = 0};
      if (::poll(&watched, 1, 1) == 1) return {};
      if (auto in_time = look_about(); !in_time) return in_time;
    }
  };
  auto connected = for_each_address(where, false, [&](int fd, const ::addrinfo& address) -> result<void> {
    constexpr const char* nobody = "nobody listens there, or nothing leads there";
    if (::connect(fd, address.ai_addr, address.ai_addrlen) == 0) return {};
    if (errno != EINPROGRESS) return fail(errc::peer_lost, {.native = errno, .what = nobody});
    if (auto ready = wait(fd, POLLOUT); !ready) return ready;
    int status = 0;
    ::socklen_t size = sizeof status;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &size) != 0 || status != 0) return fail(errc::peer_lost, {.native = status, .what = nobody});
    return {};
  });
  if (!connected) return fail(connected.error());
  std::vector<std::byte> answer;
  for (std::byte part[2048];;) {
    if (auto ready = wait(connected->get(), POLLIN); !ready) return fail(ready.error());
    const auto got = ::recv(connected->get(), part, sizeof part, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < 0) return fail(errc::peer_lost, {.native = errno, .what = "the listener hung up"});
    if (got == 0) return answer;
    answer.insert(answer.end(), part, part + got);
    if (answer.size() > blob_limit) return fail(errc::limit_exceeded, {.available = blob_limit, .what = "whoever listens there sends no address"});
    if (auto in_time = look_about(); !in_time) return fail(in_time.error());  // who drips is waited for no longer than who is silent
  }
}

#else

class ucx_listener {
 public:
  [[nodiscard]] result<void> open(std::string_view, std::vector<std::byte>) { return fail(errc::unsupported, {.what = "no sockets on this system"}); }
  void close() noexcept {}
  [[nodiscard]] int fd() const noexcept { return -1; }
  [[nodiscard]] std::uint16_t port() const noexcept { return 0; }
  std::size_t serve() noexcept { return 0; }
};
[[nodiscard]] inline result<std::vector<std::byte>> ask_listener(std::string_view, std::chrono::nanoseconds, auto&&) {
  return fail(errc::unsupported, {.what = "no sockets on this system"});
}

#endif

}  // namespace lading::detail
