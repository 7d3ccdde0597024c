// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Connecting by host and port, with wrong, silent and hostile programs at either end.

#include "rig.hpp"

#if defined(__linux__)

#include <arpa/inet.h>
#include <sys/resource.h>

namespace listener_test {
using namespace lading;
using namespace std::chrono_literals;

class ucx_listens : public ucx_test::on_lanes<ucx_test::tcp> {
 protected:
  static result<ucx> listening(const std::string& where) { return ucx::create({.lanes = "tcp", .listen = where}); }
  static std::string at(const ucx& endpoint) { return "127.0.0.1:" + std::to_string(endpoint.port()); }

  /// Drives one endpoint, in a thread of its own, while this lives.
  struct driven {
    explicit driven(ucx& endpoint)
        : thread([this, &endpoint] {
            while (!done) {
              if (endpoint.progress() == 0) std::this_thread::yield();
            }
          }) {}
    ~driven() { done = true, thread.join(); }
    std::atomic<bool> done{false};
    std::thread thread;
  };
};

/// A plain socket, connected or listening.
lading::detail::ucx_socket plain_socket(std::uint16_t port, bool to_listen) {
  lading::detail::ucx_socket made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // Safety: an address of IPv4 is a socket's address.
  const auto* general = reinterpret_cast<const ::sockaddr*>(&address);
  const int status =
      to_listen ? ::bind(made.get(), general, sizeof address) | ::listen(made.get(), 8) : ::connect(made.get(), general, sizeof address);
  EXPECT_EQ(status, 0);
  return made;
}
std::uint16_t port_of(int fd) {
  ::sockaddr_in bound{};
  ::socklen_t size = sizeof bound;
  // Safety: the socket is one of IPv4.
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<::sockaddr*>(&bound), &size), 0);
  return ntohs(bound.sin_port);
}

TEST_F(ucx_listens, and_others_connect_by_host_and_port) {
  for (const char* const where : {"127.0.0.1:0", ":0", "localhost:0"}) {
    ucx far = listening(where).value(), near = listening("").value();
    ASSERT_NE(far.port(), 0) << where;
    EXPECT_EQ(near.port(), 0);
    const region source = near.allocate_region(4096).value(), target = far.allocate_region(4096).value();
    conformance::fill(source.bytes(), 8);
    const driven driving(far);
    const auto peer = near.connect(at(far));
    ASSERT_TRUE(peer.has_value()) << where << ": " << peer.error().message();
    EXPECT_EQ(near.peer_identity(*peer).value(), far.identity());
    const slice all{source.id(), near.import_region(*peer, far.export_region(target).value()).value(), 0, 0, 4096};
    EXPECT_TRUE(near.submit(*peer, op::put, std::span(&all, 1)).value().wait().ok());
    EXPECT_TRUE(conformance::same(source.bytes(), target.bytes()));
  }
}

TEST_F(ucx_listens, where_it_can) {
  ucx first = listening("127.0.0.1:0").value();
  const auto again = listening(at(first));
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error(), errc::backend_failure);
  EXPECT_EQ(again.error().native(), EADDRINUSE);
  for (const char* const wrong : {"x", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "no.such.host.invalid:1"})
    EXPECT_EQ(listening(wrong).error(), errc::invalid_argument) << wrong;
}

TEST_F(ucx_listens, until_another_is_assigned) {
  ucx kept = listening("127.0.0.1:0").value(), next = listening("127.0.0.1:0").value();
  const std::string old_place = at(kept);
  const std::uint16_t port_of_next = next.port();
  ASSERT_FALSE(listening(old_place).has_value()) << "the control";
  kept = std::move(next);
  EXPECT_EQ(kept.port(), port_of_next);
  EXPECT_EQ(kept.refusals().count, 0u);
  EXPECT_TRUE(listening(old_place).has_value()) << "the old one still has its port";
  {
    ucx moved = std::move(kept);
    EXPECT_EQ(moved.port(), port_of_next);
    EXPECT_FALSE(listening(at(moved)).has_value());
  }
  EXPECT_TRUE(listening("127.0.0.1:" + std::to_string(port_of_next)).has_value());
}

TEST_F(ucx_listens, only_at_what_is_an_address) {
  ucx near = listening("").value();
  for (const char* const wrong : {"", "x", ":1", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:1x"})
    EXPECT_EQ(near.connect(wrong).error(), errc::invalid_argument) << wrong;
  std::uint16_t free_port = 0;
  { free_port = listening("127.0.0.1:0").value().port(); }
  EXPECT_EQ(near.connect("127.0.0.1:" + std::to_string(free_port)).error(), errc::peer_lost) << "nobody listens";
  ucx idle = listening("127.0.0.1:0").value();
  EXPECT_EQ(near.connect(at(idle), 50ms).error(), errc::timed_out) << "it makes no progress";
}

TEST_F(ucx_listens, and_believes_no_other_listener) {
  ucx near = listening("").value(), honest = listening("127.0.0.1:0").value();
  const auto good = honest.address().value();
  struct lie {
    std::vector<std::byte> bytes;
    errc code;
  };
  std::vector<lie> lies{
      {{}, errc::truncated}, {{good.begin(), good.end() - 1}, errc::truncated}, {good, errc::trailing_bytes}, {good, errc::checksum_mismatch}};
  lies[2].bytes.push_back(std::byte{0});
  lies[3].bytes.back() ^= std::byte{1};
  lies.push_back({std::vector<std::byte>(2 << 20, std::byte{0x41}), errc::limit_exceeded});
  for (const lie& each : lies) {
    const auto server = plain_socket(0, true);
    std::thread serving([&] {
      const lading::detail::ucx_socket client(::accept(server.get(), nullptr, nullptr));
      for (std::size_t sent = 0; sent < each.bytes.size();) {
        const auto now = ::send(client.get(), each.bytes.data() + sent, each.bytes.size() - sent, MSG_NOSIGNAL);
        if (now <= 0) break;
        sent += static_cast<std::size_t>(now);
      }
    });
    EXPECT_EQ(name_of(near.connect("127.0.0.1:" + std::to_string(port_of(server.get()))).error().code()), name_of(each.code));
    serving.join();
  }
  const auto silent = plain_socket(0, true);
  EXPECT_EQ(near.connect("127.0.0.1:" + std::to_string(port_of(silent.get())), 50ms).error(), errc::timed_out);
  const driven driving(honest);
  EXPECT_TRUE(near.connect(at(honest)).has_value());
}

// Who goes on sending is waited for no longer than who is silent, and others of the endpoint are served meanwhile.
TEST_F(ucx_listens, and_looks_at_the_time_while_bytes_come) {
  constexpr std::size_t size = 300'000, largest_part = 2048;
  const auto ask = [](std::chrono::nanoseconds timeout, std::size_t& rounds) {
    const auto server = plain_socket(0, true);
    std::thread serving([&] {
      const lading::detail::ucx_socket client(::accept(server.get(), nullptr, nullptr));
      const std::string junk(size, 'x');
      for (std::size_t sent = 0; sent < size;) {
        const auto now = ::send(client.get(), junk.data() + sent, size - sent, MSG_NOSIGNAL);
        if (now <= 0) break;
        sent += static_cast<std::size_t>(now);
      }
    });
    auto answer = lading::detail::ask_listener("127.0.0.1:" + std::to_string(port_of(server.get())), timeout, [&] { ++rounds; });
    serving.join();
    return answer;
  };
  std::size_t rounds = 0;
  const auto all = ask(60s, rounds);
  ASSERT_TRUE(all.has_value()) << all.error().message();
  EXPECT_EQ(all->size(), size);
  EXPECT_GE(rounds, size / largest_part);
  EXPECT_EQ(ask(1ns, rounds).error(), errc::timed_out);
}

TEST_F(ucx_listens, and_survives_its_clients) {
  ucx far = listening("127.0.0.1:0").value(), near = listening("").value();
  const driven driving(far);
  ASSERT_TRUE(near.connect(at(far)).has_value());
  const auto descriptors = conformance::open_descriptors();
  const std::string junk(100'000, 'x');
  for (int round = 0; round < 5; ++round) {
    std::vector<lading::detail::ucx_socket> crowd;
    for (int i = 0; i < 100; ++i) {
      crowd.push_back(plain_socket(far.port(), false));
      if (i % 3 == 0) static_cast<void>(::send(crowd.back().get(), junk.data(), junk.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
      if (i % 3 == 1) crowd.pop_back();
    }
    // Those who only wait were told, too, and hung up on.
    char first = 0;
    for (std::size_t i = 1; i < crowd.size(); i += 2) EXPECT_EQ(::recv(crowd[i].get(), &first, 1, 0), 1);
    const auto peer = near.connect(at(far));
    ASSERT_TRUE(peer.has_value()) << peer.error().message();
    near.disconnect(*peer);
  }
  if (descriptors) {
    EXPECT_LE(*conformance::open_descriptors(), *descriptors);
  }
}

// A caller who cannot be let in would keep the descriptor readable, and whoever sleeps on it busy.
TEST_F(ucx_listens, and_answers_without_a_descriptor_left) {
  ucx far = listening("127.0.0.1:0").value();
  const auto told = [&](const lading::detail::ucx_socket& client) {
    char first = 0;
    for (const auto until = std::chrono::steady_clock::now() + 2s; std::chrono::steady_clock::now() < until;) {
      far.progress();
      if (::recv(client.get(), &first, 1, MSG_DONTWAIT) == 1) return true;
    }
    return false;
  };
  EXPECT_TRUE(told(plain_socket(far.port(), false))) << "the control";
  const auto late = plain_socket(far.port(), false), later = plain_socket(far.port(), false);
  ::rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  ::rlimit few = before;
  few.rlim_cur = std::min<::rlim_t>(few.rlim_cur, 512);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<lading::detail::ucx_socket> taken;
  for (int next = ::dup(0); next >= 0; next = ::dup(0)) taken.emplace_back(next);
  const bool all_told = told(late) && told(later);
  const int still_none = ::dup(0);
  taken.clear();
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(all_told);
  EXPECT_EQ(still_none, -1) << "there were descriptors left";
  EXPECT_TRUE(told(plain_socket(far.port(), false)));
}

}  // namespace listener_test

#endif
