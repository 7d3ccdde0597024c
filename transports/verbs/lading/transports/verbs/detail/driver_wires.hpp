// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// verbs_driver: connections, from dialing to their end.

#include <lading/transports/verbs/driver.hpp>

namespace lading::detail {

inline void verbs_driver::stop() noexcept {
  if (std::exchange(stopped_, true)) return;
  device_->listener.reset();
  for (const auto& each : wires_) end(*each, error(errc::closed, {.what = "the endpoint was closed"}));
  for (const auto& each : wires_) {
    if (each->user != nullptr) each->user->wire = nullptr;
  }
  wires_.clear();
}

inline result<std::vector<std::byte>> verbs_driver::native_address() const {
  const auto raw = device_->address.store();
  return std::vector<std::byte>(raw.begin(), raw.end());
}

// --- dialing

/// Begins to connect the wire to its address; what follows comes as events.
inline result<void> verbs_driver::dial(verbs_wire& wire) {
  constexpr int resolve_milliseconds = 2000;
  auto id = device_->make_id(&wire);
  if (!id) return fail(id.error());
  verbs_address own = device_->address;
  own.port = 0;
  sockaddr_storage from = own.socket_address(device_->scope), to = wire.address.socket_address(device_->scope);
  // Safety: a sockaddr_storage is made to be passed as any sockaddr.
  if (rdma_resolve_addr(id->get(), reinterpret_cast<sockaddr*>(&from), reinterpret_cast<sockaddr*>(&to), resolve_milliseconds) != 0) {
    return fail(errc::peer_lost, {.native = errno, .what = "no route to that address from the RDMA device's own: are both in one network?"});
  }
  wire.id = std::move(*id);
  return {};
}

inline result<std::unique_ptr<driver_connection>> verbs_driver::connect(const endpoint_address& address) {
  if (stopped_) return fail(errc::closed);
  auto where = verbs_address::load(address.native);
  if (!where) return fail(where.error());
  if (wires_.size() >= options_.max_wires)
    return fail(errc::limit_exceeded, {.available = options_.max_wires, .what = "too many peers are connected: raise max_wires"});
  auto made = std::make_unique<verbs_connection>();
  auto wire = std::make_unique<verbs_wire>(options_.window, liveness(options_.heartbeat, options_.stall_limit, host_->now()));
  wire->address = *where;
  wire->peer = address.identity;
  wire->until = std::chrono::nanoseconds::max();  // the caller's time counts
  wires_.reserve(wires_.size() + 1);
  if (auto dialed = dial(*wire); !dialed) return fail(dialed.error());
  wire->user = made.get();
  made->wire = wire.get();
  wires_.push_back(std::move(wire));
  return made;
}

inline result<bool> verbs_driver::connected(driver_connection& peer) noexcept {
  const auto& connection = static_cast<verbs_connection&>(peer);
  if (connection.wire != nullptr) return connection.wire->state == phase::open;
  if (!connection.ended) return fail(connection.ended.error());
  return fail(errc::closed, {.what = "this endpoint is closed"});
}

inline void verbs_driver::disconnect(driver_connection& peer) noexcept {
  if (verbs_wire* const wire = static_cast<verbs_connection&>(peer).wire; wire != nullptr) {
    end(*wire, error(errc::closed, {.what = "this side disconnected"}));
  }
}

inline rdma_conn_param verbs_driver::parameters(const verbs_greeting::raw& greeting) const noexcept {
  constexpr int most_reads = 16;
  rdma_conn_param all{};
  all.private_data = greeting.data();
  all.private_data_len = static_cast<std::uint8_t>(greeting.size());
  all.responder_resources = static_cast<std::uint8_t>(std::clamp(device_->limits.max_qp_rd_atom, 1, most_reads));
  all.initiator_depth = static_cast<std::uint8_t>(std::clamp(device_->limits.max_qp_init_rd_atom, 1, most_reads));
  all.retry_count = options_.retry_count;
  all.rnr_retry_count = options_.rnr_retry_count;
  return all;
}

/// Kernels before 5.1 do not have it, and use their own.
inline void verbs_driver::set_ack_timeout(rdma_cm_id& id) const noexcept {
  std::uint8_t value = options_.ack_timeout;
  static_cast<void>(rdma_set_option(&id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &value, sizeof value));
}

inline int verbs_driver::set_rnr_timer(rdma_cm_id& id) const noexcept {
  ibv_qp_attr changed{};
  changed.min_rnr_timer = options_.rnr_timer;
  return ibv_modify_qp(id.qp, &changed, IBV_QP_MIN_RNR_TIMER);
}

// --- events

inline bool verbs_driver::take_event(event& taken) noexcept {
  rdma_cm_event* raw = nullptr;
  if (rdma_get_cm_event(device_->events.get(), &raw) != 0) return false;
  taken = {.type = raw->event, .status = raw->status, .id = raw->id};
  switch (raw->event) {
    case RDMA_CM_EVENT_CONNECT_REQUEST:
    case RDMA_CM_EVENT_ESTABLISHED:
      taken.responder_resources = raw->param.conn.responder_resources;
      taken.initiator_depth = raw->param.conn.initiator_depth;
      taken.greeting_size =
          raw->param.conn.private_data == nullptr ? 0 : std::min<std::size_t>(raw->param.conn.private_data_len, taken.greeting.size());
      if (taken.greeting_size != 0) std::memcpy(taken.greeting.data(), raw->param.conn.private_data, taken.greeting_size);
      break;
    default: break;
  }
  rdma_ack_cm_event(raw);
  return true;
}

inline std::size_t verbs_driver::take_events() noexcept {
  std::size_t happened = 0;
  for (event each; happened < 256 && take_event(each); ++happened) handle(each);
  return happened;
}

inline void verbs_driver::handle(const event& happened) noexcept {
  if (happened.type == RDMA_CM_EVENT_CONNECT_REQUEST) {
    LADING_TRY { accept(happened); }
    LADING_CATCH_BAD_ALLOC(static_cast<void>(0))  // the id is gone, and with it the request
    return;
  }
  auto* const wire = static_cast<verbs_wire*>(happened.id->context);
  if (wire == nullptr || wire->id.get() != happened.id) return;
  const auto native = static_cast<std::int32_t>(happened.status);
  switch (happened.type) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
      if (happened.id->verbs != device_->context()) {
        return end(*wire,
                   error(errc::peer_lost, {.what = "the peer is reached over another RDMA device than this endpoint's: set the option device"}));
      }
      if (rdma_resolve_route(happened.id, 2000) != 0) end(*wire, error(errc::peer_lost, {.native = errno, .what = "no RDMA route to the peer"}));
      return;
    case RDMA_CM_EVENT_ROUTE_RESOLVED:
      if (auto routed = route(*wire); !routed) end(*wire, routed.error());
      return;
    case RDMA_CM_EVENT_ESTABLISHED:
      if (auto met = meet(*wire, happened); !met) return end(*wire, met.error());
      return established(*wire);
    case RDMA_CM_EVENT_DISCONNECTED:
      wire->greeted = false;  // there is nobody to say goodbye to
      static_cast<void>(poll(*wire));
      if (wire->id.get() == happened.id)  // else it has broken down, and is being mended
        end(*wire, error(errc::peer_lost, {.what = "the peer closed the connection, or its process is gone"}));
      return;
    case RDMA_CM_EVENT_REJECTED:
      return end(*wire,
                 error(errc::peer_lost, {.native = native, .what = "nobody at that address wants this connection: has the endpoint been closed?"}));
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE: return end(*wire, error(errc::peer_lost, {.native = native, .what = "the peer cannot be reached"}));
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
      return end(*wire, error(errc::backend_failure, {.native = native, .what = "the RDMA device was taken away: open a new endpoint"}));
    default: return;
  }
}

/// Someone wants to connect to this endpoint.
inline void verbs_driver::accept(const event& asked) {
  verbs_id id(asked.id);
  const endpoint_identity& self = host_->incoming()->identity;
  const auto greeting = verbs_greeting::load(bytes_view(asked.greeting).first(asked.greeting_size));
  if (stopped_ || wires_.size() >= options_.max_wires || !greeting || greeting->wanted != self.endpoint) {
    rdma_reject(id.get(), nullptr, 0);
    return;
  }
  auto wire = std::make_unique<verbs_wire>(0, liveness(options_.heartbeat, options_.stall_limit, now_));
  wires_.reserve(wires_.size() + 1);
  wire->peer = {.process = greeting->process, .endpoint = greeting->endpoint};
  wire->until = later(now_, options_.mend_limit);
  wire->probed = now_;
  wire->id = std::move(id);
  wire->id->context = wire.get();
  set_ack_timeout(*wire->id);
  if (!wire->make_queues(*device_)) {
    rdma_reject(wire->id.get(), nullptr, 0);
    return;
  }
  const auto reply = verbs_greeting{.process = self.process, .endpoint = self.endpoint, .wanted = greeting->endpoint}.store();
  rdma_conn_param all = parameters(reply);
  all.responder_resources = std::min(all.responder_resources, asked.responder_resources);
  all.initiator_depth = std::min(all.initiator_depth, asked.initiator_depth);
  if (rdma_accept(wire->id.get(), &all) != 0) return;
  wires_.push_back(std::move(wire));
}

/// The way is known: makes the queue pair, and asks the peer.
inline result<void> verbs_driver::route(verbs_wire& wire) noexcept {
  LADING_TRY {
    set_ack_timeout(*wire.id);
    if (auto made = wire.make_queues(*device_); !made) return made;
  }
  LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory))
  const endpoint_identity& self = host_->incoming()->identity;
  const auto greeting = verbs_greeting{.process = self.process, .endpoint = self.endpoint, .wanted = wire.peer.endpoint}.store();
  rdma_conn_param all = parameters(greeting);
  if (rdma_connect(wire.id.get(), &all) != 0) return fail(errc::peer_lost, {.native = errno, .what = "cannot ask the peer to connect"});
  return {};
}

/// Checks who answered.
inline result<void> verbs_driver::meet(verbs_wire& wire, const event& happened) noexcept {
  wire.greeted = true;
  if (wire.user != nullptr) {
    auto greeting = verbs_greeting::load(bytes_view(happened.greeting).first(happened.greeting_size));
    if (!greeting) return fail(greeting.error());
    if (greeting->endpoint != wire.peer.endpoint)
      return fail(errc::peer_lost, {.what = "another endpoint listens at that address by now: ask for the peer's new address"});
  }
  if (const int number = set_rnr_timer(*wire.id); number != 0 && !has_broken(*wire.id))
    return fail(verbs_error(number, "the RDMA device refuses the option rnr_timer"));
  return {};
}

/// A peer may have broken the connection before this side has heard that there is one: what was flushed will say so.
inline bool verbs_driver::has_broken(rdma_cm_id& id) const noexcept {
  ibv_qp_attr now{};
  ibv_qp_init_attr made{};
  return ibv_query_qp(id.qp, &now, IBV_QP_STATE, &made) == 0 && now.qp_state == IBV_QPS_ERR;
}

inline void verbs_driver::established(verbs_wire& wire) noexcept {
  wire.state = phase::open;
  ring(wire);  // what a broken connection left
}

// --- ends

/// Takes the connection down for good, and reports all that it had.
inline void verbs_driver::end(verbs_wire& wire, const error& why) noexcept {
  if (wire.state == phase::closed) return;
  wire.state = phase::closed;
  static_cast<void>(poll(wire));  // what has been done has been done
  wire.drop();
  verbs_connection* const user = std::exchange(wire.user, nullptr);
  if (user != nullptr) {
    user->wire = nullptr;
    user->ended = fail(why);
    if (why.code() != errc::closed) host_->lost(*user, why.code());
  }
  wire.prune([](const verbs_segment&) { return true; }, [&](const verbs_segment&) { return why; });
  fail_requests(wire, why);
  wire.notifications.clear();
  look_ = true;
}

/// The queue pair is no more, but the peer may be: connects anew, and keeps what has not been done.
inline void verbs_driver::broke(verbs_wire& wire, const error& why) noexcept {
  constexpr unsigned most = 3;
  if (wire.state != phase::open || wire.user == nullptr || ++wire.failures_in_a_row > most) return end(wire, why);
  wire.drop();
  wire.state = phase::mending;
  wire.until = later(now_, options_.mend_limit);
  wire.post_failure = 0;
  wire.ping_out = wire.waiting = wire.pong_due = false;
  wire.prune([](const verbs_segment& one) { return one.token->given_up() != errc{}; },
             [](const verbs_segment& one) { return error(one.token->given_up(), {.what = "given up before the peer had it"}); });
  fail_requests(wire,
                error(errc::backend_failure,
                      {.native = why.native(), .what = "all bytes arrived, but the connection broke down before the peer took the notification"}));
  look_ = true;
  LADING_TRY {
    if (auto dialed = dial(wire); !dialed) end(wire, dialed.error());
  }
  LADING_CATCH_BAD_ALLOC(end(wire, error(errc::no_memory)))
}

inline void verbs_driver::look_after(verbs_wire& wire) noexcept {
  if (wire.state == phase::closed) return;
  if (wire.post_failure != 0) {
    return broke(wire, error(errc::backend_failure, {.native = wire.post_failure, .what = "the RDMA device does not take work requests"}));
  }
  if (wire.state != phase::open) {
    look_ = true;
    if (now_ >= wire.until) end(wire, error(errc::peer_lost, {.what = "the peer does not connect again: is it making progress?"}));
    return;
  }
  hand_on(wire);
  if (wire.pong_due) wire.pong_due = !say(wire, {.kind = verbs_kind::pong});
  look_ = look_ || wire.pong_due || !wire.notifications.empty();  // there was no room: look again, whenever there may be
  if (wire.user == nullptr) {
    // A peer that asks for nothing may be gone without a word.
    if (now_ - wire.probed < options_.stall_limit) return;
    wire.probed = now_;
    return probe(wire);
  }
  if (wire.requests_out == 0) {
    wire.waiting = false;
    return;
  }
  if (!std::exchange(wire.waiting, true)) wire.life.heard();
  const std::uint64_t bytes = wire.bytes_under_way;
  const bool due = wire.life.due(now_, bytes);
  if (due && !wire.ping_out) wire.ping_out = say(wire, {.kind = verbs_kind::ping});
  if (wire.life.stalled(now_)) end(wire, error(errc::peer_stalled, {.what = "the peer owes an answer: is it making progress?"}));
}

inline std::size_t verbs_driver::progress() noexcept {
  constexpr auto round = std::chrono::microseconds(200);
  now_ = host_->now();
  std::size_t happened = 0;
  if (event_set_.made()) {
    ibv_cq* told = nullptr;
    for (void* wire = nullptr; ibv_get_cq_event(device_->channel.get(), &told, &wire) == 0;) {
      static_cast<verbs_wire*>(wire)->armed = false;
      ibv_ack_cq_events(told, 1);
    }
  }
  for (std::size_t i = 0; i < wires_.size(); ++i) happened += poll(*wires_[i]);
  if (look_ || now_ - looked_ >= round) {
    looked_ = now_;
    look_ = false;
    happened += take_events();
    for (std::size_t i = 0; i < wires_.size(); ++i) look_after(*wires_[i]);
    std::erase_if(wires_, [](const auto& each) { return each->state == phase::closed; });
  }
  if (happened == 0 && event_set_.made() && !arm()) happened = 1;
  return happened;
}

/// Makes the descriptor readable upon the next completion; false where there has been one already.
inline bool verbs_driver::arm() noexcept {
  bool fresh = false;
  for (const auto& each : wires_) {
    if (each->queue == nullptr || std::exchange(each->armed, true)) continue;
    fresh = ibv_req_notify_cq(each->queue.get(), 0) == 0 || fresh;
  }
  if (!fresh) return true;
  std::size_t happened = 0;
  for (std::size_t i = 0; i < wires_.size(); ++i) happened += poll(*wires_[i]);
  return happened == 0;
}

/// Readable when the hardware has something, or the connection manager, or the endpoint.
inline int verbs_driver::event_fd() const noexcept {
  const int sources[] = {device_->channel->fd, device_->events->fd, host_->incoming()->awake.fd()};
  return event_set_.of(sources);
}

}  // namespace lading::detail
