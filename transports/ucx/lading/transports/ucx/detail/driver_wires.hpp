// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// ucx_driver: from start to stop, and the wires in between.

#include <thread>

#include <lading/transports/ucx/driver.hpp>

namespace lading::detail {

inline result<void> ucx_driver::start(driver_host& host) {
  host_ = &host;
  host_number_ = host_number();
  now_ = host.now();
  if (auto opened = worker_.open({options_.lanes, options_.devices, options_.settings}, &ucx_driver::on_message, this); !opened) return opened;
  auto own = worker_.address();
  if (!own) return fail(own.error());
  addresses_.learn(*own);
  if (options_.listen.empty()) return {};
  auto native = native_address();
  if (!native) return fail(native.error());
  auto listening =
      listener_.open(options_.listen, encode_address({.transport = transport_tag(name()), .identity = host.incoming()->identity, .native = *native}));
  port_ = listener_.port();
  return listening;
}

/// Says goodbye, closes every wire by force, and destroys the worker: afterwards UCX touches no memory.
inline void ucx_driver::stop() noexcept {
  if (!worker_.is_open()) return;
  listener_.close();
  revoke_all();
  const auto drive_until = [&](std::chrono::milliseconds limit, auto&& done) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (!done() && std::chrono::steady_clock::now() < until) {
      if (worker_.progress() == 0) std::this_thread::yield();
    }
  };
  for (const auto& each : wires_) {
    if (each->usable()) say(*each, {.kind = ucx_kind::bye, .wire = each->remote_number});
  }
  drive_until(std::chrono::milliseconds(50),
              [&] { return std::all_of(wires_.begin(), wires_.end(), [](const auto& each) { return each->outstanding == 0 || !each->usable(); }); });
  for (const auto& each : wires_) {
    doom(*each, errc::closed);
    if (each->state < phase::closing) begin_close(*each);
  }
  drive_until(std::chrono::milliseconds(250), [&] {
    bool all = true;
    for (const auto& each : wires_) {
      look_after(*each, now_);
      all = all && (each->ep != nullptr || (each->state == phase::closed && each->used_slots == 0 && each->outstanding == 0));
    }
    return all;
  });
  if (std::any_of(wires_.begin(), wires_.end(), [](const auto& each) { return each->ep != nullptr; })) {
    worker_.abandon();
  } else {
    worker_.close();
  }
  for (const auto& each : wires_) {
    for (ucx_connection* const user : each->users) user->wire = nullptr;
    for (const auto& slot : each->slots) {
      if (slot->used) report(*slot);
    }
  }
  for (const auto& each : outgoing_) each->range.reset();
  for (const auto& each : incoming_) each->range.reset();
  by_number_.clear();
  last_found_ = nullptr;
  to_tell_.clear();
  wires_.clear();
}

/// Closes a wire that this side can do without.
inline void ucx_driver::retire(ucx_wire& wire) noexcept {
  say(wire, {.kind = ucx_kind::bye, .wire = wire.remote_number});
  doom(wire, errc::closed);
}

/// A greeting, for watching the process, then the worker's own address.
inline result<std::vector<std::byte>> ucx_driver::native_address() const {
  if (!worker_.is_open()) return fail(errc::closed, {.what = "this endpoint is closed"});
  auto raw = worker_.address();
  if (!raw) return fail(raw.error());
  std::vector<std::byte> native(ucx_greeting::wire_size + raw->size());
  greeting(0).store(native.data());
  std::memcpy(native.data() + ucx_greeting::wire_size, raw->data(), raw->size());
  return native;
}

inline result<ucx_wire*> ucx_driver::open_wire(std::uint64_t endpoint, bytes_view worker_address) {
  if (wires_.size() / 2 >= options_.max_wires)
    return fail(errc::limit_exceeded, {.available = 2 * options_.max_wires, .what = "too many connections that nobody answers have not ended yet"});
  if (wires_.size() >= options_.max_wires) {
    const auto unused = std::find_if(wires_.begin(), wires_.end(), [](const auto& each) { return each->usable() && each->unused(); });
    if (unused != wires_.end()) retire(**unused);
  }
  if (std::count_if(wires_.begin(), wires_.end(), [](const auto& each) { return each->alive(); }) >=
      static_cast<std::ptrdiff_t>(options_.max_wires)) {
    return fail(errc::limit_exceeded, {.available = options_.max_wires, .what = "too many peers are connected: raise max_wires"});
  }
  if (auto checked = addresses_.check(worker_address); !checked) return fail(checked.error());
  std::vector<std::byte> padded(worker_address.size() + ucx_addresses::slack);
  std::memcpy(padded.data(), worker_address.data(), worker_address.size());
  auto made = std::make_unique<ucx_wire>(*this, random_number(), endpoint, liveness(options_.heartbeat, options_.stall_limit, host_->now()));
  wires_.reserve(wires_.size() + 1);
  by_number_.emplace(made->number, made.get());
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
  // Safety: the bytes are such as ucp_worker_get_address gives, as far as can be told; UCX copies what it needs.
  params.address = reinterpret_cast<const ucp_address_t*>(padded.data());
  params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  params.err_handler.cb = [](void* wire, ucp_ep_h, ucs_status_t) noexcept {
    auto& failed = *static_cast<ucx_wire*>(wire);
    failed.failed = true;
    failed.driver.doom(failed, errc::peer_lost);
  };
  params.err_handler.arg = made.get();
  if (const auto status = ucp_ep_create(worker_.get(), &params, &made->ep); status != UCS_OK) {
    forget(*made);
    return fail(errc::peer_lost, {.native = static_cast<std::int32_t>(status),
                                  .what = "UCX cannot reach that address: is the peer there, and do both have a lane in common?"});
  }
  wires_.push_back(std::move(made));
  return wires_.back().get();
}

inline void ucx_driver::greeted(ucx_wire& wire, const ucx_greeting& peer) noexcept {
  if (peer.host == 0 || peer.host != host_number_ || wire.pid != 0) return;
  wire.pid = peer.pid;
  wire.same_process = peer.process == host_->incoming()->identity.process;
  if (!wire.same_process) wire.process.watch(peer.pid);
}

inline void ucx_driver::say_hello(ucx_wire& wire) {
  ucx_outgoing* const message = new_outgoing(wire);
  auto address = worker_.address();
  if (message == nullptr || !address) return doom(wire, errc::no_memory);
  message->payload.resize(ucx_greeting::wire_size + address->size());
  greeting(wire.endpoint).store(message->payload.data());
  std::memcpy(message->payload.data() + ucx_greeting::wire_size, address->data(), address->size());
  ucx_head{.kind = ucx_kind::hello, .wire = wire.remote_number, .request = wire.number}.store(message->head);
  send(*message, message->payload, UCP_AM_SEND_FLAG_EAGER);
}

inline result<std::unique_ptr<driver_connection>> ucx_driver::connect(const endpoint_address& address) {
  if (address.native.size() <= ucx_greeting::wire_size)
    return fail(errc::truncated, {.needed = ucx_greeting::wire_size + 1, .available = address.native.size()});
  auto made = std::make_unique<ucx_connection>();
  ucx_wire* wire = wire_to(address.identity.endpoint);
  if (wire == nullptr) {
    auto fresh = open_wire(address.identity.endpoint, address.native.subspan(ucx_greeting::wire_size));
    if (!fresh) return fail(fresh.error());
    wire = *fresh;
  }
  wire->users.push_back(made.get());
  made->wire = wire;
  greeted(*wire, ucx_greeting::load(address.native.data()));
  say_hello(*wire);
  return made;
}

inline result<bool> ucx_driver::connected(driver_connection& peer) noexcept {
  const auto& connection = static_cast<ucx_connection&>(peer);
  if (connection.wire == nullptr) return fail(errc::closed, {.what = "this endpoint is closed"});
  if (!connection.wire->alive()) return fail(errc::peer_lost, {.what = "the peer's endpoint is gone, or cannot be reached"});
  return connection.wire->usable();
}

inline void ucx_driver::disconnect(driver_connection& peer) noexcept {
  auto& connection = static_cast<ucx_connection&>(peer);
  ucx_wire* const wire = std::exchange(connection.wire, nullptr);
  if (wire == nullptr) return;
  std::erase(wire->users, &connection);
  for (const auto& slot : wire->slots) {
    if (!slot->used || slot->connection != &connection) continue;
    abandon(*slot, error(errc::closed, {.what = "this side disconnected"}));
    slot->connection = nullptr;
  }
  look_ = true;
  if (!wire->users.empty() || !wire->usable()) return;
  say(*wire, {.kind = ucx_kind::detach, .wire = wire->remote_number});
  // What UCX still reads or writes here ends by force, unless the peer has work of its own on the wire.
  const bool held = std::any_of(wire->slots.begin(), wire->slots.end(), [](const auto& slot) { return slot->used && slot->holds_memory(); });
  if (held && !wire->remote_attached) retire(*wire);
}

/// Ends what runs over the wire. UCX then gives its requests back, most of them at once.
inline void ucx_driver::begin_close(ucx_wire& wire) noexcept {
  wire.state = phase::closing;
  if (wire.doomed != errc::closed) {
    for (ucx_connection* const user : wire.users) host_->lost(*user, wire.doomed);
  }
  for (const auto& slot : wire.slots) {
    if (!slot->used) continue;
    if (!slot->answered) slot->how = fail(wire.doomed, {.what = "the connection ended before the peer answered"});
    slot->answered = true;
    if (!slot->holds_memory()) report(*slot);
    settle(*slot);
  }
  wire.notifications.clear();
  close_by_force(wire);
}

/// Not before UCX has sent something, or found that it cannot: with its own first message still waiting for a connection, it ends the program.
inline void ucx_driver::close_by_force(ucx_wire& wire) noexcept {
  if (!wire.got_through && !wire.failed && wire.outstanding != 0) return;
  ucp_request_param_t params{};
  params.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
  params.flags = UCP_EP_CLOSE_FLAG_FORCE;
  wire.closing = ucp_ep_close_nbx(std::exchange(wire.ep, nullptr), &params);
  if (UCS_PTR_IS_PTR(wire.closing)) return;
  wire.closing = nullptr;
  wire.state = phase::closed;
}

inline void ucx_driver::keep_alive(ucx_wire& wire, std::chrono::nanoseconds now) noexcept {
  if (!wire.usable() || wire.used_slots == 0) {
    wire.active = false;
    return;
  }
  if (!std::exchange(wire.active, true)) wire.life.heard();
  if (wire.life.due(now, wire.bytes_out + wire.bytes_served) && !std::exchange(wire.ping_out, true))
    say(wire, {.kind = ucx_kind::ping, .wire = wire.remote_number});
  if (wire.life.stalled(now)) doom(wire, errc::peer_stalled);
}

inline void ucx_driver::look_after(ucx_wire& wire, std::chrono::nanoseconds now) noexcept {
  if (wire.alive()) {
    if (wire.process.ended()) doom(wire, errc::peer_lost);
    keep_alive(wire, now);
    hand_on_notifications(wire);
    if (wire.state == phase::dialing && wire.users.empty()) doom(wire, errc::closed);
  }
  if (wire.doomed != errc{} && wire.state < phase::closing) begin_close(wire);
  if (wire.state == phase::closing && wire.ep != nullptr) close_by_force(wire);
  if (wire.state == phase::closing && wire.ep == nullptr && ucp_request_check_status(wire.closing) != UCS_INPROGRESS) {
    ucp_request_free(std::exchange(wire.closing, nullptr));
    wire.state = phase::closed;
  }
}

inline std::size_t ucx_driver::progress() noexcept {
  constexpr auto round = std::chrono::milliseconds(1);
  constexpr int turns = 8;             // UCX takes a few messages at a time, and a rendezvous several turns: one round of the endpoint for them all
  constexpr int unclocked_rounds = 8;  // that find work; reading the clock costs as much as many a message
  round_left_ = round_bytes;
  round_began_ = unbegun;
  std::size_t happened = 0;
  for (int turn = 0; turn < turns; ++turn) {
    const std::size_t more = worker_.progress();
    if (more == 0) break;
    happened += more;
  }
  if (happened == 0 || ++busy_rounds_ >= unclocked_rounds) read_clock();
  if (look_ || now_ - looked_ >= round) {
    looked_ = now_;
    look_ = false;
    happened += listener_.serve();
    for (std::size_t i = 0; i < wires_.size(); ++i) look_after(*wires_[i], now_);
    std::erase_if(wires_, [&](const auto& each) {
      const bool over = each->state == phase::closed && each->users.empty() && each->used_slots == 0 && each->outstanding == 0;
      if (over) forget(*each);
      return over;
    });
  }
  while (!to_tell_.empty()) tell_well_done(*to_tell_.back());
  if (happened == 0 && event_set_.made() && !worker_.arm()) happened = 1;
  return happened;
}

/// Readable when UCX has something, or the endpoint.
inline int ucx_driver::event_fd() const noexcept {
  const int sources[] = {worker_.event_fd(), host_->incoming()->awake.fd(), listener_.fd()};
  return event_set_.of(std::span(sources).first(listener_.fd() < 0 ? 2 : 3));
}

}  // namespace lading::detail
