// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// ucx_driver: what peers ask this side for. Nothing that they say is trusted.

#include <lading/transports/ucx/driver.hpp>

namespace lading::detail {

inline ucs_status_t ucx_driver::on_message(void* self, const void* head, std::size_t head_size, void* data, std::size_t size,
                                           const ucp_am_recv_param_t* how) noexcept {
  auto& driver = *static_cast<ucx_driver*>(self);
  const auto parsed = ucx_head::load({static_cast<const std::byte*>(head), head_size});
  if (!parsed) {
    driver.refuse(parsed.error());
    return UCS_OK;
  }
  LADING_TRY { return driver.take(*parsed, data, size, (how->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0); }
  LADING_CATCH_BAD_ALLOC({
    if (ucx_wire* const wire = driver.find(parsed->wire)) driver.doom(*wire, errc::no_memory);
    return UCS_ERR_NO_MEMORY;
  })
}

inline ucs_status_t ucx_driver::take(const ucx_head& head, void* data, std::size_t size, bool rendezvous) {
  const bytes_view payload = rendezvous ? bytes_view() : bytes_view(static_cast<const std::byte*>(data), size);
  if (head.kind == ucx_kind::hello) {
    if (!rendezvous) serve_hello(head, payload);
    return UCS_OK;
  }
  ucx_wire* const wire = find(head.wire);
  if (wire == nullptr || !wire->alive() || host_->incoming()->closed.load(std::memory_order_acquire)) return UCS_OK;
  wire->life.heard();
  if (rendezvous) {
    receive(*wire, head, data, size);
  } else {
    serve(*wire, head, payload);
  }
  return UCS_OK;
}

/// Where a large message goes: a put into the region it names, the bytes of a get into the region that asked, anything else aside.
inline void ucx_driver::receive(ucx_wire& wire, const ucx_head& head, void* descriptor, std::size_t size) {
  if (wire.outstanding >= max_outstanding) return doom(wire, errc::backend_failure);
  if (free_incoming_.empty()) {
    free_incoming_.reserve(incoming_.size() + 1);
    incoming_.push_back(std::make_unique<ucx_incoming>());
    free_incoming_.push_back(incoming_.back().get());
  }
  ucx_incoming& message = *free_incoming_.back();
  message.wire = &wire;
  message.head = head;
  message.slot = nullptr;
  bytes_span target;
  if (head.kind == ucx_kind::put) {
    auto range =
        head.size == size
            ? incoming_range::open(*host_->incoming(), region_id{head.region}, head.generation, head.offset, head.size)
            : result<incoming_range>(fail(errc::bad_header, {.needed = head.size, .available = size, .what = "a put is not as long as it says"}));
    if (!range) return answer(wire, head, fail(range.error()));
    target = range->bytes();
    message.range.emplace(std::move(*range));
  } else if (head.kind == ucx_kind::data) {
    ucx_slot* const slot = wire.find_slot(head.request);
    if (slot == nullptr || slot->answered || slot->receiving || slot->token == nullptr ||
        (slot->kind != ucx_kind::get && slot->kind != ucx_kind::get_many)) {
      if (slot != nullptr && !slot->receiving) slot->answered = true, settle(*slot);
      return;
    }
    if (size != slot->bytes) return doom(wire, errc::backend_failure);
    message.slot = slot;
    slot->receiving = true;
    if (slot->direct) {
      target = slot->targets.front();
    } else {
      message.bytes.resize(size);
      target = message.bytes;
    }
  } else {
    if (size > ucx_control_bytes) {
      refuse(error(errc::limit_exceeded, {.needed = size, .available = ucx_control_bytes, .what = "a peer's message is too large"}));
      return doom(wire, errc::backend_failure);
    }
    message.bytes.resize(size);
    target = message.bytes;
  }
  free_incoming_.pop_back();
  ++wire.outstanding;
  if (message.range) wire.bytes_served += message.range->bytes().size();
  ucp_request_param_t params{};
  params.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
  params.cb.recv_am = [](void* request, ucs_status_t status, std::size_t, void* argument) noexcept {
    auto& over = *static_cast<ucx_incoming*>(argument);
    ucp_request_free(request);
    over.wire->driver.received(over, status);
  };
  params.user_data = &message;
  const auto posted = ucp_am_recv_data_nbx(worker_.get(), descriptor, target.data(), target.size(), &params);
  if (!UCS_PTR_IS_PTR(posted)) received(message, UCS_PTR_STATUS(posted));
}

inline void ucx_driver::received(ucx_incoming& message, ucs_status_t status) noexcept {
  ucx_wire& wire = *message.wire;
  --wire.outstanding;
  if (message.range) wire.bytes_served -= message.range->bytes().size();
  message.range.reset();
  if (status == UCS_OK) wire.life.heard();
  const std::vector<std::byte> bytes = std::exchange(message.bytes, {});
  ucx_slot* const slot = std::exchange(message.slot, nullptr);
  const ucx_head head = message.head;
  free_incoming_.push_back(&message);  // has room: reserved by receive
  if (slot != nullptr) {
    slot->receiving = false;
    if (status != UCS_OK) {
      if (!slot->answered) slot->how = fail(ucx_error(status, "UCX could not receive the slice"));
      slot->answered = true;
      settle(*slot);
    } else if (slot->answered || slot->direct) {
      slot->answered = true;
      settle(*slot);
    } else {
      take_data(*slot, bytes);
    }
    return;
  }
  if (!wire.alive()) return;
  if (status != UCS_OK) return answer(wire, head, fail(ucx_error(status, "UCX could not receive a peer's bytes")));
  if (head.kind == ucx_kind::put) return answer(wire, head, {});
  LADING_TRY { serve(wire, head, bytes); }
  LADING_CATCH_BAD_ALLOC(doom(wire, errc::no_memory))
}

inline void ucx_driver::serve(ucx_wire& wire, const ucx_head& head, bytes_view payload) {
  switch (head.kind) {
    case ucx_kind::welcome:
      if (wire.remote_number != 0 && wire.remote_number != head.request) return;
      wire.remote_number = head.request;
      wire.state = phase::open;
      return;
    case ucx_kind::detach: wire.remote_attached = false; return;
    case ucx_kind::bye: return doom(wire, errc::peer_lost);
    case ucx_kind::ping:
      if (wire.outstanding < max_outstanding) say(wire, {.kind = ucx_kind::pong, .wire = wire.remote_number});
      return;
    case ucx_kind::pong: wire.ping_out = false; return;
    case ucx_kind::put: {
      if (payload.size() != head.size) {
        return answer(wire, head,
                      fail(errc::bad_header, {.needed = head.size, .available = payload.size(), .what = "a put is not as long as it says"}));
      }
      auto range = incoming_range::open(*host_->incoming(), region_id{head.region}, head.generation, head.offset, head.size);
      if (!range) return answer(wire, head, fail(range.error()));
      if (!payload.empty()) std::memcpy(range->bytes().data(), payload.data(), payload.size());
      return answer(wire, head, {});
    }
    case ucx_kind::put_many: return serve_put_many(wire, head, payload);
    case ucx_kind::get: return serve_get(wire, head);
    case ucx_kind::get_many: return serve_get_many(wire, head, payload);
    case ucx_kind::notify: return serve_notify(wire, head);
    case ucx_kind::answer: return take_answer(wire, head, payload);
    case ucx_kind::data: {
      ucx_slot* const slot = wire.find_slot(head.request);
      if (slot == nullptr || slot->answered || slot->receiving) return;
      if ((slot->kind != ucx_kind::get && slot->kind != ucx_kind::get_many) || payload.size() != slot->bytes)
        return doom(wire, errc::backend_failure);
      return take_data(*slot, payload);
    }
    case ucx_kind::hello: return;
  }
}

inline void ucx_driver::serve_hello(const ucx_head& head, bytes_view payload) {
  if (payload.size() <= ucx_greeting::wire_size || head.request == 0 || host_->incoming()->closed.load(std::memory_order_acquire)) return;
  const ucx_greeting peer = ucx_greeting::load(payload.data());
  if (peer.wanted != host_->incoming()->identity.endpoint) return refuse(error(errc::peer_lost, {.what = "a peer wanted another endpoint"}));
  ucx_wire* wire = head.wire != 0 ? find(head.wire) : nullptr;
  if (wire != nullptr && wire->remote_number != head.request) wire = nullptr;
  for (const auto& each : wires_) {
    if (wire != nullptr) break;
    // Both may have dialled at the same time: then one wire serves both.
    if (each->endpoint == peer.endpoint && each->alive() && (each->remote_number == 0 || each->remote_number == head.request)) wire = each.get();
  }
  if (wire == nullptr) {
    for (const auto& each : wires_) {
      if (each->endpoint == peer.endpoint) doom(*each, errc::peer_lost);  // the peer has given that one up
    }
    auto fresh = open_wire(peer.endpoint, payload.subspan(ucx_greeting::wire_size));
    if (!fresh) return refuse(fresh.error());
    wire = *fresh;
  }
  if (!wire->alive()) return;
  wire->remote_number = head.request;
  wire->remote_attached = true;
  wire->state = phase::open;
  greeted(*wire, peer);
  if (wire->outstanding >= max_outstanding)
    return refuse(error(errc::limit_exceeded, {.available = max_outstanding, .what = "a peer says hello again, and does not take the answers"}));
  say(*wire, {.kind = ucx_kind::welcome, .wire = head.request, .request = wire->number});
}

/// The region of consecutive records is looked up, and pinned, once.
class ucx_pinned {
 public:
  explicit ucx_pinned(incoming_side& side) noexcept : side_(side) {}
  ucx_pinned(const ucx_pinned&) = delete;
  ucx_pinned& operator=(const ucx_pinned&) = delete;
  ~ucx_pinned() { drop(); }

  [[nodiscard]] result<bytes_span> range(const ucx_record& asked) noexcept {
    if (region_ == nullptr || id_ != asked.region || region_->generation != asked.generation) {
      drop();
      auto pinned = side_.pin(region_id{asked.region}, asked.generation);
      if (!pinned) return fail(pinned.error());
      region_ = *pinned;
      id_ = asked.region;
    }
    const bytes_span all = region_->bytes;
    if (!range_inside<std::uint64_t, std::uint64_t, std::uint64_t>(asked.offset, asked.size, all.size())) {
      return fail(errc::out_of_range,
                  {.needed = asked.size, .available = all.size(), .offset = asked.offset, .what = "a peer asked for bytes outside the region"});
    }
    return all.subspan(static_cast<std::size_t>(asked.offset), static_cast<std::size_t>(asked.size));
  }

 private:
  void drop() noexcept {
    if (region_ != nullptr) side_.unpin(region_id{id_});
    region_ = nullptr;
  }
  incoming_side& side_;
  local_region* region_ = nullptr;
  std::uint32_t id_ = 0;
};

inline void ucx_driver::serve_put_many(ucx_wire& wire, const ucx_head& head, bytes_view payload) {
  constexpr const char* what = "the records of a put do not fit its bytes";
  if (head.count > payload.size() / ucx_record::wire_size) return answer(wire, head, fail(errc::bad_header, {.what = what}));
  bytes_view rest = payload.subspan(head.count * ucx_record::wire_size);
  std::uint64_t left = rest.size();
  for (std::size_t i = 0; i < head.count; ++i) {
    const std::uint64_t size = ucx_record::load(payload.data() + i * ucx_record::wire_size).size;
    if (size > left) return answer(wire, head, fail(errc::bad_header, {.item = i, .what = what}));
    left -= size;
  }
  if (left != 0) return answer(wire, head, fail(errc::bad_header, {.what = what}));
  std::vector<std::byte> codes;
  {
    ucx_pinned pinned(*host_->incoming());
    for (std::size_t i = 0; i < head.count; ++i) {
      const ucx_record each = ucx_record::load(payload.data() + i * ucx_record::wire_size);
      const bytes_view bytes = rest.first(static_cast<std::size_t>(each.size));
      rest = rest.subspan(bytes.size());
      const auto range = pinned.range(each);
      if (range) {
        if (!bytes.empty()) std::memcpy(range->data(), bytes.data(), bytes.size());
        continue;
      }
      refuse(range.error());
      if (codes.empty()) codes.resize(2 * std::size_t{head.count});
      store_little(codes.data() + 2 * i, static_cast<std::uint16_t>(range.error().code()));
    }
  }
  if (codes.empty()) return answer(wire, head, {});
  if (wire.outstanding >= max_outstanding) return doom(wire, errc::backend_failure);
  ucx_outgoing* const message = new_outgoing(wire);
  message->payload = std::move(codes);
  ucx_head{.kind = ucx_kind::answer, .wire = wire.remote_number, .request = head.request}.store(message->head);
  send(*message, message->payload, UCP_AM_SEND_FLAG_EAGER);
}

inline void ucx_driver::serve_get(ucx_wire& wire, const ucx_head& head) {
  if (wire.outstanding >= max_outstanding) return doom(wire, errc::backend_failure);
  auto range = incoming_range::open(*host_->incoming(), region_id{head.region}, head.generation, head.offset, head.size);
  if (!range) return answer(wire, head, fail(range.error()));
  ucx_outgoing* const message = new_outgoing(wire);
  ucx_head{.kind = ucx_kind::data, .wire = wire.remote_number, .request = head.request, .size = head.size}.store(message->head);
  message->range.emplace(std::move(*range));
  send(*message, message->range->bytes(), 0);
}

inline void ucx_driver::serve_get_many(ucx_wire& wire, const ucx_head& head, bytes_view payload) {
  if (head.count == 0 || payload.size() != std::uint64_t{head.count} * ucx_record::wire_size || head.size > ucx_control_bytes) {
    return answer(wire, head, fail(errc::bad_header, {.what = "the records of a get do not fit its size"}));
  }
  if (wire.outstanding >= max_outstanding) return doom(wire, errc::backend_failure);
  std::vector<std::byte> bytes(static_cast<std::size_t>(head.size)), codes;
  std::size_t at = 0;
  {
    ucx_pinned pinned(*host_->incoming());
    for (std::size_t i = 0; i < head.count; ++i) {
      const ucx_record each = ucx_record::load(payload.data() + i * ucx_record::wire_size);
      if (each.size > bytes.size() - at)
        return answer(wire, head, fail(errc::bad_header, {.item = i, .what = "the records of a get do not fit its size"}));
      const auto size = static_cast<std::size_t>(each.size);
      if (const auto range = pinned.range(each); !range) {
        refuse(range.error());
        if (codes.empty()) codes.resize(2 * std::size_t{head.count});
        store_little(codes.data() + 2 * i, static_cast<std::uint16_t>(range.error().code()));
      } else if (size != 0) {
        std::memcpy(bytes.data() + at, range->data(), size);
      }
      at += size;
    }
  }
  if (at != bytes.size()) return answer(wire, head, fail(errc::bad_header, {.what = "the records of a get do not fit its size"}));
  ucx_outgoing* const message = new_outgoing(wire);
  ucx_head reply{.kind = ucx_kind::data, .wire = wire.remote_number, .request = head.request, .size = head.size};
  if (codes.empty()) {
    message->payload = std::move(bytes);
  } else {
    reply.kind = ucx_kind::answer;
    reply.size = 0;
    codes.insert(codes.end(), bytes.begin(), bytes.end());
    message->payload = std::move(codes);
  }
  reply.store(message->head);
  send(*message, message->payload, UCP_AM_SEND_FLAG_EAGER);
}

/// Answered once the user's queue has taken it; until then it waits, and its sender with it.
inline void ucx_driver::serve_notify(ucx_wire& wire, const ucx_head& head) {
  if (wire.notifications.size() >= 65'535) return doom(wire, errc::backend_failure);
  wire.notifications.push_back({head.request, head.size});
  hand_on_notifications(wire);
}

inline void ucx_driver::hand_on_notifications(ucx_wire& wire) noexcept {
  incoming_side& side = *host_->incoming();
  while (!wire.notifications.empty()) {
    const auto [request, tag] = wire.notifications.front();
    if (!side.notifications.push({tag, wire.endpoint})) {
      look_ = true;
      return;
    }
    wire.notifications.pop_front();
    side.awake.signal();
    answer(wire, {.request = request}, {});
  }
}

}  // namespace lading::detail
