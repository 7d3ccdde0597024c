// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <lading/exchange/detail/retry.hpp>
#include <lading/exchange/protocol.hpp>
#include <lading/transport/concept.hpp>
#include <lading/transport/time_source.hpp>

namespace lading {

/// How a client talks to its store.
struct channel_options {
  std::size_t slots = 8;                                                    ///< requests under way at a time; the server may allow fewer
  std::size_t slot_size = 64 << 10;                                         ///< bytes of one request or answer; a multiple of 64
  std::chrono::nanoseconds attempt_time = std::chrono::seconds(1);          ///< after which an unanswered request is sent again
  std::chrono::nanoseconds connect_time = std::chrono::seconds(2);          ///< for reaching the server once
  std::size_t reconnects = 3;                                               ///< in a row that may fail before the server is given up as lost
  std::chrono::nanoseconds first_pause = std::chrono::milliseconds(1);      ///< before trying again; doubled each time, with jitter
  std::chrono::nanoseconds longest_pause = std::chrono::milliseconds(100);  ///< at most
  std::uint64_t seed = 0;                                                   ///< of the jitter; 0 = random
  void (*idle)(void* context) = nullptr;  ///< called while a call waits: for programs that drive the server in the same thread
  void* idle_context = nullptr;
};

namespace detail {

/// The slots of a client's control channel: what is sent lies in one of this side's, and its answer comes into the one of the same number.
///
/// Threads: any; each slot has one user at a time.
template <class Transport>
class lanes {
 public:
  using clock = std::chrono::steady_clock;
  struct lane {
    std::atomic<bool> taken{false};
    std::atomic<std::uint64_t> announced{0};  // low half of a sequence, and answer_bit
    std::uint64_t sequence = 0, connection = 0;
    std::size_t size = 0;
    clock::time_point told_until{};       // until then the answer to what was told is waited for, before the slot is used again
    std::vector<std::uint64_t> released;  // leases that it told of; until that is answered they may have to be told of again
    transfer sending;
    protocol::message answer;
  };

  lanes(Transport& transport, const channel_options& options)
      : transport_(transport), options_(options), lanes_(options.slots + 1), random_(options.seed != 0 ? options.seed : random_number()) {}
  lanes(const lanes&) = delete;
  lanes& operator=(const lanes&) = delete;
  ~lanes() {
    for (lane& each : lanes_) {
      if (each.sending) static_cast<void>(each.sending.wait_for(std::chrono::seconds(1)));
    }
  }

  [[nodiscard]] result<void> open() {
    client_ = random_number();
    auto outgoing = transport_.allocate_region(lanes_.size() * options_.slot_size);
    auto answers = transport_.allocate_region(lanes_.size() * options_.slot_size);
    if (!outgoing) return fail(outgoing.error());
    if (!answers) return fail(answers.error());
    outgoing_ = std::move(*outgoing);
    answers_ = std::move(*answers);
    return {};
  }

  /// What the server is told of where answers go.
  [[nodiscard]] const region& answers() const noexcept { return answers_; }
  /// The slot for the hello, which only the thread that connects uses.
  [[nodiscard]] lane& hello() noexcept { return lanes_[hello_lane]; }
  /// The server serves so many, besides that one.
  void allow(std::size_t count) noexcept { usable_.store(count, std::memory_order_release); }
  [[nodiscard]] bool any_allowed() const noexcept { return usable_.load() != 0; }
  [[nodiscard]] bool is_allowed(const lane& which) const noexcept { return index_of(which) <= usable_.load(std::memory_order_acquire); }

  struct release {
    void operator()(lane* mine) const noexcept { mine->taken.store(false, std::memory_order_release); }
  };
  /// A slot of one caller's alone.
  using held_lane = std::unique_ptr<lane, release>;

  /// A slot; null where none became free in time. At least one look is taken.
  [[nodiscard]] held_lane acquire(clock::time_point until) {
    for (unsigned idle = 0;;) {
      const std::size_t usable = usable_.load(std::memory_order_acquire);
      for (std::size_t i = hello_lane + 1; i <= usable; ++i) {
        if (lanes_[i].taken.exchange(true, std::memory_order_acquire)) continue;
        if (is_free(lanes_[i])) return held_lane(&lanes_[i]);
        lanes_[i].taken.store(false, std::memory_order_release);
      }
      if (clock::now() >= until) return nullptr;
      step(idle);
    }
  }

  /// Writes a message into the slot, to be sent once or more often.
  template <class Body>
  [[nodiscard]] result<void> write(lane& mine, protocol::kind what, const Body& body) {
    mine.sequence = sequence_.fetch_add(1) + 1;
    mine.announced.store(0);
    mine.told_until = {};
    const auto size = protocol::write_message(slot_of(outgoing_, mine), what, client_, mine.sequence, body);
    if (!size) return fail(size.error());
    mine.size = *size;
    return {};
  }
  /// Sends what was written into the slot of the same number among those of `target`.
  [[nodiscard]] result<void> send(lane& mine, peer_id peer, remote_region_id target, std::chrono::nanoseconds deadline) {
    return put(mine, peer, target, index_of(mine) * options_.slot_size, protocol::announcement::tag(index_of(mine), mine.sequence), deadline);
  }
  /// Sends it into the lobby. Others may say hello in the same place at the same time; then neither is whole, and each draws another.
  [[nodiscard]] result<void> send_hello(lane& mine, peer_id peer, remote_region_id lobby, std::chrono::nanoseconds deadline) {
    const std::size_t place = draw() % protocol::lobby_slots;
    return put(mine, peer, lobby, place * protocol::lobby_slot, protocol::announcement::tag(place, mine.sequence, true), deadline);
  }
  [[nodiscard]] static bool is_sending(const lane& mine) noexcept { return mine.sending && !mine.sending.ready(); }
  [[nodiscard]] static bool is_answered(const lane& mine) noexcept { return mine.announced.load(std::memory_order_acquire) == announcement_of(mine); }

  /// Waits for the answer to what was sent, but not for ever.
  [[nodiscard]] result<void> await(lane& mine, protocol::kind what, peer_id peer, clock::time_point until) {
    const auto limit = std::min(until, later(clock::now(), options_.attempt_time));
    auto probe = clock::now() + probe_time;
    for (unsigned idle = 0;; step(idle)) {
      if (is_answered(mine)) {
        auto read = protocol::read_message(slot_of(answers_, mine), mine.answer);
        const protocol::head& head = mine.answer.head;
        if (read && head.sender == client_ && head.sequence == mine.sequence && head.kind == what) return {};
        mine.announced.store(0);
        return fail(errc::checksum_mismatch, {.what = "the answer did not arrive whole"});
      }
      if (mine.sending.ready() && !mine.sending.how().ok()) return mine.sending.how().status;
      const auto now = clock::now();
      if (now >= limit) return fail(errc::timed_out, {.what = "the server has not answered"});
      if (now < probe) continue;
      // Only a submit tells that the peer is gone.
      probe = now + probe_time;
      if (auto probed = transport_.submit(peer, op::put, std::span<const slice>{}); !probed && probed.error() != errc::would_block) {
        return fail(probed.error());
      }
    }
  }

  /// Waits until the transport is done with the slot, which may be used again then.
  void settle(lane& mine, clock::time_point until) {
    for (unsigned idle = 0; is_sending(mine) && clock::now() < until;) step(idle);
  }

  /// Takes what has arrived; returns whether anything had.
  bool pump() {
    bool happened = transport_.progress() != 0;
    const std::unique_lock held(notifications_, std::try_to_lock);
    if (!held) return happened;
    notification arrived;
    while (transport_.next_notification(arrived)) {
      happened = true;
      const std::size_t slot = protocol::announcement::slot_of(arrived.tag);
      if (slot < lanes_.size())
        lanes_[slot].announced.store(protocol::announcement::sequence_of(arrived.tag) | answer_bit, std::memory_order_release);
    }
    return happened;
  }

  /// One step of waiting: the longer nothing happens, the more it leaves the processor to others.
  void step(unsigned& idle) {
    if (options_.idle != nullptr) options_.idle(options_.idle_context);
    if (pump()) {
      idle = 0;
    } else if (options_.idle != nullptr) {
      std::this_thread::yield();
    } else if (++idle > 2000) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    } else if (idle > 50) {
      std::this_thread::yield();
    }
  }

  /// Waits before the next try; false where the time would be up.
  [[nodiscard]] bool pause(backoff& pauses, clock::time_point until) {
    const auto wake = clock::now() + pauses.draw(draw());
    if (wake >= until) return false;
    for (unsigned idle = 0; clock::now() < wake;) step(idle);
    return true;
  }
  [[nodiscard]] backoff new_backoff() const noexcept { return {options_.first_pause, options_.longest_pause}; }

  /// Bytes that the body of a request may have.
  [[nodiscard]] std::size_t room() const noexcept { return options_.slot_size - protocol::head_size; }
  /// How long one attempt to move so many bytes may take: a lost one must not use up the time for another.
  [[nodiscard]] std::chrono::nanoseconds attempt_time(std::uint64_t bytes, clock::time_point until) const noexcept {
    const auto wanted = later(options_.attempt_time, time_for(bytes));
    return std::clamp<std::chrono::nanoseconds>(until - clock::now(), std::min<std::chrono::nanoseconds>(std::chrono::milliseconds(1), wanted),
                                                wanted);
  }

 private:
  static constexpr std::uint64_t answer_bit = std::uint64_t{1} << 32;
  static constexpr std::size_t hello_lane = 0;
  static constexpr auto probe_time = std::chrono::milliseconds(20);

  [[nodiscard]] std::uint64_t draw() noexcept {
    std::uint64_t mixed = random_.fetch_add(0x9e3779b97f4a7c15u, std::memory_order_relaxed);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    return mixed ^ (mixed >> 31);
  }
  [[nodiscard]] std::size_t index_of(const lane& which) const noexcept { return static_cast<std::size_t>(&which - lanes_.data()); }
  [[nodiscard]] bytes_span slot_of(const region& memory, const lane& which) const noexcept {
    return memory.bytes().subspan(index_of(which) * options_.slot_size, options_.slot_size);
  }
  /// Whether the transport is done with the slot's bytes, and the server with what nobody waits for.
  [[nodiscard]] static bool is_free(const lane& mine) noexcept {
    if (mine.sending && !mine.sending.released()) return false;
    return mine.told_until == clock::time_point{} || is_answered(mine) || clock::now() >= mine.told_until;
  }
  [[nodiscard]] static std::uint64_t announcement_of(const lane& mine) noexcept { return (mine.sequence & 0xffffffffu) | answer_bit; }
  [[nodiscard]] result<void> put(lane& mine, peer_id peer, remote_region_id target, std::uint64_t offset, std::uint64_t tag,
                                 std::chrono::nanoseconds deadline) {
    const slice where{outgoing_.id(), target, index_of(mine) * options_.slot_size, offset, mine.size};
    auto sending = transport_.submit(peer, op::put, std::span(&where, 1), {.deadline = deadline, .notify_tag = tag, .notify = true});
    if (!sending) return fail(sending.error());
    mine.sending = std::move(*sending);
    return {};
  }

  Transport& transport_;
  channel_options options_;
  std::vector<lane> lanes_;
  std::atomic<std::uint64_t> random_, sequence_{0};
  std::uint64_t client_ = 0;
  region outgoing_, answers_;
  std::atomic<std::size_t> usable_{0};
  std::mutex notifications_;
};

}  // namespace detail
}  // namespace lading
