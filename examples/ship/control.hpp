// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>

#include <support/problem.hpp>

#include "messages.hpp"
#include "socket.hpp"

namespace ship {

/// A problem that the other side has told of.
class told_by_peer : public support::problem {
 public:
  using problem::problem;
};

/// The connection over which the two programs talk. It never waits, keeps a bounded amount of memory, and knows whether the other side still lives.
///
/// Every function throws a problem where the other side has ended, is silent for longer than the timeout, or says what it must not.
class control {
 public:
  /// `peer` names the other side in what is said of it: "the receiver".
  control(descriptor connected, std::string peer, std::chrono::milliseconds timeout);

  /// From now on the other side hears from this one several times a second, as long as tend() is called.
  void keep_alive() noexcept { beating_ = true; }

  template <class Message>
  void say(const Message& message) {
    const auto frames = support::expect(lading::encode(message), "encoding a message");
    std::vector<std::byte> packed(support::expect(lading::calc_packed_size(frames), "measuring a message"));
    (void)support::expect(lading::pack_into(lading::bytes_span(packed), frames, {.schema = lading::schema_of<Message>()}), "packing a message");
    queue(Message::kind, packed);
  }

  /// Reads what has come, sends what can be sent, and notices silence.
  void tend();

  /// What has come of one kind; nothing where nothing has. Anything else that has come is a problem, and a refusal is the one that it tells of.
  template <class Message>
  [[nodiscard]] std::optional<Message> next() {
    const std::optional<frame> found = next_frame();
    if (!found) return std::nullopt;
    if (found->kind != Message::kind) throw nonsense("a message that does not belong here");
    return parse<Message>(*found);
  }
  /// The same, where either of two kinds may come.
  template <class First, class Second>
  [[nodiscard]] bool next(std::optional<First>& first, std::optional<Second>& second) {
    const std::optional<frame> found = next_frame();
    if (!found) return false;
    if (found->kind == First::kind) {
      first = parse<First>(*found);
    } else if (found->kind == Second::kind) {
      second = parse<Second>(*found);
    } else {
      throw nonsense("a message that does not belong here");
    }
    return true;
  }

  /// Waits for one message, up to the timeout.
  template <class Message>
  [[nodiscard]] Message wait() {
    for (;;) {
      tend();
      if (auto found = next<Message>()) return std::move(*found);
      rest();
    }
  }

  /// Tells the other side why this one ends, as well as that can be done. Never throws.
  void refuse(const std::string& why) noexcept;

  /// Something has gone wrong elsewhere: throws what the other side says about it, if it says anything in a moment.
  void listen_for_reason();

  /// Sleeps until something comes here or at the descriptor `also`, for a short while.
  void rest(int also = -1, std::chrono::microseconds longest = std::chrono::milliseconds(20)) const;
  /// Does that after `rounds` of a loop in which nothing happened: the more there were, the more it leaves the processor to others. It never sleeps
  /// for long, because a transport's descriptor does not tell of everything that its progress waits for.
  void idle(unsigned rounds, int also) const;

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  /// Whether the other side has closed the connection; what it said before may still have to be taken.
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] const std::string& peer() const noexcept { return peer_; }

 private:
  struct frame {
    message_kind kind;
    std::vector<std::byte> body;
  };
  using clock = std::chrono::steady_clock;

  template <class Message>
  Message parse(const frame& from) const {
    const auto items = lading::unpack_from(from.body, {.expected_schema = lading::schema_of<Message>()});
    auto made = items ? lading::decode<Message>(*items) : lading::result<Message>(lading::fail(items.error()));
    if (!made) throw nonsense(made.error().message());
    return std::move(*made);
  }
  [[nodiscard]] std::optional<frame> next_frame();
  [[nodiscard]] support::problem nonsense(const std::string& what) const;
  void queue(message_kind kind, lading::bytes_view body);
  void flush();
  void receive();

  descriptor socket_;
  std::string peer_;
  std::chrono::milliseconds timeout_;
  clock::time_point heard_, beaten_;
  std::vector<std::byte> in_, out_;
  bool beating_ = false;
  bool ended_ = false;
};

/// Whether somebody has asked the program to end, by a signal. control::tend throws then.
[[nodiscard]] bool interrupted() noexcept;
/// From now on SIGINT and SIGTERM ask for that.
void catch_interrupts() noexcept;

}  // namespace ship
