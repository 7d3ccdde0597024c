// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <lading/exchange/detail/dialer.hpp>
#include <lading/exchange/detail/session.hpp>
#include <lading/exchange/protocol.hpp>
#include <lading/transport/concept.hpp>

namespace lading::detail {

/// Bounds on what a mailroom sets aside for its clients.
struct mailroom_limits {
  std::size_t clients, slots, slot_size, key;
  std::chrono::nanoseconds patience;      // with a client that is silent
  std::chrono::nanoseconds connect_time;  // for reaching one
  std::chrono::nanoseconds send_time;     // for one answer
  std::uint64_t lease_time, transfer_time;
};

/// The server's end of the control channel: it lets clients in by the lobby, gives each request slots that no other client can write, takes requests
/// that arrived whole, once each, and sends their answers into the client's answer slots.
///
/// Threads: one at a time.
template <class Transport, class Submitter>
class mailroom {
 public:
  using session = detail::session<typename dialer<Transport>::call>;

  mailroom(Transport& transport, Submitter& submitter, const mailroom_limits& limits)
      : transport_(transport), submitter_(submitter), limits_(limits), dialer_(transport, limits.connect_time) {}

  /// Opens the lobby; returns the store's address.
  [[nodiscard]] result<std::vector<std::byte>> open() {
    auto lobby = transport_.allocate_region(protocol::lobby_slot * protocol::lobby_slots);
    if (!lobby) return fail(lobby.error());
    lobby_ = std::move(*lobby);
    auto endpoint = transport_.address();
    auto descriptor = transport_.export_region(lobby_);
    if (!endpoint) return fail(endpoint.error());
    if (!descriptor) return fail(descriptor.error());
    return protocol::write_address({.endpoint = std::move(*endpoint),
                                    .lobby = std::move(*descriptor),
                                    .max_slot = static_cast<std::uint32_t>(limits_.slot_size),
                                    .max_key = static_cast<std::uint32_t>(limits_.key)});
  }

  /// Calls serve(client, slot, message) for each request that has arrived and was not done before; returns how many messages there were.
  template <class Serve>
  std::size_t take(Serve&& serve) {
    const auto look = [&](const std::shared_ptr<session>& client, std::size_t slot) {
      if (is_new(client, slot)) serve(client, slot, message_);
    };
    free_memory();
    std::size_t taken = end_dials();
    const auto waiting = std::exchange(deferred_, {});
    for (const auto& [client, slot] : waiting) {
      client->slots[slot].deferred = false;
      if (!client->gone) look(client, slot);
    }
    notification arrived;
    while (taken < 256 && transport_.next_notification(arrived)) {
      ++taken;
      const std::size_t slot = protocol::announcement::slot_of(arrived.tag);
      if ((arrived.tag & protocol::announcement::hello_bit) != 0) {
        if (slot < protocol::lobby_slots) greet(slot, arrived.sender);
        continue;
      }
      const auto found =
          std::find_if(sessions_.begin(), sessions_.end(), [&](const auto& each) { return each->proven && each->endpoint == arrived.sender; });
      if (found != sessions_.end() && slot != welcome_slot && slot < (*found)->slots.size()) look(std::shared_ptr<session>(*found), slot);
    }
    return taken;
  }

  /// Keeps the answer, and sends it as soon as that can be done.
  template <class Body>
  void answer(session& client, std::size_t slot, protocol::kind what, const Body& body) {
    request_slot& place = client.slots[slot];
    place.working = false;
    if (client.gone) return;
    const auto size = protocol::write_message(client.outgoing_at(slot), what, client.client, place.last, body);
    if (!size) return;  // bodies are made to fit
    place.answer_size = *size;
    place.wants_answer = true;
    static_cast<void>(send(client, slot));
  }

  /// The request made no sense: there is no answer.
  static void ignore(session& client, std::size_t slot) noexcept { client.slots[slot].working = false; }

  /// The request could not be taken on, and nothing of it was done: should the client send it again, it is new.
  static void undo(session& client, std::size_t slot) noexcept {
    client.slots[slot].working = false;
    --client.slots[slot].last;
  }
  /// Whether the request is under way, without an answer.
  [[nodiscard]] static bool is_working(const session& client, std::size_t slot) noexcept { return client.slots[slot].working; }

  /// Sends what could not be sent before.
  std::size_t send_answers() {
    std::size_t sent = 0;
    for (const auto& client : sessions_) {
      for (std::size_t slot = 0; slot < client->slots.size(); ++slot) sent += std::size_t{send(*client, slot)};
    }
    return sent;
  }

  /// The client has gone. What jobs of it there are end by themselves; its memory is freed when the transport has let go of it.
  void forget(const std::shared_ptr<session>& client) {
    leave(*client);
    client->gone = true;
    if (client->proven) forgotten_.push_back(client);  // has room
    sessions_.erase(std::remove(sessions_.begin(), sessions_.end(), client), sessions_.end());
  }

  /// A region of the client's by its descriptor; imported once for each connection, and no more than `limit` at a time.
  [[nodiscard]] result<remote_region_id> import_for(session& client, bytes_view descriptor, std::size_t limit) {
    if (client.gone) return fail(errc::peer_lost);
    if (!client.connected) {
      dial(client);
      return fail(errc::busy, {.what = "the client is being connected to"});
    }
    // Safety: bytes may be viewed as characters.
    std::string key(reinterpret_cast<const char*>(descriptor.data()), descriptor.size());
    if (const auto known = client.imports.find(key); known != client.imports.end()) return known->second;
    if (client.imports.size() >= limit) {
      std::erase_if(client.imports, [&](const auto& each) { return submitter_.release_region(each.second).has_value(); });
      if (client.imports.size() >= limit) return fail(errc::busy, {.available = limit, .what = "too many of the client's regions are in use"});
    }
    auto id = submitter_.import_region(client.peer, descriptor);
    if (id) client.imports.emplace(std::move(key), *id);
    return id;
  }

  [[nodiscard]] std::size_t clients() const noexcept { return sessions_.size(); }
  void close() noexcept {
    dialer_.close();
    deferred_.clear();
    sessions_.clear();
    forgotten_.clear();
  }

 private:
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t welcome_slot = 0;
  static constexpr auto reconnect_pause = std::chrono::milliseconds(20);

  /// Frees the memory of those who have gone. Destroying a region would wait for transfers that use it, and with it all other clients.
  void free_memory() noexcept {
    const auto is_free = [](region& memory) { return !memory || memory.deregister().has_value(); };
    std::erase_if(forgotten_, [&](const auto& each) { return is_free(each->requests) && is_free(each->outgoing); });
  }

  /// Whether there is a whole request in the slot that was not taken before; it is then message_.
  [[nodiscard]] bool is_new(const std::shared_ptr<session>& owner, std::size_t slot) {
    session& client = *owner;
    if (!protocol::read_message(client.request_at(slot), message_) || message_.head.sender != client.client) return false;  // it is sent again
    client.seen = clock::now();
    request_slot& place = client.slots[slot];
    if (message_.head.sequence <= place.last) {
      if (message_.head.sequence == place.last && !place.working && place.answer_size != 0) place.wants_answer = true;
      return false;
    }
    // The answer to the one before may still be with the transport, or the client has given that one up.
    if (place.working || (place.sending && !place.sending.ready())) {
      if (!std::exchange(place.deferred, true)) deferred_.push_back({owner, slot});
      return false;
    }
    place.last = message_.head.sequence;
    place.working = true;
    place.wants_answer = false;
    place.answer_size = 0;
    return true;
  }

  [[nodiscard]] bool send(session& client, std::size_t slot) {
    request_slot& place = client.slots[slot];
    if (!place.wants_answer || (place.sending && !place.sending.ready())) return false;
    if (place.sending && is_lost(place.sending.how().status)) client.connected = false;
    place.sending = transfer();
    if (!client.connected) {
      dial(client);
      return false;
    }
    const slice where{client.outgoing.id(), client.answers, slot * client.slot_size, slot * client.slot_size, place.answer_size};
    auto sending = transport_.submit(client.peer, op::put, std::span(&where, 1),
                                     {.deadline = limits_.send_time, .notify_tag = protocol::announcement::tag(slot, place.last), .notify = true});
    if (!sending) {
      if (is_lost(fail(sending.error()))) client.connected = false;
      if (!client.connected || sending.error() == errc::would_block) return false;
    } else {
      place.sending = std::move(*sending);
    }
    place.wants_answer = false;  // should it not arrive, the client asks again
    return true;
  }

  [[nodiscard]] static bool is_lost(const result<void>& how) noexcept {
    return !how && (how.error() == errc::peer_lost || how.error() == errc::peer_stalled || how.error() == errc::closed);
  }

  void leave(session& client) noexcept {
    if (client.dialing != nullptr) dialer_.drop(*std::exchange(client.dialing, nullptr));
    for (const auto& each : client.imports) static_cast<void>(submitter_.release_region(each.second));
    client.imports.clear();
    if (client.peer != peer_id{}) transport_.disconnect(client.peer);
    client.peer = {};
    client.connected = false;
  }

  /// Begins to connect to the client, unless that is under way.
  void dial(session& client) {
    const auto now = clock::now();
    if (client.dialing != nullptr || now - client.tried < reconnect_pause) return;
    client.tried = now;
    leave(client);
    client.dialing = dialer_.start(client.address, client.endpoint);
  }

  /// Goes on with the clients whom the dialer has reached, or not; returns how many these are.
  std::size_t end_dials() {
    std::size_t ended = 0;
    for (std::size_t i = 0; i < sessions_.size();) {
      const std::shared_ptr<session> client = sessions_[i];
      ++i;
      if (client->dialing == nullptr || !dialer_.is_done(*client->dialing)) continue;
      ++ended;
      const auto peer = dialer_.take(*std::exchange(client->dialing, nullptr));
      const std::uint64_t hello = std::exchange(client->hello, 0);
      const bool was_proven = client->proven;
      if (peer && enter(*client, *peer)) {
        if (!was_proven) i -= forget_before(*client, i);
        if (hello != 0) welcome(*client, hello);
      } else if (client->proven) {
        leave(*client);
        drop_answers(*client);
      } else {
        forget(client);  // whoever it was has only said that it is there
        --i;
      }
    }
    return ended;
  }

  /// An endpoint is one client: that which it was before has gone, without a goodbye. Returns how many of the first `looked` sessions these are.
  std::size_t forget_before(const session& fresh, std::size_t looked) {
    std::size_t gone = 0;
    for (std::size_t i = 0; i < sessions_.size();) {
      const std::shared_ptr<session> each = sessions_[i];
      if (each.get() == &fresh || each->endpoint != fresh.endpoint) {
        ++i;
        continue;
      }
      if (i + gone < looked) ++gone;
      forget(each);
    }
    return gone;
  }

  /// The address is the client's word; that the hello came from there is the transport's: a session belongs to the endpoint that began it.
  [[nodiscard]] bool enter(session& client, peer_id peer) {
    client.peer = peer;
    const auto who = transport_.peer_identity(peer);
    if (!who || who->endpoint != client.endpoint) return false;
    const auto answers = transport_.import_region(peer, client.answers_descriptor);
    if (!answers || !(client.proven || set_aside(client))) return false;
    client.answers = *answers;
    client.connected = client.proven = true;
    return true;
  }

  /// Memory for the client's requests and their answers.
  [[nodiscard]] bool set_aside(session& client) {
    auto requests = transport_.allocate_region(client.slots.size() * client.slot_size);
    auto outgoing = transport_.allocate_region(client.slots.size() * client.slot_size);
    if (!requests || !outgoing) return false;
    client.requests = std::move(*requests);
    client.outgoing = std::move(*outgoing);
    return true;
  }

  /// The client cannot be reached. If it lives it asks again; a dead one must not be tried for ever.
  static void drop_answers(session& client) noexcept {
    for (request_slot& each : client.slots) each.wants_answer = false;
  }

  void greet(std::size_t slot, std::uint64_t sender) {
    if (!protocol::read_message(lobby_.bytes().subspan(slot * protocol::lobby_slot, protocol::lobby_slot), message_)) return;
    if (message_.head.kind != protocol::kind::hello || message_.head.sender == 0) return;
    const auto said = decode_from<protocol::hello>(message_.body());
    if (!said || said->slots == 0 || said->slot_size < protocol::least_slot || said->slot_size > limits_.slot_size || said->slot_size % 64 != 0)
      return;
    const std::uint64_t number = message_.head.sender, sequence = message_.head.sequence;
    auto found =
        std::find_if(sessions_.begin(), sessions_.end(), [&](const auto& each) { return each->client == number && each->endpoint == sender; });
    if (found == sessions_.end()) {
      // Until it was reached, an endpoint has one place, and one turn with the dialer, whatever it says.
      const auto before =
          std::find_if(sessions_.begin(), sessions_.end(), [&](const auto& each) { return !each->proven && each->endpoint == sender; });
      if (before != sessions_.end()) forget(std::shared_ptr<session>(*before));
      forgotten_.reserve(forgotten_.size() + sessions_.size() + 1);
      if (forgotten_.size() >= limits_.clients || (sessions_.size() >= limits_.clients && !make_room())) return;
      sessions_.push_back(admit(number, sender, *said));
      found = sessions_.end() - 1;
    }
    session& client = **found;
    client.seen = clock::now();
    if (said->slot_size != client.slot_size || sequence < client.slots[welcome_slot].last) return;
    if (client.dialing != nullptr && client.address != said->address) leave(client);
    client.address = said->address;
    client.answers_descriptor = said->answers;
    client.hello = sequence;
    client.tried = {};
    dial(client);
  }

  /// The client that said hello has been reached.
  void welcome(session& client, std::uint64_t sequence) {
    auto requests = transport_.export_region(client.requests);
    if (!requests) return;
    client.slots[welcome_slot].last = sequence;
    answer(client, welcome_slot, protocol::kind::hello,
           protocol::welcome{.requests = std::move(*requests),
                             .slots = static_cast<std::uint32_t>(client.slots.size() - 1),
                             .lease_time = limits_.lease_time,
                             .transfer_time = limits_.transfer_time});
  }

  [[nodiscard]] std::shared_ptr<session> admit(std::uint64_t number, std::uint64_t sender, const protocol::hello& said) const {
    auto fresh = std::make_shared<session>();
    fresh->client = number;
    fresh->endpoint = sender;
    fresh->slot_size = said.slot_size;
    fresh->slots.resize(std::min<std::size_t>(said.slots, limits_.slots) + 1);
    return fresh;
  }

  /// Forgets one that was never reached, else a client that has nothing under way and has been silent for long; of several the one that was heard of
  /// longest ago. Who says hello, and no more, takes the place of no client that is at work.
  [[nodiscard]] bool make_room() {
    std::shared_ptr<session> least;
    for (const auto& each : sessions_) {
      if (each->proven && (each->jobs != 0 || clock::now() - each->seen < limits_.patience)) continue;
      if (least == nullptr || std::pair(each->proven, each->seen) < std::pair(least->proven, least->seen)) least = each;
    }
    if (least != nullptr) forget(least);
    return least != nullptr;
  }

  Transport& transport_;
  Submitter& submitter_;
  mailroom_limits limits_;
  region lobby_;
  protocol::message message_;
  std::vector<std::shared_ptr<session>> sessions_;
  std::vector<std::shared_ptr<session>> forgotten_;  // whose memory the transport may still use; nobody new is let in where these are too many
  std::vector<std::pair<std::shared_ptr<session>, std::size_t>> deferred_;  // requests whose slot is not free yet
  dialer<Transport> dialer_;
};

}  // namespace lading::detail
