// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lading/exchange/detail/retry.hpp>
#include <lading/exchange/metrics.hpp>
#include <lading/exchange/protocol.hpp>
#include <lading/transport/concept.hpp>

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

/// The client's end of the control channel: each request is sent until its answer has come or its time is up, and done once by the server.
///
/// Threads: any; each call has a slot of its own.
template <class Transport, class Submitter>
class channel {
 public:
  using clock = std::chrono::steady_clock;

  channel(Transport& transport, Submitter& submitter, const channel_options& options)
      : transport_(transport),
        submitter_(submitter),
        options_(options),
        lanes_(options.slots + 1),
        random_(options.seed != 0 ? options.seed : random_number()) {}
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  ~channel() {
    if (usable_.load() != 0 && connected_.load()) {
      const auto until = clock::now() + std::chrono::milliseconds(100);
      if (lane* const free = acquire(until); free != nullptr) {
        static_cast<void>(post(*free, protocol::kind::goodbye, protocol::nothing{}, until));
        while (free->sending && !free->sending.ready() && clock::now() < until) pump();
      }
    }
    if (const peer_id last = peer_.load(); last != peer_id{}) transport_.disconnect(last);
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

  /// Goes to another server, or to the same one again.
  [[nodiscard]] result<void> connect(bytes_view address, clock::time_point until) {
    auto said = protocol::read_address(address);
    if (!said) return fail(said.error());
    {
      const auto held = lock_connection(until);
      if (!held) return busy_connecting();
      address_ = std::move(*said);
      connected_.store(false);
    }
    return ensure_connected(until);
  }

  /// Sends a request until there is an answer, and calls use(answer) while that is in private memory; use returns result<void>.
  ///
  /// Errors: timed_out, peer_lost, what the transport says, and use's own.
  template <class Answer, class Body, class Use>
  [[nodiscard]] result<void> call(protocol::kind what, const Body& body, clock::time_point until, Use&& use) {
    lane* mine = nullptr;
    {
      const stage_timer timer(submitter_.meter(), stage::queue);
      if (auto ready = ensure_connected(until); !ready) return ready;
      mine = acquire(until);
    }
    if (mine == nullptr) return fail(errc::timed_out, {.what = "all request slots were taken all the time"});
    auto answered = ask(*mine, what, body, until);
    if (answered) {
      auto answer = decode_from<Answer>(bytes_view(mine->answer.body()));
      answered = answer ? use(*answer) : result<void>(fail(answer.error()));
    }
    mine->taken.store(false, std::memory_order_release);
    return answered;
  }

  /// Sends a request without caring for the answer, where there is a free slot at once.
  template <class Body>
  void tell(protocol::kind what, const Body& body) {
    const auto now = clock::now();
    lane* const free = connected_.load() ? acquire(now) : nullptr;
    if (free == nullptr) return;
    if (post(*free, what, body, now + options_.attempt_time)) free->told_until = now + options_.attempt_time;
    free->taken.store(false, std::memory_order_release);
  }

  /// A region of the server's by its descriptor, imported once for each connection.
  [[nodiscard]] result<remote_region_id> import(bytes_view descriptor) {
    // Safety: bytes may be viewed as characters.
    std::string key(reinterpret_cast<const char*>(descriptor.data()), descriptor.size());
    if (!connected_.load()) return fail(errc::peer_lost);  // and do not wait for who connects
    const std::lock_guard held(connecting_);
    if (!connected_.load()) return fail(errc::peer_lost);
    if (const auto known = imports_.find(key); known != imports_.end()) return known->second;
    if (imports_.size() >= most_imports) return fail(errc::limit_exceeded, {.available = most_imports, .what = "the server has too many regions"});
    auto id = submitter_.import_region(peer_, descriptor);
    if (id) imports_.emplace(std::move(key), *id);
    return id;
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

  [[nodiscard]] peer_id peer() const noexcept { return peer_.load(); }
  /// Bytes that the body of a request may have.
  [[nodiscard]] std::size_t room() const noexcept { return options_.slot_size - protocol::head_size; }
  /// After this time the server no longer reads what a request offered.
  [[nodiscard]] std::chrono::nanoseconds transfer_time() const noexcept { return std::chrono::nanoseconds(transfer_time_.load()); }

  /// How long one attempt to move so many bytes may take: a lost one must not use up the time for another.
  [[nodiscard]] std::chrono::nanoseconds attempt_time(std::uint64_t bytes, clock::time_point until) const noexcept {
    constexpr std::uint64_t slowest = 20;  // nanoseconds for a byte
    const auto wanted = options_.attempt_time + std::chrono::nanoseconds(std::min(bytes, std::uint64_t{1} << 40) * slowest);
    return std::clamp<std::chrono::nanoseconds>(until - clock::now(), std::chrono::milliseconds(1), wanted);
  }

  /// A transfer with the server ended so: should that mean that the server is lost, the next call connects again.
  void note(errc code, std::uint64_t connection) noexcept {
    if (code != errc::peer_lost && code != errc::peer_stalled && code != errc::closed) return;
    if (!connected_.load()) return;
    const std::lock_guard held(connecting_);
    if (connection == connection_.load()) connected_.store(false);
  }
  /// Which connection there is now.
  [[nodiscard]] std::uint64_t connection() const noexcept { return connection_.load(); }

 private:
  static constexpr std::uint64_t answer_bit = std::uint64_t{1} << 32;
  static constexpr std::size_t hello_lane = 0;
  static constexpr std::size_t most_imports = 65'536;
  static constexpr auto probe_time = std::chrono::milliseconds(20);

  struct lane {
    std::atomic<bool> taken{false};
    std::atomic<std::uint64_t> announced{0};  // low half of a sequence, and answer_bit
    std::uint64_t sequence = 0, connection = 0;
    std::size_t size = 0;
    clock::time_point told_until{};  // until then the answer to what was told is waited for, before the slot is used again
    transfer sending;
    protocol::message answer;
  };

  [[nodiscard]] std::uint64_t draw() noexcept {
    std::uint64_t mixed = random_.fetch_add(0x9e3779b97f4a7c15u, std::memory_order_relaxed);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    return mixed ^ (mixed >> 31);
  }
  [[nodiscard]] std::size_t index_of(const lane& which) const noexcept { return static_cast<std::size_t>(&which - lanes_.data()); }
  [[nodiscard]] bytes_span slot_of(const region& memory, const lane& which) const noexcept {
    return memory.bytes().subspan(index_of(which) * options_.slot_size, options_.slot_size);
  }

  /// A slot of this caller's alone; null where none became free in time. At least one look is taken.
  [[nodiscard]] lane* acquire(clock::time_point until) {
    for (unsigned idle = 0;;) {
      const std::size_t usable = usable_.load(std::memory_order_acquire);
      for (std::size_t i = hello_lane + 1; i <= usable; ++i) {
        if (lanes_[i].taken.exchange(true, std::memory_order_acquire)) continue;
        if (is_free(lanes_[i])) return &lanes_[i];
        lanes_[i].taken.store(false, std::memory_order_release);
      }
      if (clock::now() >= until) return nullptr;
      step(idle);
    }
  }

  /// Whether the transport is done with the slot's bytes, and the server with what nobody waits for.
  [[nodiscard]] static bool is_free(const lane& mine) noexcept {
    if (mine.sending && !mine.sending.ready()) return false;
    return mine.told_until == clock::time_point{} || mine.announced.load(std::memory_order_acquire) == announcement_of(mine) ||
           clock::now() >= mine.told_until;
  }
  [[nodiscard]] static std::uint64_t announcement_of(const lane& mine) noexcept { return (mine.sequence & 0xffffffffu) | answer_bit; }

  /// Writes a request into its slot and sends it once.
  template <class Body>
  [[nodiscard]] result<void> post(lane& mine, protocol::kind what, const Body& body, clock::time_point until) {
    mine.sequence = sequence_.fetch_add(1) + 1;
    mine.announced.store(0);
    mine.told_until = {};
    const auto size = protocol::write_message(slot_of(outgoing_, mine), what, client_, mine.sequence, body);
    if (!size) return fail(size.error());
    mine.size = *size;
    return send(mine, until);
  }
  [[nodiscard]] result<void> send(lane& mine, clock::time_point until) {
    const std::size_t offset = index_of(mine) * options_.slot_size;
    const auto time = attempt_time(0, until);
    if (!connected_.load()) return fail(errc::peer_lost);
    const std::lock_guard held(connecting_);
    mine.connection = connection_.load();
    if (!connected_.load()) return fail(errc::peer_lost);
    const slice where{outgoing_.id(), requests_, offset, offset, mine.size};
    auto sending = transport_.submit(peer_, op::put, std::span(&where, 1),
                                     {.deadline = time, .notify_tag = protocol::announcement::tag(index_of(mine), mine.sequence), .notify = true});
    if (!sending) return fail(sending.error());
    mine.sending = std::move(*sending);
    return {};
  }

  template <class Body>
  [[nodiscard]] result<void> ask(lane& mine, protocol::kind what, const Body& body, clock::time_point until) {
    backoff pauses = new_backoff();
    unsigned doubts = 0;
    result<void> sent = post(mine, what, body, until);
    for (;;) {
      if (sent) sent = await(mine, what, until);
      if (sent || (is_doubtful(sent.error().code()) && ++doubts >= most_doubts)) return sent;
      // A server that has forgotten this client has no slots for it.
      note(sent.error() == errc::not_registered ? errc::peer_lost : sent.error().code(), mine.connection);
      settle(mine, until);
      if (!is_transient(sent.error().code()) || clock::now() >= until) return sent;
      if (!pause(pauses, until)) return sent;
      if (auto ready = ensure_connected(until); !ready) return ready;
      sent = mine.sending && !mine.sending.ready() ? result<void>(fail(errc::timed_out)) : send(mine, until);
    }
  }

  /// Waits for the answer to what was sent, but not for ever.
  [[nodiscard]] result<void> await(lane& mine, protocol::kind what, clock::time_point until) {
    const auto limit = std::min(until, clock::now() + options_.attempt_time);
    auto probe = clock::now() + probe_time;
    for (unsigned idle = 0;; step(idle)) {
      if (mine.announced.load(std::memory_order_acquire) == announcement_of(mine)) {
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
      if (auto probed = transport_.submit(peer_, op::put, std::span<const slice>{}); !probed && probed.error() != errc::would_block) {
        return fail(probed.error());
      }
    }
  }

  /// Waits until the transport is done with the slot, which may be used again then.
  void settle(lane& mine, clock::time_point until) {
    for (unsigned idle = 0; mine.sending && !mine.sending.ready() && clock::now() < until;) step(idle);
  }

  /// Locks connecting_; not where the time is up before. (ThreadSanitizer does not know how timed mutexes wait.)
  [[nodiscard]] std::unique_lock<std::mutex> lock_connection(clock::time_point until) {
    std::unique_lock held(connecting_, std::try_to_lock);
    for (unsigned idle = 0; !held && clock::now() < until; static_cast<void>(held.try_lock())) step(idle);
    return held;
  }
  [[nodiscard]] static result<void> busy_connecting() {
    return fail(errc::timed_out, {.what = "another call was connecting to the server until the deadline"});
  }
  [[nodiscard]] result<void> ensure_connected(clock::time_point until) {
    if (connected_.load(std::memory_order_acquire)) return {};
    backoff pauses = new_backoff();
    for (std::size_t tried = 0;; ++tried) {
      result<void> done;
      {
        const auto held = lock_connection(until);
        if (!held) return busy_connecting();
        if (connected_.load()) return {};
        done = greet(until);
        if (done) {
          connected_.store(true, std::memory_order_release);
          return {};
        }
      }
      if (!is_transient(done.error().code()) || tried >= options_.reconnects || !pause(pauses, until)) {
        return done.error() == errc::closed ? result<void>(fail(errc::peer_lost, {.what = "the server cannot be reached"})) : done;
      }
    }
  }

  /// Connects, says hello, and learns where the requests go. Under connecting_.
  [[nodiscard]] result<void> greet(clock::time_point until) {
    for (const auto& each : imports_) static_cast<void>(submitter_.release_region(each.second));
    imports_.clear();
    if (const peer_id before = peer_.exchange({}); before != peer_id{}) transport_.disconnect(before);
    const auto limit = std::min(until, clock::now() + options_.connect_time);
    const auto peer = transport_.connect(address_.endpoint, std::max<std::chrono::nanoseconds>(limit - clock::now(), std::chrono::milliseconds(1)));
    if (!peer) return fail(peer.error());
    peer_ = *peer;
    const auto lobby = transport_.import_region(*peer, address_.lobby);
    if (!lobby) return fail(lobby.error());
    auto endpoint = transport_.address();
    if (!endpoint) return fail(endpoint.error());
    auto answers = transport_.export_region(answers_);
    if (!answers) return fail(answers.error());
    const protocol::hello said{std::move(*endpoint), std::move(*answers), static_cast<std::uint32_t>(options_.slots),
                               static_cast<std::uint32_t>(options_.slot_size)};
    lane& mine = lanes_[hello_lane];
    settle(mine, limit);
    if (mine.sending && !mine.sending.ready()) return fail(errc::busy);
    while (clock::now() < limit) {
      mine.sequence = sequence_.fetch_add(1) + 1;
      mine.announced.store(0);
      const auto size = protocol::write_message(slot_of(outgoing_, mine), protocol::kind::hello, client_, mine.sequence, said);
      if (!size) return fail(size.error());
      if (*size > protocol::lobby_slot)
        return fail(errc::limit_exceeded, {.needed = *size, .available = protocol::lobby_slot, .what = "the address is too long"});
      // Others may say hello in the same place at the same time; then neither is whole, and each draws another.
      const std::size_t place = draw() % protocol::lobby_slots;
      const slice where{outgoing_.id(), *lobby, index_of(mine) * options_.slot_size, place * protocol::lobby_slot, *size};
      auto sending = transport_.submit(
          *peer, op::put, std::span(&where, 1),
          {.deadline = options_.connect_time, .notify_tag = protocol::announcement::tag(place, mine.sequence, true), .notify = true});
      if (!sending && sending.error() != errc::would_block) return fail(sending.error());
      if (sending) {
        mine.sending = std::move(*sending);
        const auto heard = await(mine, protocol::kind::hello, std::min(limit, clock::now() + options_.connect_time / 4));
        if (heard) return enter(mine);
        settle(mine, limit);
        if (!is_transient(heard.error().code()) || heard.error() == errc::peer_lost || heard.error() == errc::peer_stalled) return heard;
      }
    }
    return fail(errc::timed_out, {.what = "the server does not answer a hello: has it room for another client?"});
  }

  [[nodiscard]] result<void> enter(lane& mine) {
    const auto welcome = decode_from<protocol::welcome>(bytes_view(mine.answer.body()));
    if (!welcome) return fail(welcome.error());
    if (welcome->slots == 0 || welcome->slots > options_.slots)
      return fail(errc::bad_header, {.what = "the server allows an impossible number of slots"});
    const auto requests = transport_.import_region(peer_, welcome->requests);
    if (!requests) return fail(requests.error());
    requests_ = *requests;
    connection_.fetch_add(1);
    usable_.store(welcome->slots, std::memory_order_release);
    transfer_time_.store(static_cast<std::int64_t>(std::min<std::uint64_t>(welcome->transfer_time, std::uint64_t{60'000'000'000})));
    return {};
  }

  Transport& transport_;
  Submitter& submitter_;
  channel_options options_;
  std::vector<lane> lanes_;  // the last one is for the hello
  std::atomic<std::uint64_t> random_, sequence_{0}, connection_{0};
  std::uint64_t client_ = 0;
  region outgoing_, answers_;
  std::atomic<peer_id> peer_{};
  std::atomic<std::size_t> usable_{0};
  std::atomic<bool> connected_{false};
  std::atomic<std::int64_t> transfer_time_{0};
  std::mutex notifications_;

  std::mutex connecting_;  // what follows
  protocol::store_address address_;
  remote_region_id requests_{};
  std::unordered_map<std::string, remote_region_id> imports_;
};

}  // namespace detail
}  // namespace lading
