// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once
// A user's own transport: messages over local sockets (Linux's, which need no files). lading::endpoint makes a whole transport of this driver.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cerrno>
#include <deque>

#include <lading/transport/endpoint.hpp>

class socket_driver final : public lading::driver {
  using errc = lading::errc;
  enum class kind : std::uint64_t { put, notify, answer };
  struct message {
    kind what{};
    std::uint64_t region = 0, generation = 0, offset = 0, size = 0;  // notify: size is the tag, generation the sender; answer: region is an errc
  };
  struct request {
    lading::operation* token;
    std::size_t slice, size;  // slice: or `notification`
  };
  /// A socket, what is to be written to it, what was read from it, and what was asked over it, in the order of the answers.
  struct link final : lading::driver_connection {
    explicit link(int socket, std::uint64_t endpoint = 0) : fd(socket), to(endpoint) {}
    ~link() override { ::close(fd); }
    void append(const message& head, lading::bytes_view payload = {}) {
      const auto raw = std::as_bytes(std::span(&head, 1));
      out.insert(out.end(), raw.begin(), raw.end());
      out.insert(out.end(), payload.begin(), payload.end());
    }
    int fd;
    std::uint64_t to, sent = 0;  // an endpoint; bytes of out
    std::vector<std::byte> out, in;
    std::deque<request> asked;
  };
  struct remote final : lading::driver_remote {
    explicit remote(const lading::region_descriptor& region) : at(region) {}
    lading::region_descriptor at;
  };
  static constexpr std::size_t window = 4 << 20, largest = 8 << 20, notification = ~std::size_t{0};
  /// Binds or connects a socket to the name of an endpoint; one that begins with a zero is no file.
  static int with_address(auto&& call, int fd, std::uint64_t endpoint) {
    sockaddr_un at{.sun_family = AF_UNIX, .sun_path = {}};
    std::snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "lading-%016llx", static_cast<unsigned long long>(endpoint));
    return call(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at);  // Safety: every kind of address goes through this type
  }
  /// Writes, reads and handles what it can; false once the other side is gone.
  bool pump(link& of, std::size_t& happened) {
    for (ssize_t wrote = 0; of.sent < of.out.size() && wrote >= 0; of.sent += static_cast<std::size_t>(std::max<ssize_t>(wrote, 0))) {
      wrote = ::send(of.fd, of.out.data() + of.sent, of.out.size() - of.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (of.sent == of.out.size()) of.out.clear(), of.sent = 0;
    std::byte chunk[1 << 16];
    const bool room = of.in.size() < 2 * largest;  // who asks faster than it is served waits
    const ssize_t got = room ? ::recv(of.fd, chunk, sizeof chunk, MSG_DONTWAIT) : 0;
    if (got > 0) of.in.insert(of.in.end(), chunk, chunk + got);
    const bool alive = !room || got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
    std::size_t at = 0;
    for (message head; of.in.size() - at >= sizeof head; ++happened) {
      std::memcpy(&head, of.in.data() + at, sizeof head);
      const auto rest = lading::bytes_view(of.in).subspan(at + sizeof head);
      const std::uint64_t payload = head.what == kind::put ? head.size : 0;
      if (rest.size() < payload || !handle(of, head, rest.first(payload))) break;
      at += sizeof head + payload;
    }
    of.in.erase(of.in.begin(), of.in.begin() + static_cast<std::ptrdiff_t>(at));
    return alive;
  }
  /// Does what a peer asks, after checking it, or takes its answer; false = not yet.
  bool handle(link& from, const message& head, lading::bytes_view payload) {
    auto& side = *host_->incoming();
    if (head.what == kind::answer) return !from.asked.empty() && (report(from.asked.front(), errc(head.region)), from.asked.pop_front(), true);
    message answer{kind::answer};
    if (head.what == kind::notify) {
      if (!side.notifications.push({head.size, head.generation})) return false;
    } else if (auto to = lading::incoming_range::open(side, lading::region_id(head.region), head.generation, head.offset, head.size); !to) {
      answer.region = std::uint64_t(to.error().code());
    } else if (head.size != 0) {
      std::memcpy(to->bytes().data(), payload.data(), payload.size());
    }
    return from.append(answer), true;
  }
  static void report(const request& done, errc how) {
    if (done.slice == notification) return done.token->notified(how == errc{} ? lading::result<void>{} : lading::fail(how));
    how == errc{} ? done.token->succeeded(1, done.size) : done.token->failed(done.slice, 1, lading::error(how));
  }
  void end(link& gone, errc why) noexcept {
    std::erase(peers_, &gone);
    ::shutdown(gone.fd, SHUT_RDWR);
    for (const request& each : std::exchange(gone.asked, {})) report(each, why);
  }
  lading::driver_host* host_ = nullptr;
  int listening_ = -1;
  std::vector<std::unique_ptr<link>> served_;  // of those who connected here
  std::vector<link*> peers_;                   // whom this side connected to

 public:
  std::string_view name() const noexcept override { return "local_socket"; }
  lading::capabilities capabilities() const noexcept override {
    return {.detects_peer_death = true, .notifies = true, .serves_get = false, .max_slice_size = largest};
  }
  lading::result<void> start(lading::driver_host& host) override {
    host_ = &host;
    listening_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (with_address(::bind, listening_, host.incoming()->identity.endpoint) == 0 && ::listen(listening_, 128) == 0) return {};
    return lading::fail(errc::backend_failure, {.native = errno, .what = "no socket to listen on"});
  }
  void stop() noexcept override { served_.clear(), ::close(std::exchange(listening_, -1)); }
  lading::result<std::unique_ptr<lading::driver_connection>> connect(const lading::endpoint_address& address) override {
    return std::make_unique<link>(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), address.identity.endpoint);
  }
  lading::result<bool> connected(lading::driver_connection& peer) noexcept override {
    auto& made = static_cast<link&>(peer);
    if (with_address(::connect, made.fd, made.to) == 0) return peers_.push_back(&made), true;
    if (errno == EAGAIN) return false;  // too many wait to be accepted there: the endpoint asks again until the caller's time is up
    return lading::fail(errc::peer_lost, {.native = errno});
  }
  void disconnect(lading::driver_connection& gone) noexcept override { end(static_cast<link&>(gone), errc::closed); }
  lading::result<std::unique_ptr<lading::driver_remote>> import_key(lading::driver_connection&, const lading::region_descriptor& region) override {
    return std::make_unique<remote>(region);
  }
  std::size_t post(lading::batch& slices, std::size_t first) noexcept override {
    auto& to = static_cast<link&>(slices.connection());
    std::size_t next = first;
    for (; next < slices.size() && to.out.size() < window && to.asked.size() < 65536; ++next) {
      const lading::posted_slice each = slices[next];
      const auto& at = static_cast<remote&>(*each.remote.key).at;
      to.append({kind::put, std::uint64_t(at.id), at.generation, each.remote_offset, each.size}, each.local_bytes());
      to.asked.push_back({&slices.token(), next, each.size});
    }
    return next - first;
  }
  bool notify(lading::driver_connection& to, std::uint64_t tag, lading::operation& token) noexcept override {
    static_cast<link&>(to).append({kind::notify, 0, host_->incoming()->identity.endpoint, 0, tag});
    static_cast<link&>(to).asked.push_back({&token, notification, 0});
    return true;
  }
  std::size_t progress() noexcept override {
    std::size_t happened = 0;
    for (int fd; (fd = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) served_.push_back(std::make_unique<link>(fd));
    std::erase_if(served_, [&](auto& each) { return !pump(*each, happened); });
    for (auto peers = peers_; link * each : peers) {
      if (!pump(*each, happened)) host_->lost(*each, errc::peer_lost), end(*each, errc::peer_lost);
    }
    return happened;
  }
};
