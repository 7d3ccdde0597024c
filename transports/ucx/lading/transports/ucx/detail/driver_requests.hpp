// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// ucx_driver: what this side asks its peers for.

#include <lading/transports/ucx/driver.hpp>

namespace lading::detail {

inline ucs_status_ptr_t ucx_driver::send_raw(ucx_wire& wire, const ucx_head::raw& head, bytes_view payload, unsigned flags,
                                             ucp_send_nbx_callback_t done, void* argument) noexcept {
  ucp_request_param_t params{};
  params.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_FLAGS;
  params.flags = flags;
  params.cb.send = done;
  params.user_data = argument;
  return ucp_am_send_nbx(wire.ep, ucx_worker::message_id, head.data(), head.size(), payload.data(), payload.size(), &params);
}

// --- messages that are no requests

inline ucx_outgoing* ucx_driver::new_outgoing(ucx_wire& wire) {
  if (free_outgoing_.empty()) {
    auto made = std::make_unique<ucx_outgoing>();
    made->payload.reserve(ucx_answers_at_once * sizeof(std::uint64_t));
    free_outgoing_.reserve(outgoing_.size() + 1);
    outgoing_.push_back(std::move(made));
    free_outgoing_.push_back(outgoing_.back().get());
  }
  ucx_outgoing* const message = free_outgoing_.back();
  free_outgoing_.pop_back();
  message->wire = &wire;
  return message;
}

inline void ucx_driver::send(ucx_outgoing& message, bytes_view payload, unsigned flags) noexcept {
  ucx_wire& wire = *message.wire;
  ++wire.outstanding;
  if (message.range) wire.bytes_served += message.range->bytes().size();
  if (!wire.alive()) return sent(message);
  const auto done = [](void* request, ucs_status_t status, void* argument) noexcept {
    auto& over = *static_cast<ucx_outgoing*>(argument);
    ucp_request_free(request);
    over.wire->got_through = over.wire->got_through || status == UCS_OK;
    over.wire->driver.sent(over);
  };
  const auto posted = send_raw(wire, message.head, payload, flags, done, &message);
  if (UCS_PTR_IS_PTR(posted)) return;
  if (UCS_PTR_IS_ERR(posted)) {
    doom(wire, errc::peer_lost);
  } else {
    wire.got_through = true;
  }
  sent(message);
}

inline void ucx_driver::sent(ucx_outgoing& message) noexcept {
  --message.wire->outstanding;
  if (message.range) message.wire->bytes_served -= message.range->bytes().size();
  message.range.reset();
  message.payload.clear();
  if (message.payload.capacity() > ucx_control_bytes) std::vector<std::byte>().swap(message.payload);
  free_outgoing_.push_back(&message);  // has room: reserved by new_outgoing
}

inline void ucx_driver::say(ucx_wire& wire, const ucx_head& head) noexcept {
  LADING_TRY {
    ucx_outgoing* const message = new_outgoing(wire);
    head.store(message->head);
    send(*message, {}, UCP_AM_SEND_FLAG_EAGER);
  }
  LADING_CATCH_BAD_ALLOC(doom(wire, errc::no_memory))
}

// --- requests

/// As many small slices as go into one message.
inline void ucx_driver::pack(batch& slices, std::size_t first, ucx_slot& slot) {
  const bool put = slices.direction() == op::put;
  std::size_t count = 0, payload = 0;
  for (; first + count < slices.size(); ++count) {
    const posted_slice each = slices[first + count];
    const std::uint64_t size = each.size;
    if (static_cast<const ucx_remote&>(*each.remote.key).shared) break;
    const std::size_t records = (count + 1) * ucx_record::wire_size;
    if (size >= ucx_alone_bytes || records + (put ? payload + size : 0) > ucx_pack_bytes || payload + size > ucx_pack_bytes) break;
    payload += static_cast<std::size_t>(size);
  }
  slot.bounce.resize(count * ucx_record::wire_size + (put ? payload : 0));
  std::byte* record = slot.bounce.data();
  std::byte* bytes = record + count * ucx_record::wire_size;
  if (!put) slot.targets.reserve(count);
  for (std::size_t i = 0; i < count; ++i, record += ucx_record::wire_size) {
    const posted_slice each = slices[first + i];
    const auto& remote = static_cast<const ucx_remote&>(*each.remote.key);
    ucx_record{remote.region, remote.generation, each.remote_offset, each.size}.store(record);
    if (!put) {
      slot.targets.push_back(each.local_bytes());
    } else if (each.size != 0) {
      std::memcpy(bytes, each.local_bytes().data(), static_cast<std::size_t>(each.size));
      bytes += each.size;
    }
  }
  slot.count = count;
  slot.bytes = payload;
}

inline std::size_t ucx_driver::post(batch& slices, std::size_t first) noexcept {
  auto& connection = static_cast<ucx_connection&>(slices.connection());
  ucx_wire* const wire = connection.wire;
  if (wire == nullptr || !wire->usable()) return 0;
  const bool put = slices.direction() == op::put;
  const std::size_t end = slices.size();
  operation& token = slices.token();
  std::size_t next = first;
  direct_share share;
  while (next < end && wire->usable()) {
    const posted_slice front = slices[next];
    if (static_cast<const ucx_remote&>(*front.remote.key).shared) {
      if (round_left_ == 0 || share.left == 0) {
        slices.again(share.moved);
        break;
      }
      if (!share.begun) {
        if (!owner_lives(*wire, slices)) break;
        share.begun = true;
        share.streaming = slices.total_bytes() >= streaming_batch;
        if (slices.durable()) share.left = turn_bytes;  // progress has it, and may have others
      }
      const std::size_t copied = copy_shared(*wire, slices, next, end, share);
      next += copied;
      if (copied == 0 && round_left_ != 0 && share.left != 0) break;
      continue;
    }
    if (wire->bytes_out >= options_.window_bytes) break;
    const bool alone = front.size >= ucx_alone_bytes;
    if (alone && wire->bytes_out != 0 && wire->bytes_out + front.size > options_.window_bytes) break;
    ucx_slot* slot = nullptr;
    LADING_TRY {
      slot = wire->take_slot(options_.window);
      if (slot == nullptr) break;
      slot->first = next;
      if (!alone) {
        pack(slices, next, *slot);
      } else if (!put) {
        slot->targets.push_back(front.local_bytes());
      }
    }
    LADING_CATCH_BAD_ALLOC({
      if (slot != nullptr) wire->give_back(*slot);
      break;
    })
    slot->connection = &connection;
    slot->token = &token;
    slot->direct = alone;
    ucx_head head{.count = 1, .wire = wire->remote_number, .request = slot->id};
    bytes_view payload = slot->bounce;
    if (alone) {
      const auto& remote = static_cast<const ucx_remote&>(*front.remote.key);
      slot->count = 1;
      slot->bytes = front.size;
      head.kind = put ? ucx_kind::put : ucx_kind::get;
      head.region = remote.region;
      head.generation = remote.generation;
      head.offset = front.remote_offset;
      head.size = front.size;
      if (put) payload = front.local_bytes();
    } else {
      head.kind = put ? ucx_kind::put_many : ucx_kind::get_many;
      head.count = static_cast<std::uint32_t>(slot->count);
      head.size = slot->bytes;
    }
    wire->bytes_out += slot->bytes;
    next += slot->count;
    send_request(*slot, head, payload, alone ? 0u : static_cast<unsigned>(UCP_AM_SEND_FLAG_EAGER));  // may end the operation with its last slice
  }
  if (share.count != 0) token.succeeded(share.count, share.bytes);
  return next - first;
}

inline bool ucx_driver::notify(driver_connection& peer, std::uint64_t tag, operation& token) noexcept {
  auto& connection = static_cast<ucx_connection&>(peer);
  ucx_wire* const wire = connection.wire;
  if (wire == nullptr || !wire->usable()) return false;
  ucx_slot* slot = nullptr;
  LADING_TRY { slot = wire->take_slot(options_.window); }
  LADING_CATCH_BAD_ALLOC(slot = nullptr)
  if (slot == nullptr) return false;
  slot->connection = &connection;
  slot->token = &token;
  slot->count = 0;
  send_request(*slot, {.kind = ucx_kind::notify, .wire = wire->remote_number, .request = slot->id, .size = tag}, {}, UCP_AM_SEND_FLAG_EAGER);
  return true;
}

inline void ucx_driver::send_request(ucx_slot& slot, const ucx_head& head, bytes_view payload, unsigned flags) noexcept {
  slot.kind = head.kind;
  head.store(slot.head);
  slot.sending = true;
  const auto done = [](void* request, ucs_status_t status, void* argument) noexcept {
    auto& over = *static_cast<ucx_slot*>(argument);
    ucp_request_free(request);
    over.wire->driver.request_sent(over, status);
  };
  const auto posted = send_raw(*slot.wire, slot.head, payload, flags, done, &slot);
  if (!UCS_PTR_IS_PTR(posted)) request_sent(slot, UCS_PTR_STATUS(posted));
}

inline void ucx_driver::request_sent(ucx_slot& slot, ucs_status_t status) noexcept {
  slot.sending = false;
  if (status != UCS_OK && !slot.answered) {
    slot.answered = true;
    slot.how = fail(ucx_error(status, "UCX could not send the slice"));
    if (slot.wire->alive() && slot.wire->doomed == errc{}) doom(*slot.wire, errc::peer_lost);
  }
  settle(slot);
}

/// Reports and frees a request that is over.
inline void ucx_driver::settle(ucx_slot& slot) noexcept {
  if (!slot.used || !slot.answered || slot.sending || slot.receiving) return;
  report(slot);
  slot.wire->give_back(slot);
}

inline void ucx_driver::report(ucx_slot& slot) noexcept {
  operation* const token = std::exchange(slot.token, nullptr);
  if (token == nullptr) return;
  if (!slot.answered) slot.how = fail(errc::closed, {.what = "the endpoint was closed before the peer answered"});
  if (slot.kind == ucx_kind::notify) return token->notified(slot.how);
  if (!slot.how) return token->failed(slot.first, slot.count, slot.how.error());
  if (slot.each.empty()) return token->succeeded(slot.count, slot.bytes);
  std::uint64_t bytes = 0;
  std::size_t good = 0;
  for (std::size_t i = 0; i < slot.count; ++i) {
    if (slot.each[i] != errc{}) continue;
    ++good;
    bytes += ucx_record::load(slot.bounce.data() + i * ucx_record::wire_size).size;
  }
  // The last report may end the operation: count what is left until then.
  std::size_t bad = slot.count - good;
  for (std::size_t i = 0; i < slot.count && bad != 0; ++i) {
    if (slot.each[i] == errc{}) continue;
    if (--bad == 0 && good != 0) token->succeeded(std::exchange(good, 0), bytes);
    token->failed(slot.first + i, 1, error(slot.each[i], {.what = "the peer refused the slice"}));
  }
}

/// Reports a request as failed now, where UCX no longer touches the user's memory; its answer, should it come, is dropped.
inline void ucx_driver::abandon(ucx_slot& slot, const error& why) noexcept {
  if (slot.token == nullptr || slot.holds_memory()) return;
  operation* const token = std::exchange(slot.token, nullptr);
  if (slot.kind == ucx_kind::notify) return token->notified(fail(why));
  token->failed(slot.first, slot.count, why);
}

inline void ucx_driver::abort(driver_connection& peer, operation& token) noexcept {
  ucx_wire* const wire = static_cast<ucx_connection&>(peer).wire;
  if (wire == nullptr) return;
  const error why(token.given_up(), {.what = "given up while the peer had it"});
  // The last report may free the operation for another one: stop at what was counted before.
  std::size_t left = 0;
  for (const auto& slot : wire->slots) left += slot->used && slot->token == &token && !slot->holds_memory();
  for (const auto& slot : wire->slots) {
    if (left == 0) break;
    if (!slot->used || slot->token != &token || slot->holds_memory()) continue;
    --left;
    abandon(*slot, why);
  }
}

}  // namespace lading::detail
