// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tests of the redis store share: a redis-server of their own, and one that is none.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <lading/stores/redis.hpp>

namespace redis_test {
using namespace lading;
using namespace std::chrono_literals;

/// Where the program lies; empty where there is none.
inline const std::string& server_program() {
  static const std::string found = [] {
    const char* const chosen = std::getenv("LADING_REDIS_SERVER");
    if (chosen != nullptr) return std::string(chosen);
    const char* const path = std::getenv("PATH");
    std::string folders = std::string(path == nullptr ? "" : path) + ":/usr/bin:/usr/local/bin";
    for (std::size_t at = 0; at < folders.size();) {
      const std::size_t end = std::min(folders.find(':', at), folders.size());
      const std::string candidate = folders.substr(at, end - at) + "/redis-server";
      if (::access(candidate.c_str(), X_OK) == 0) return candidate;
      at = end + 1;
    }
    return std::string();
  }();
  return found;
}
inline void skip_without_server() {
  if (server_program().empty()) GTEST_SKIP() << "there is no redis-server here (Debian: redis-server); LADING_REDIS_SERVER names one";
}

/// A socket that listens on a free port of the loopback address.
inline int listen_anywhere(std::uint16_t& port) {
  const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  // Safety: the C API's way to pass any address.
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(made, plain, size), 0);
  EXPECT_EQ(::listen(made, 16), 0);
  EXPECT_EQ(::getsockname(made, plain, &size), 0);
  port = ntohs(address.sin_port);
  return made;
}

/// Options that do not wait long for what will not come.
inline redis_options at_port(std::uint16_t port) {
  redis_options made;
  made.port = port;
  made.connect_timeout = 5s;
  return made;
}

/// A redis-server without persistence, on a free port and a socket file; it is killed with this object, or with the test.
class redis_server {
 public:
  explicit redis_server(std::vector<std::string> more = {}) : more_(std::move(more)) {
    std::string pattern = (std::filesystem::temp_directory_path() / "lading-redis-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    for (int tries = 0; tries < 5 && !start(); ++tries) port_ = 0;
    EXPECT_GT(process_, 0) << "redis-server does not start";
  }
  redis_server(const redis_server&) = delete;
  redis_server& operator=(const redis_server&) = delete;
  ~redis_server() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  /// Starts it, on the port it had before.
  bool start() {
    if (port_ == 0) ::close(listen_anywhere(port_));
    std::vector<std::string> words{
        server_program(), "--port",         std::to_string(port_), "--bind", "127.0.0.1",  "--save",  "",          "--appendonly", "no",
        "--dir",          folder_.string(), "--unixsocket",        socket(), "--loglevel", "warning", "--logfile", log()};
    words.insert(words.end(), more_.begin(), more_.end());
    std::vector<char*> arguments;
    for (std::string& each : words) arguments.push_back(each.data());
    arguments.push_back(nullptr);
    const pid_t parent = ::getpid();
    process_ = ::fork();
    if (process_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() == parent) ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    for (int i = 0; i < 2000; ++i) {
      std::unique_ptr<redisContext, void (*)(redisContext*)> probe(redisConnectUnix(socket().c_str()), redisFree);
      if (probe != nullptr && probe->err == 0) return true;
      if (::waitpid(process_, nullptr, WNOHANG) == process_) break;  // somebody else has taken the port
      std::this_thread::sleep_for(5ms);
    }
    process_ = -1;
    return false;
  }
  void kill() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
    std::error_code ignored;
    std::filesystem::remove(socket(), ignored);
  }
  void stop() const { ::kill(process_, SIGSTOP); }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string socket() const { return (folder_ / "redis.sock").string(); }
  [[nodiscard]] std::string log() const { return (folder_ / "redis.log").string(); }
  [[nodiscard]] redis_options options() const { return at_port(port_); }

  /// Does what no store does, by bare hiredis.
  void command(const std::vector<std::string>& words) const {
    std::unique_ptr<redisContext, void (*)(redisContext*)> line(redisConnectUnix(socket().c_str()), redisFree);
    ASSERT_TRUE(line != nullptr && line->err == 0);
    std::vector<const char*> data;
    std::vector<std::size_t> sizes;
    for (const std::string& each : words) {
      data.push_back(each.data());
      sizes.push_back(each.size());
    }
    void* const answer = redisCommandArgv(line.get(), static_cast<int>(words.size()), data.data(), sizes.data());
    ASSERT_NE(answer, nullptr);
    EXPECT_NE(static_cast<redisReply*>(answer)->type, REDIS_REPLY_ERROR) << static_cast<redisReply*>(answer)->str;
    freeReplyObject(answer);
  }

 private:
  std::vector<std::string> more_;
  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  pid_t process_ = -1;
};

/// Something that greets like a redis, and then answers whatever comes by these bytes, in turn.
class impostor {
 public:
  /// Where `hang_up`, it closes after each answer.
  explicit impostor(std::vector<std::string> answers, bool hang_up = false)
      : answers_(std::move(answers)), hang_up_(hang_up), listening_(listen_anywhere(port_)) {
    thread_ = std::thread([this] { serve(); });
  }
  impostor(const impostor&) = delete;
  impostor& operator=(const impostor&) = delete;
  ~impostor() {
    stopping_ = true;
    thread_.join();
    ::close(listening_);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int asked() const { return asked_; }

 private:
  void serve() {
    while (!stopping_) {
      if (!readable(listening_)) continue;
      const int line = ::accept(listening_, nullptr, nullptr);
      bool greeted = false;
      std::vector<char> bytes(1 << 16);
      while (!stopping_) {
        if (!readable(line)) continue;
        const auto found = ::recv(line, bytes.data(), bytes.size(), 0);
        if (found <= 0) break;
        if (!greeted) {
          greeted = true;
          ::send(line, "+PONG\r\n", 7, MSG_NOSIGNAL);
          continue;
        }
        const std::string& answer = answers_[static_cast<std::size_t>(asked_++) % answers_.size()];
        ::send(line, answer.data(), answer.size(), MSG_NOSIGNAL);
        if (hang_up_) break;
      }
      ::close(line);
    }
  }
  static bool readable(int socket) {
    pollfd watched{.fd = socket, .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, 5) > 0;
  }

  std::vector<std::string> answers_;
  bool hang_up_;
  std::uint16_t port_ = 0;
  int listening_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> asked_{0};
  std::thread thread_;
};

}  // namespace redis_test
