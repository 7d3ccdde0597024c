// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/exchange/detail/lanes.hpp>
#include <lading/exchange/detail/retry.hpp>
#include <lading/exchange/metrics.hpp>
#include <lading/exchange/protocol.hpp>
#include <lading/transport/concept.hpp>

namespace lading::detail {

/// The client's end of the control channel: each request is sent until its answer has come or its time is up, and done once by the server.
///
/// Threads: any; each call has a slot of its own.
template <class Transport, class Submitter>
class channel {
 public:
  using clock = std::chrono::steady_clock;

  channel(Transport& transport, Submitter& submitter, const channel_options& options)
      : transport_(transport), submitter_(submitter), options_(options), lanes_(transport, options) {}
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  ~channel() {
#if LADING_HAS_EXCEPTIONS
    try {
      say_goodbye();
    } catch (...) {  // it is only a courtesy; the server forgets who is silent
    }
#else
    say_goodbye();
#endif
    if (const peer_id last = peer_.load(); last != peer_id{}) transport_.disconnect(last);
  }

  [[nodiscard]] result<void> open() { return lanes_.open(); }

  /// Goes to another server, or to the same one again.
  [[nodiscard]] result<void> connect(bytes_view address, clock::time_point until) {
    auto said = protocol::read_address(address);
    if (!said) return fail(said.error());
    if (options_.slot_size > said->max_slot) {
      return fail(errc::invalid_argument, {.needed = options_.slot_size,
                                           .available = said->max_slot,
                                           .what = "channel_options::slot_size is above store_server_options::max_slot of this server"});
    }
    {
      const auto held = lock_connection(until);
      if (!held) return busy_connecting();
      longest_key_.store(std::min<std::size_t>(said->max_key, protocol::longest_key));
      address_ = std::move(*said);
      connected_.store(false);
    }
    return ensure_connected(until);
  }

  /// Sends a request until there is an answer, and calls use(answer) while that is in private memory; use returns result<void>.
  ///
  /// Errors: timed_out, peer_lost, what the transport says, use's own, and no_memory, after part of use, too.
  template <class Answer, class Body, class Use>
  [[nodiscard]] result<void> call(protocol::kind what, const Body& body, clock::time_point until, Use&& use) {
    if (clock::now() >= until) return fail(errc::timed_out, {.what = "the deadline passed before the server was asked"});
    LADING_TRY {
      typename lanes<Transport>::held_lane mine;
      {
        const stage_timer timer(submitter_.meter(), stage::queue);
        if (auto ready = ensure_connected(until); !ready) return ready;
        mine = acquire(until);
      }
      if (mine == nullptr) return all_taken();
      auto answered = ask(mine, what, body, until);
      if (answered) {
        const auto answer = decode_from<Answer>(bytes_view(mine->answer.body()));
        answered = answer ? use(*answer) : result<void>(fail(answer.error()));
      }
      tell_of_releases(std::move(mine), until);
      return answered;
    }
    LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory, {.what = "there is no memory for the request or its answer"}))
  }

  /// A lease is no longer needed. The server is told at once where a slot is free, else by the next call that ends, and again until it has answered.
  void release(std::uint64_t lease) {
    {
      const std::lock_guard held(releasing_);
      if (released_.size() < most_released) released_.push_back(lease);
    }
    const auto until = later(clock::now(), std::min<std::chrono::nanoseconds>(options_.attempt_time, release_time));
    for (unsigned idle = 0; connected_.load() && any_released(); lanes_.step(idle)) {
      const auto now = clock::now();
      if (held_lane free = acquire(now); free != nullptr) return tell_of_releases(std::move(free), until);
      if (now >= until) return;
    }
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

  void step(unsigned& idle) { lanes_.step(idle); }
  [[nodiscard]] bool pause(backoff& pauses, clock::time_point until) { return lanes_.pause(pauses, until); }
  [[nodiscard]] backoff new_backoff() const noexcept { return lanes_.new_backoff(); }
  [[nodiscard]] std::size_t room() const noexcept { return lanes_.room(); }
  /// Bytes that a key may have at this server.
  [[nodiscard]] std::size_t longest_key() const noexcept { return longest_key_.load(); }
  [[nodiscard]] std::chrono::nanoseconds attempt_time(std::uint64_t bytes, clock::time_point until) const noexcept {
    return lanes_.attempt_time(bytes, until);
  }

  [[nodiscard]] peer_id peer() const noexcept { return peer_.load(); }
  /// After this time the server no longer reads what a request offered, which is so many bytes.
  [[nodiscard]] std::chrono::nanoseconds transfer_time(std::uint64_t bytes) const noexcept {
    return std::chrono::nanoseconds(transfer_time_.load()) + time_for(bytes);
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
  using lane = typename lanes<Transport>::lane;
  using held_lane = typename lanes<Transport>::held_lane;
  static constexpr std::size_t most_imports = 65'536;
  static constexpr std::size_t most_released = 65'536;  // beyond that they end by themselves
  static constexpr auto release_time = std::chrono::milliseconds(10);

  [[nodiscard]] static result<void> all_taken() { return fail(errc::timed_out, {.what = "all request slots were taken all the time"}); }

  /// A slot; null where none became free in time.
  [[nodiscard]] held_lane acquire(clock::time_point until) {
    held_lane mine = lanes_.acquire(until);
    if (mine != nullptr && !mine->released.empty()) {
      if (!lanes_.is_answered(*mine)) put_back(mine->released);
      mine->released.clear();
    }
    return mine;
  }

  [[nodiscard]] bool any_released() {
    const std::lock_guard held(releasing_);
    return !released_.empty();
  }
  void put_back(std::span<const std::uint64_t> leases) {
    const std::lock_guard held(releasing_);
    if (released_.size() < most_released) released_.insert(released_.end(), leases.begin(), leases.end());
  }
  /// Tells the server of the leases that are no longer needed, by a slot that is not needed any more.
  void tell_of_releases(held_lane mine, clock::time_point until) {
    LADING_TRY {
      while (mine != nullptr && any_released()) {
        lanes_.settle(*mine, until);
        if (lanes_.is_sending(*mine) || !tell_by(*mine, until)) break;
        mine.reset();
        mine = acquire(clock::now());  // for those that others have added since, and could not tell of
      }
    }
    LADING_CATCH_BAD_ALLOC(static_cast<void>(0))  // they are told of later, or end by themselves
  }
  [[nodiscard]] bool tell_by(lane& mine, clock::time_point until) {
    protocol::release_request request;
    {
      const std::lock_guard held(releasing_);
      const std::size_t count = std::min(released_.size(), (lanes_.room() - 64) / sizeof(std::uint64_t));
      request.leases.assign(released_.end() - static_cast<std::ptrdiff_t>(count), released_.end());
      mine.released = request.leases;
      released_.resize(released_.size() - count);
    }
    const auto patience = later(clock::now(), options_.attempt_time);
    if (post(mine, protocol::kind::release, request, std::max(until, patience))) {
      mine.told_until = patience;
      return true;
    }
    put_back(mine.released);
    mine.released.clear();
    return false;
  }

  void say_goodbye() {
    if (!lanes_.any_allowed() || !connected_.load()) return;
    const auto until = clock::now() + std::chrono::milliseconds(100);
    const held_lane free = lanes_.acquire(until);
    if (free == nullptr) return;
    static_cast<void>(post(*free, protocol::kind::goodbye, protocol::nothing{}, until));
    while (lanes_.is_sending(*free) && clock::now() < until) lanes_.pump();
  }

  /// Writes a request into its slot and sends it once.
  template <class Body>
  [[nodiscard]] result<void> post(lane& mine, protocol::kind what, const Body& body, clock::time_point until) {
    const auto written = lanes_.write(mine, what, body);
    return written ? send(mine, until) : written;
  }
  [[nodiscard]] result<void> send(lane& mine, clock::time_point until) {
    const auto time = attempt_time(0, until);
    if (!connected_.load()) return fail(errc::peer_lost);
    const std::lock_guard held(connecting_);
    mine.connection = connection_.load();
    if (!connected_.load()) return fail(errc::peer_lost);
    if (!lanes_.is_allowed(mine)) return fail(errc::would_block, {.what = "the server that there is now allows fewer slots"});
    return lanes_.send(mine, peer_, requests_, time);
  }

  template <class Body>
  [[nodiscard]] result<void> ask(held_lane& mine, protocol::kind what, const Body& body, clock::time_point until) {
    backoff pauses = new_backoff();
    unsigned doubts = 0;
    result<void> sent = post(*mine, what, body, until);
    for (;;) {
      if (sent) sent = lanes_.await(*mine, what, peer_, until);
      if (sent || (is_doubtful(sent.error().code()) && ++doubts >= most_doubts)) return sent;
      // A server that has forgotten this client has no slots for it.
      note(sent.error() == errc::not_registered ? errc::peer_lost : sent.error().code(), mine->connection);
      lanes_.settle(*mine, until);
      if (!is_transient(sent.error().code()) || clock::now() >= until) return sent;
      if (!pause(pauses, until)) return sent;
      if (auto ready = ensure_connected(until); !ready) return ready;
      if (!lanes_.is_allowed(*mine)) {
        mine.reset();
        mine = acquire(until);
        if (mine == nullptr) return all_taken();
        sent = post(*mine, what, body, until);
      } else {
        sent = lanes_.is_sending(*mine) ? result<void>(fail(errc::timed_out)) : send(*mine, until);
      }
    }
  }

  /// Locks connecting_; not where the time is up before. (ThreadSanitizer does not know how timed mutexes wait.)
  [[nodiscard]] std::unique_lock<std::mutex> lock_connection(clock::time_point until) {
    std::unique_lock held(connecting_, std::try_to_lock);
    for (unsigned idle = 0; !held && clock::now() < until; static_cast<void>(held.try_lock())) lanes_.step(idle);
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
    const auto limit = std::min(until, later(clock::now(), options_.connect_time));
    const auto peer = transport_.connect(address_.endpoint, std::max<std::chrono::nanoseconds>(limit - clock::now(), std::chrono::milliseconds(1)));
    if (!peer) return fail(peer.error());
    peer_ = *peer;
    const auto lobby = transport_.import_region(*peer, address_.lobby);
    if (!lobby) return fail(lobby.error());
    auto endpoint = transport_.address();
    if (!endpoint) return fail(endpoint.error());
    auto answers = transport_.export_region(lanes_.answers());
    if (!answers) return fail(answers.error());
    const protocol::hello said{std::move(*endpoint), std::move(*answers), static_cast<std::uint32_t>(options_.slots),
                               static_cast<std::uint32_t>(options_.slot_size)};
    lane& mine = lanes_.hello();
    lanes_.settle(mine, limit);
    if (lanes_.is_sending(mine)) return fail(errc::busy);
    while (clock::now() < limit) {
      if (auto written = lanes_.write(mine, protocol::kind::hello, said); !written) return written;
      if (mine.size > protocol::lobby_slot)
        return fail(errc::limit_exceeded, {.needed = mine.size, .available = protocol::lobby_slot, .what = "the address is too long"});
      auto heard = lanes_.send_hello(mine, *peer, *lobby, options_.connect_time);
      if (!heard && heard.error() == errc::would_block) {
        lanes_.pump();
        continue;
      }
      if (!heard) return heard;
      heard = lanes_.await(mine, protocol::kind::hello, *peer, std::min(limit, later(clock::now(), options_.connect_time / 4)));
      if (heard) return enter(mine);
      lanes_.settle(mine, limit);
      if (!is_transient(heard.error().code()) || heard.error() == errc::peer_lost || heard.error() == errc::peer_stalled) return heard;
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
    lanes_.allow(welcome->slots);
    transfer_time_.store(static_cast<std::int64_t>(std::min<std::uint64_t>(welcome->transfer_time, std::uint64_t{60'000'000'000})));
    return {};
  }

  Transport& transport_;
  Submitter& submitter_;
  channel_options options_;
  lanes<Transport> lanes_;
  std::atomic<std::uint64_t> connection_{0};
  std::atomic<peer_id> peer_{};
  std::atomic<bool> connected_{false};
  std::atomic<std::int64_t> transfer_time_{0};
  std::atomic<std::size_t> longest_key_{0};

  std::mutex releasing_;                 // what follows
  std::vector<std::uint64_t> released_;  // leases that the server is to be told of

  std::mutex connecting_;  // what follows
  protocol::store_address address_;
  remote_region_id requests_{};
  std::unordered_map<std::string, remote_region_id> imports_;
};

}  // namespace lading::detail
