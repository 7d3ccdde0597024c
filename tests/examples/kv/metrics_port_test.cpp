// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The page of metrics of the program kv, asked by callers of every kind.

#include "metrics_port.hpp"

#include <poll.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view question = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

class caller {
 public:
  explicit caller(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    ::sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // Safety: the socket interface takes every kind of address by the same pointer.
    if (::connect(socket_, reinterpret_cast<const ::sockaddr*>(&where), sizeof where) != 0) throw std::runtime_error("nobody listens");
  }
  caller(const caller&) = delete;
  caller& operator=(const caller&) = delete;
  ~caller() { ::close(socket_); }

  void say(std::string_view words) const { ASSERT_EQ(::send(socket_, words.data(), words.size(), MSG_NOSIGNAL), static_cast<ssize_t>(words.size())); }
  /// What has come until the port hangs up; serve() makes it work meanwhile.
  template <class Serve>
  [[nodiscard]] std::string hear(Serve&& serve) const {
    std::string all;
    for (int rounds = 0; rounds < 20'000; ++rounds) {
      serve();
      ::pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
      if (::poll(&waiting, 1, 1) != 1) continue;
      char words[4096];
      const auto found = ::recv(socket_, words, sizeof words, 0);
      if (found <= 0) return all;
      all.append(words, static_cast<std::size_t>(found));
    }
    return all + "... and no end";
  }

 private:
  int socket_;
};

struct kv_metrics_port : testing::Test {
  void SetUp() override { ASSERT_TRUE(port.open(0)); }
  void serve() {
    port.serve([&] {
      ++pages;
      return page;
    });
  }
  std::string ask(std::string_view words) {
    const caller one(port.port());
    one.say(words);
    return one.hear([&] { serve(); });
  }
  kv::metrics_port port;
  std::string page = "lading_keys 1\n";
  int pages = 0;
};

TEST_F(kv_metrics_port, answers_a_question_for_metrics_and_no_other) {
  const std::string answer = ask(question);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 14\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nlading_keys 1\n"));
  EXPECT_THAT(ask("GET /metrics?name=x HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(pages, 2);
  for (const std::string_view other : {"GET / HTTP/1.1\r\n\r\n", "GET /metricsx HTTP/1.1\r\n\r\n", "GET //metrics HTTP/1.1\r\n\r\n"}) {
    EXPECT_THAT(ask(other), StartsWith("HTTP/1.1 404 ")) << other;
  }
  EXPECT_THAT(ask("POST /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  for (const std::string_view wrong : std::initializer_list<std::string_view>{
           "\r\n\r\n", "GET\r\n\r\n", "GET /metrics\r\n\r\n", "GET /metrics SMTP\r\n\r\n", {"\0\0 \0 \r\n\r\n", 9}}) {
    EXPECT_THAT(ask(wrong), StartsWith("HTTP/1.1 400 ")) << wrong;
  }
  EXPECT_EQ(pages, 2);
}

TEST_F(kv_metrics_port, a_question_may_come_in_pieces) {
  const caller one(port.port());
  for (const char each : question) {
    one.say(std::string_view(&each, 1));
    serve();
  }
  EXPECT_THAT(one.hear([&] { serve(); }), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(pages, 1);
}

TEST_F(kv_metrics_port, waits_for_nobody) {
  const caller silent(port.port()), slow(port.port()), deaf(port.port());
  page.assign(std::size_t{32} << 20, 'x');  // more than sockets hold
  deaf.say(question);
  slow.say(question.substr(0, 10));
  for (int i = 0; i < 10; ++i) serve();  // returns, although nobody of them goes on
  page = "small\n";
  EXPECT_THAT(ask(question), HasSubstr("\r\n\r\nsmall\n"));
  slow.say(question.substr(10));
  EXPECT_THAT(slow.hear([&] { serve(); }), HasSubstr("\r\n\r\nsmall\n"));
  EXPECT_EQ(deaf.hear([&] { serve(); }).size() >> 20, 32u) << "and in the end it hears all";
}

TEST_F(kv_metrics_port, many_silent_callers_make_room_for_one_that_asks) {
  std::vector<std::unique_ptr<caller>> silent;
  for (std::size_t i = 0; i < 5 * kv::metrics_port::most_callers; ++i) {
    silent.push_back(std::make_unique<caller>(port.port()));
    serve();
  }
  EXPECT_THAT(ask(question), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(silent.front()->hear([&] { serve(); }), "") << "the first were sent away";
}

TEST_F(kv_metrics_port, a_question_without_end_is_cut_off) {
  const caller one(port.port());
  one.say("GET /metrics HTTP/1.1\r\n");
  const std::string header(1000, 'x');
  for (std::size_t sent = 0; sent < 2 * kv::metrics_port::longest_request; sent += header.size()) {
    one.say(header);
    serve();
  }
  EXPECT_THAT(one.hear([&] { serve(); }), StartsWith("HTTP/1.1 431 "));
  EXPECT_EQ(pages, 0);
}

TEST_F(kv_metrics_port, a_caller_that_hangs_up_is_forgotten) {
  for (int i = 0; i < 40; ++i) {
    const caller one(port.port());
    if (i % 2 == 0) one.say(question);
    serve();
  }
  EXPECT_THAT(ask(question), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(kv_metrics_port, is_reached_by_this_host_only) {
  kv::metrics_port other;
  EXPECT_FALSE(other.open(port.port())) << "the port is taken";
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ::sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port.port());
  where.sin_addr.s_addr = htonl(0x7f000002);  // another address of this host: were it bound to all, it would be reached there
  // Safety: the socket interface takes every kind of address by the same pointer.
  EXPECT_NE(::connect(probe, reinterpret_cast<const ::sockaddr*>(&where), sizeof where), 0);
  ::close(probe);
  EXPECT_THAT(ask(question), StartsWith("HTTP/1.1 200 OK\r\n"));
}

}  // namespace
