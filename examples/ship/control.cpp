// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "control.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include <poll.h>
#include <sys/socket.h>

#include <support/units.hpp>

namespace ship {

using support::problem;

namespace {

constexpr auto beat_interval = std::chrono::milliseconds(200);
constexpr std::size_t pending_limit = 2 * message_limit;

volatile std::sig_atomic_t asked_to_end = 0;

/// The number at the front of `bytes`.
template <class Number>
Number number_at(lading::bytes_view bytes, std::size_t offset) {
  return lading::decode_from<Number>(bytes.subspan(offset, sizeof(Number))).value();
}

std::string in_seconds(std::chrono::milliseconds time) { return support::format("%g s", static_cast<double>(time.count()) / 1000); }

}  // namespace

bool interrupted() noexcept { return asked_to_end != 0; }
void catch_interrupts() noexcept {
  struct sigaction action {};
  action.sa_handler = [](int) { asked_to_end = 1; };
  for (const int number : {SIGINT, SIGTERM}) static_cast<void>(::sigaction(number, &action, nullptr));
}

control::control(descriptor connected, std::string peer, std::chrono::milliseconds timeout)
    : socket_(std::move(connected)), peer_(std::move(peer)), timeout_(timeout), heard_(clock::now()), beaten_(heard_) {}

problem control::nonsense(const std::string& what) const {
  return problem(peer_ + " does not speak as ship does: " + what + ": is another program using this port?");
}

void control::queue(message_kind kind, lading::bytes_view body) {
  if (out_.size() + body.size() > pending_limit) throw problem(peer_ + " does not read what it is told");
  const prefix first{message_magic, message_version, static_cast<std::uint16_t>(kind), body.size()};
  const std::size_t at = out_.size();
  out_.resize(at + prefix_size);
  (void)support::expect(lading::encode_into(first, lading::bytes_span(out_).subspan(at)), "encoding a message");
  out_.insert(out_.end(), body.begin(), body.end());
  flush();
}

void control::flush() {
  std::size_t sent = 0;
  while (sent < out_.size() && !ended_) {
    const ssize_t wrote = ::send(socket_.get(), out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (wrote > 0) {
      sent += static_cast<std::size_t>(wrote);
    } else if (errno != EINTR) {
      break;  // full, or the other side is gone: then receiving tells
    }
  }
  out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(sent));
}

void control::receive() {
  while (!ended_ && in_.size() < pending_limit) {
    const std::size_t at = in_.size();
    constexpr std::size_t step = 16384;
    in_.resize(at + step);
    const ssize_t got = ::recv(socket_.get(), in_.data() + at, step, MSG_DONTWAIT);
    const int code = errno;
    in_.resize(at + static_cast<std::size_t>(got > 0 ? got : 0));
    if (got > 0) {
      heard_ = clock::now();
    } else if (got == 0 || (code != EAGAIN && code != EWOULDBLOCK && code != EINTR)) {
      ended_ = true;
    } else if (code != EINTR) {
      return;
    }
  }
}

void control::tend() {
  if (interrupted()) throw problem("interrupted");
  receive();
  const auto now = clock::now();
  if (beating_ && out_.empty() && now - beaten_ >= beat_interval) {
    beaten_ = now;
    say(beat{});
  }
  flush();
  // Silence is judged after reading: whoever was stopped itself finds here what came meanwhile.
  if (!ended_ && now - heard_ > timeout_)
    throw problem(peer_ + " has been silent for " + in_seconds(timeout_) + ": is it stopped, or its host gone? (--timeout sets the limit)");
}

std::optional<control::frame> control::next_frame() {
  for (;;) {
    const lading::bytes_view all(in_);
    // Each field as soon as it is there, so that another program's first words are not waited for.
    if (all.size() >= 4 && number_at<std::uint32_t>(all, 0) != message_magic) throw nonsense("its first bytes are others");
    if (all.size() >= 6) {
      if (const auto version = number_at<std::uint16_t>(all, 4); version != message_version) {
        throw problem(peer_ + " speaks version " + std::to_string(version) + " of ship's messages, this program version " +
                      std::to_string(message_version) + ": use the same release on both sides");
      }
    }
    const std::uint64_t size = all.size() >= prefix_size ? number_at<std::uint64_t>(all, 8) : 0;
    if (size > message_limit) throw nonsense("a message of " + std::to_string(size) + " bytes");
    if (all.size() < prefix_size || all.size() - prefix_size < size) {
      if (ended_) throw problem(peer_ + " has ended the connection: was it killed?");
      return std::nullopt;
    }
    const lading::bytes_view body = all.subspan(prefix_size, size);
    frame found{static_cast<message_kind>(number_at<std::uint16_t>(all, 6)), {body.begin(), body.end()}};
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(prefix_size + size));
    if (found.kind == message_kind::refusal) throw told_by_peer(peer_ + " says: " + support::one_line(parse<refusal>(found).why));
    if (found.kind != message_kind::beat) return found;
    static_cast<void>(parse<beat>(found));
  }
}

void control::refuse(const std::string& why) noexcept {
  try {
    say(refusal{why});
    for (const auto until = clock::now() + std::chrono::milliseconds(200); !out_.empty() && !ended_ && clock::now() < until;) {
      flush();
      rest();
    }
    ::shutdown(socket_.get(), SHUT_WR);  // so that what was said is read before the end
  } catch (...) {                        // the connection is no more
  }
}

void control::listen_for_reason() {
  for (const auto until = clock::now() + std::chrono::milliseconds(500); clock::now() < until; rest()) {
    receive();
    while (next_frame()) {}
  }
}

void control::rest(int also, std::chrono::microseconds longest) const {
  ::pollfd watched[2] = {{.fd = socket_.get(), .events = POLLIN, .revents = 0}, {.fd = also, .events = POLLIN, .revents = 0}};
  if (ended_) watched[0].fd = -1;  // it would be readable for ever
  if (!out_.empty()) watched[0].events |= POLLOUT;
  const ::timespec limit{.tv_sec = longest.count() / 1'000'000, .tv_nsec = longest.count() % 1'000'000 * 1000};
  ::ppoll(watched, 2, &limit, nullptr);
}

void control::idle(unsigned rounds, int also) const {
  if (rounds > 20'000) return rest(also, std::chrono::milliseconds(1));
  if (rounds > 2'000) return rest(also, std::chrono::microseconds(50));
  if (rounds > 20) std::this_thread::yield();
}

}  // namespace ship
