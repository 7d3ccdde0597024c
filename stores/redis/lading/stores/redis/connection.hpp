// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <lading/exchange/detail/retry.hpp>
#include <lading/stores/redis/answer.hpp>
#include <lading/stores/redis/options.hpp>
#include <lading/stores/redis/replies.hpp>
#include <lading/stores/redis/value.hpp>
#include <lading/transport/identity.hpp>

namespace lading::detail {

/// One command: its words, and a value that is sent from where it lies.
struct redis_command {
  std::string head{};  // up to the value
  std::optional<planned_value> value{};
  std::string_view tail{};  // after the value; lives for ever
  std::uint64_t cost = 0;   // bytes of values that it moves

  /// A command without a value, of words that hold any bytes.
  [[nodiscard]] static redis_command of(std::initializer_list<std::string_view> words, std::uint64_t cost = 0) {
    redis_command made{.cost = cost};
    add_count(made.head, '*', words.size());
    for (const std::string_view word : words) add_word(made.head, word);
    return made;
  }
  /// SET, with the value between head and tail.
  [[nodiscard]] static redis_command set(std::string_view prefix, std::string_view key, planned_value&& stored, bool replace) {
    redis_command made{.cost = stored.plan.size()};
    add_count(made.head, '*', replace ? 3 : 4);
    add_word(made.head, "SET");
    add_count(made.head, '$', prefix.size() + key.size());
    ((made.head += prefix) += key) += "\r\n";
    add_count(made.head, '$', stored.plan.size());
    made.value = std::move(stored);
    made.tail = replace ? "\r\n" : "\r\n$2\r\nNX\r\n";
    return made;
  }

 private:
  static void add_count(std::string& to, char mark, std::uint64_t count) { ((to += mark) += std::to_string(count)) += "\r\n"; }
  static void add_word(std::string& to, std::string_view word) {
    add_count(to, '$', word.size());
    (to += word) += "\r\n";
  }
};

/// How far a pipeline came.
struct redis_progress {
  std::size_t answered = 0;  // commands
  std::size_t sent = 0;      // commands that the server may have done, for it has got them whole
  result<void> how{};        // why not all
};

/// A connection to a redis, made anew where it was lost. hiredis connects, and parses what is no value; what is sent is gathered from
/// the values' own memory, and answers are read meanwhile, so that two full sockets cannot wait for each other.
///
/// Threads: one at a time.
class redis_connection {
 public:
  using clock = std::chrono::steady_clock;

  explicit redis_connection(const redis_options& options) : options_(options), replies_(options.largest_value) {}
  redis_connection(const redis_connection&) = delete;
  redis_connection& operator=(const redis_connection&) = delete;
  ~redis_connection() = default;

  /// Sees that there is a connection; makes one otherwise, `reconnects` times more than once.
  ///
  /// Errors: peer_lost, timed_out, with errno or the negative code of hiredis as native(); invalid_argument for credentials and database.
  [[nodiscard]] result<void> ensure(clock::time_point until) {
    if (context_ != nullptr && quiet()) return {};
    close();
    backoff pauses(options_.first_pause, options_.longest_pause);
    for (std::size_t tried = 0;; ++tried) {
      const result<void> made = connect(until);
      if (made) return made;
      close();
      if (!is_transient(made.error().code()) || tried >= options_.reconnects || !pause(pauses, until)) return made;
    }
  }

  /// Sends the commands and gives each answer, in their order, to take(index, redis_answer&). After anything but success there is no connection.
  template <class Take>
  [[nodiscard]] redis_progress run(std::span<const redis_command> commands, clock::time_point until, Take&& take) {
    redis_progress made;
    const closing_guard guard{*this, made, commands.size()};  // also where take throws: what comes after it must not be taken for an answer
    replies_.answer().clear();
    list_pieces(commands);
    auto moved = clock::now();
    while (made.answered < commands.size()) {
      result<std::size_t> sent = send(made);
      result<std::size_t> received = sent ? replies_.receive() : result<std::size_t>(std::size_t{0});
      if (!sent) {
        // The server may have said why before it hung up.
        received = replies_.receive();
        if (!received || *received == 0) return failed(made, sent.error());
      }
      if (!received) return failed(made, received.error());
      for (bool found = true; found && made.answered < commands.size();) {
        const result<bool> parsed = replies_.next();
        if (!parsed) return failed(made, parsed.error());
        found = *parsed;
        if (found) {
          failures_ = 0;
          take(made.answered++, replies_.answer());
          replies_.answer().clear();
        }
      }
      const auto now = clock::now();
      if ((sent && *sent != 0) || *received != 0) {
        moved = now;
      } else {
        const auto limit = std::min(until, moved + options_.command_timeout);
        if (now >= limit) {
          return failed(
              made, error(errc::timed_out, {.what = now >= until ? "the deadline passed before redis answered" : "redis did not answer in time"}));
        }
        wait(limit - now);
      }
      if (now >= until && made.answered < commands.size()) {
        return failed(made, error(errc::timed_out, {.what = "the deadline passed before redis answered"}));
      }
    }
    return made;
  }

  /// Counts losses from here on.
  void forgive() noexcept { failures_ = 0; }
  /// Whether the server has been lost more often in a row than options allow.
  [[nodiscard]] bool given_up() const noexcept { return failures_ > options_.reconnects; }

  /// False where the time is up first.
  [[nodiscard]] static bool pause(backoff& pauses, clock::time_point until) {
    const auto length = pauses.draw(random_number());
    if (clock::now() + length >= until) return false;
    std::this_thread::sleep_for(length);
    return true;
  }

 private:
  struct freeing {
    void operator()(redisContext* context) const noexcept { redisFree(context); }
  };
  struct closing_guard {
    redis_connection& self;
    const redis_progress& made;
    std::size_t wanted;
    ~closing_guard() {
      const bool clean = made.how && made.answered == wanted && self.replies_.at_rest();
      if (!clean) self.close();
    }
  };
  struct piece {
    const void* data;
    std::size_t size;
    std::size_t command;
  };

  void close() noexcept {
    replies_.reset();
    context_.reset();
  }

  [[nodiscard]] redis_progress failed(redis_progress& made, const error& why) noexcept {
    ++failures_;
    made.how = fail(why);
    return made;
  }

  [[nodiscard]] static failure lost(int native, const char* what) noexcept { return fail(errc::peer_lost, {.native = native, .what = what}); }

  /// Whether the connection is as the last answer left it: a byte that nobody asked for, or its end, makes it useless.
  [[nodiscard]] bool quiet() const noexcept {
    char byte = 0;
    const auto found = ::recv(context_->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return found < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  [[nodiscard]] static timeval timeval_of(std::chrono::nanoseconds time) noexcept {
    const auto micros = std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count(), 1000);
    timeval made{};
    made.tv_sec = static_cast<time_t>(micros / 1'000'000);
    made.tv_usec = static_cast<suseconds_t>(micros % 1'000'000);
    return made;
  }

  [[nodiscard]] result<void> connect(clock::time_point until) {
    const auto begun = clock::now();
    const auto limit = std::min(until, begun + options_.connect_timeout);
    const timeval time = timeval_of(limit - begun);
    errno = 0;
    context_.reset(options_.unix_socket.empty() ? redisConnectWithTimeout(options_.host.c_str(), options_.port, time)
                                                : redisConnectUnixWithTimeout(options_.unix_socket.c_str(), time));
    const int reason = errno;
    if (context_ == nullptr) return fail(errc::no_memory, {.what = "hiredis has no memory for a connection"});
    if (const int code = context_->err; code != 0) {
      if (code == REDIS_ERR_OOM) return fail(errc::no_memory, {.native = -code, .what = "hiredis has no memory for a connection"});
      const bool named = code == REDIS_ERR_IO && reason != 0;
      if (named && (reason == ETIMEDOUT || reason == EAGAIN)) return fail(errc::timed_out, {.native = reason, .what = "redis does not answer"});
      return lost(named ? reason : -code, "redis cannot be reached");
    }
    replies_.attach(*context_);
    return greet(limit);
  }

  [[nodiscard]] result<void> greet(clock::time_point until) {
    std::vector<redis_command> commands;
    if (!options_.password.empty()) {
      commands.push_back(options_.user.empty() ? redis_command::of({"AUTH", options_.password})
                                               : redis_command::of({"AUTH", options_.user, options_.password}));
    }
    if (options_.database != 0) commands.push_back(redis_command::of({"SELECT", std::to_string(options_.database)}));
    commands.push_back(redis_command::of({"PING"}));
    result<void> fine;
    const std::size_t before = failures_;  // a greeting that succeeds does not say that commands will
    const redis_progress made = run(commands, until, [&](std::size_t, const redis_answer& answer) {
      if (!fine || (answer.what == redis_answer::form::status && !answer.refused)) return;
      const error why = unexpected_answer(answer);
      if (why != errc::busy) fine = fail(why);  // a server that is still loading says so to each command as well
    });
    failures_ = before;
    return fine ? made.how : fine;
  }

  void list_pieces(std::span<const redis_command> commands) {
    pieces_.clear();
    next_piece_ = piece_offset_ = 0;
    for (std::size_t i = 0; i < commands.size(); ++i) {
      const redis_command& each = commands[i];
      pieces_.push_back({each.head.data(), each.head.size(), i});
      if (!each.value) continue;
      for (const gather_part& part : each.value->plan.parts()) pieces_.push_back({part.source.data(), part.source.size(), i});
      pieces_.push_back({each.tail.data(), each.tail.size(), i});
    }
  }

  /// Sends what the socket takes; returns the bytes.
  [[nodiscard]] result<std::size_t> send(redis_progress& made) {
    std::size_t sum = 0;
    while (next_piece_ < pieces_.size()) {
      std::array<iovec, 64> vectors;
      std::size_t count = 0;
      for (std::size_t at = next_piece_; at < pieces_.size() && count < vectors.size(); ++at, ++count) {
        const std::size_t skip = at == next_piece_ ? piece_offset_ : 0;
        // Safety: sendmsg only reads.
        vectors[count] = {const_cast<char*>(static_cast<const char*>(pieces_[at].data)) + skip, pieces_[at].size - skip};
      }
      msghdr message{};
      message.msg_iov = vectors.data();
      message.msg_iovlen = count;
      const auto taken = ::sendmsg(context_->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (taken < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return sum;
        return lost(errno, "the connection to redis broke");
      }
      sum += static_cast<std::size_t>(taken);
      for (auto left = static_cast<std::size_t>(taken); left != 0;) {
        const std::size_t rest = pieces_[next_piece_].size - piece_offset_;
        const std::size_t step = std::min(left, rest);
        left -= step;
        piece_offset_ += step;
        if (step == rest) {
          ++next_piece_;
          piece_offset_ = 0;
        }
      }
      made.sent = next_piece_ == pieces_.size() ? pieces_.back().command + 1 : pieces_[next_piece_].command;
      if (sum >= redis_replies::turn) return sum;  // see in between what the server says
    }
    return sum;
  }

  void wait(std::chrono::nanoseconds longest) noexcept {
    pollfd watched{.fd = context_->fd, .events = POLLIN, .revents = 0};
    if (next_piece_ < pieces_.size()) watched.events = POLLIN | POLLOUT;
    const auto millis = std::chrono::ceil<std::chrono::milliseconds>(longest).count();
    ::poll(&watched, 1, static_cast<int>(std::clamp<std::int64_t>(millis, 1, 60'000)));
  }

  const redis_options& options_;
  std::unique_ptr<redisContext, freeing> context_;
  redis_replies replies_;
  std::vector<piece> pieces_;
  std::size_t next_piece_ = 0, piece_offset_ = 0;
  std::size_t failures_ = 0;  // in a row
};

}  // namespace lading::detail
