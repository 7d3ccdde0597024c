// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <support/problem.hpp>

namespace ship {

using support::problem;

namespace {

using address_list = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

std::string why(int number) { return std::system_category().message(number); }

address_list look_up(const place& at, int flags) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(at.host.c_str(), at.port.c_str(), &wanted, &found); code != 0)
    throw problem(at.text() + ": the host cannot be looked up (" + ::gai_strerror(code) + "): check its name");
  return {found, &::freeaddrinfo};
}

descriptor open_socket(const addrinfo& at) {
  return descriptor(::socket(at.ai_family, at.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at.ai_protocol));
}

void prefer_latency(const descriptor& to) {
  const int on = 1;
  static_cast<void>(::setsockopt(to.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));  // slower without it, not wrong
}

socket_place describe(int (*ask)(int, sockaddr*, socklen_t*), const descriptor& of) {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  // Safety: every kind of address goes through this type.
  auto* const address = reinterpret_cast<sockaddr*>(&raw);
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (ask(of.get(), address, &size) != 0 || (raw.ss_family != AF_INET && raw.ss_family != AF_INET6) ||
      ::getnameinfo(address, size, host.data(), host.size(), port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return {"this process", true};
  const std::string name = host.data();
  return {place{name, port.data()}.text(), name.starts_with("127.") || name == "::1" || name.starts_with("::ffff:127.")};
}

/// 0 once the connection stands, else why it does not.
int finish_connecting(const descriptor& to, std::chrono::milliseconds timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    ::pollfd watched{.fd = to.get(), .events = POLLOUT, .revents = 0};
    const int ready = ::poll(&watched, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready == 0) return ETIMEDOUT;
    if (ready < 0) return errno;  // EINTR too: somebody wants the program to end
    int code = 0;
    socklen_t size = sizeof code;
    return ::getsockopt(to.get(), SOL_SOCKET, SO_ERROR, &code, &size) != 0 ? errno : code;
  }
}

}  // namespace

descriptor::~descriptor() {
  if (number_ >= 0) ::close(number_);
}

place place::parse(const std::string& typed, const char* option) {
  const auto refuse = [&]() -> problem {
    return problem(std::string(option) + " takes [HOST:]PORT, such as 127.0.0.1:5000 or [::1]:5000, and not \"" + typed + '"');
  };
  const std::size_t colon = typed.rfind(':');
  place made{"127.0.0.1", colon == std::string::npos ? typed : typed.substr(colon + 1)};
  if (colon != std::string::npos) made.host = typed.substr(0, colon);
  if (made.host.size() > 1 && made.host.front() == '[' && made.host.back() == ']') {
    made.host = made.host.substr(1, made.host.size() - 2);
  } else if (made.host.find(':') != std::string::npos) {
    throw refuse();  // an IPv6 address without brackets: where would its port begin?
  }
  const bool digits = !made.port.empty() && made.port.size() <= 5 && made.port.find_first_not_of("0123456789") == std::string::npos;
  if (made.host.empty() || !digits || std::stoul(made.port) > 65'535) throw refuse();
  return made;
}

std::string place::text() const { return (host.find(':') == std::string::npos ? host : '[' + host + ']') + ':' + port; }

socket_place local_place(const descriptor& of) { return describe(&::getsockname, of); }
socket_place remote_place(const descriptor& of) { return describe(&::getpeername, of); }

descriptor listen_at(const place& at) {
  int code = EADDRNOTAVAIL;
  const address_list found = look_up(at, AI_PASSIVE);
  for (const addrinfo* each = found.get(); each != nullptr; each = each->ai_next) {
    descriptor made = open_socket(*each);
    const int on = 1;
    if (made && ::setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 && ::bind(made.get(), each->ai_addr, each->ai_addrlen) == 0 &&
        ::listen(made.get(), 16) == 0)
      return made;
    code = errno;
  }
  const char* const remedy = code == EADDRINUSE      ? ": choose another port, or 0 for any that is free"
                             : code == EACCES        ? ": choose a port above 1023, or 0 for any that is free"
                             : code == EADDRNOTAVAIL ? ": the host must be one of this machine's own addresses"
                                                     : "";
  throw problem(at.text() + ": cannot listen there: " + why(code) + remedy);
}

descriptor accept_from(const descriptor& listening) {
  descriptor made(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (made) prefer_latency(made);
  return made;
}

descriptor connect_to(const place& at, std::chrono::milliseconds timeout) {
  int code = 0;
  const address_list found = look_up(at, 0);
  for (const addrinfo* each = found.get(); each != nullptr; each = each->ai_next) {
    descriptor made = open_socket(*each);
    if (!made) {
      code = errno;
      continue;
    }
    code = ::connect(made.get(), each->ai_addr, each->ai_addrlen) == 0 ? 0 : errno;
    if (code == EINPROGRESS) code = finish_connecting(made, timeout);
    if (code == 0) {
      prefer_latency(made);
      return made;
    }
  }
  if (code == ECONNREFUSED)
    throw problem(at.text() + ": nobody listens there: start \"ship --listen " + at.port + "\" on that host first, or check the port");
  if (code == ETIMEDOUT) throw problem(at.text() + ": does not answer: check the host, the port, and the firewall between");
  throw problem(at.text() + ": cannot connect: " + why(code) + ": check host and port");
}

std::pair<descriptor, descriptor> connected_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) throw problem("cannot open a socket: " + why(errno));
  return {descriptor(ends[0]), descriptor(ends[1])};
}

}  // namespace ship
