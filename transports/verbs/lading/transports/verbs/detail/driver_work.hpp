// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// verbs_driver: memory, slices, messages, and what the hardware says of them.

#include <lading/transports/verbs/driver.hpp>

namespace lading::detail {

// --- memory

inline result<std::unique_ptr<verbs_memory>> verbs_driver::add(bytes_span bytes) {
  auto made = std::make_unique<verbs_memory>();
  made->device = device_;
  // Peers count from here, and so learn no address of this process; it lies in its page, also a huge one, as the memory does.
  // Safety: the hardware takes addresses as numbers.
  made->base = reinterpret_cast<std::uintptr_t>(bytes.data()) % (std::uintptr_t{2} << 20);
  made->registration.reset(ibv_reg_mr_iova(device_->domain.get(), bytes.data(), bytes.size(), made->base,
                                           IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ));
  if (made->registration == nullptr) {
    const int number = errno;
    if (number == ENOMEM || number == EPERM || number == EAGAIN) {
      return fail(errc::no_memory,
                  {.size = bytes.size(), .native = number, .what = "cannot lock the memory: raise the limit of locked memory (ulimit -l)"});
    }
    return fail(errc::backend_failure, {.size = bytes.size(), .native = number, .what = "the RDMA device cannot register that memory"});
  }
  return made;
}

inline result<std::unique_ptr<driver_memory>> verbs_driver::map(bytes_span bytes, memory_kind) {
  auto made = add(bytes);
  if (!made) return fail(made.error());
  return std::move(*made);
}

inline result<driver_allocation> verbs_driver::allocate(std::size_t size) {
  auto pages = verbs_pages::allocate(size);
  if (pages == nullptr) return fail(errc::no_memory, {.needed = size, .what = "the allocation failed"});
  const bytes_span bytes{pages.get(), size};
  auto made = add(bytes);
  if (!made) return fail(made.error());
  (*made)->pages = std::move(pages);
  return driver_allocation{bytes, memory_kind::host, std::move(*made)};
}

inline result<std::vector<std::byte>> verbs_driver::export_key(const local_region& region) {
  const auto& memory = static_cast<const verbs_memory&>(*region.memory);
  const auto raw = verbs_key{.base = memory.base, .rkey = memory.registration->rkey}.store();
  return std::vector<std::byte>(raw.begin(), raw.end());
}

inline result<std::unique_ptr<driver_remote>> verbs_driver::import_key(driver_connection&, const region_descriptor& region) {
  auto key = verbs_key::load(region.key, region.size);
  if (!key) return fail(key.error());
  auto made = std::make_unique<verbs_remote>();
  made->key = *key;
  return made;
}

// --- slices

inline std::size_t verbs_driver::post(batch& slices, std::size_t first) noexcept {
  verbs_wire* const wire = static_cast<verbs_connection&>(slices.connection()).wire;
  if (wire == nullptr || wire->state != phase::open) return 0;
  const std::size_t end = slices.size();
  const std::uint64_t largest = device_->largest_message;
  const auto what = slices.direction() == op::put ? verbs_work::kind::put : verbs_work::kind::get;
  std::size_t room = wire->data_room(), next = first;
  verbs_segment segment{.token = &slices.token(), .first = first};
  std::uint64_t segment_begin = wire->head;
  const auto close_segment = [&] {
    segment.end = wire->head;
    segment.count = next - segment.first;
    wire->push(segment);
    segment.first = next;
    segment.bytes = 0;
    segment_begin = wire->head;
  };
  for (; next < end; ++next) {
    const posted_slice each = slices[next];
    auto& remote = static_cast<verbs_remote&>(*each.remote.key);
    if (remote.refused) {
      if (wire->head != segment_begin) close_segment();
      segment.first = next + 1;
      slices.token().failed(next, 1, refused_range());  // may end the operation, with its last slice
      continue;
    }
    const std::uint64_t pieces = each.size <= largest ? 1 : (each.size - 1) / largest + 1;
    if (pieces > room) break;
    room -= static_cast<std::size_t>(pieces);
    const auto& memory = static_cast<const verbs_memory&>(*each.local.memory);
    const verbs_key& key = remote.key;
    for (std::uint64_t at = 0, left = each.size;; at += largest, left -= largest) {
      wire->work(wire->head++) = {.local = memory.base + each.local_offset + at,
                                  .remote = key.base + each.remote_offset + at,
                                  .lkey = memory.registration->lkey,
                                  .rkey = key.rkey,
                                  .size = static_cast<std::uint32_t>(std::min(left, largest)),
                                  .slice = static_cast<std::uint32_t>(next),
                                  .what = what,
                                  .region = &remote};
      if (left <= largest) break;
    }
    segment.bytes += each.size;
    if (wire->head - segment_begin >= options_.signal_every) {
      ++next;
      close_segment();
      --next;
    }
  }
  if (wire->head != segment_begin) close_segment();
  if (next != first) ring(*wire);
  return next - first;
}

/// Gives the hardware what the ring holds for it, as one chain.
inline void verbs_driver::ring(verbs_wire& wire) noexcept {
  std::size_t count = 0;
  for (; wire.posted != wire.head; ++wire.posted, ++count) {
    const verbs_work& each = wire.work(wire.posted);
    parts_[count] = {each.local, each.size, each.lkey};
    ibv_send_wr& wanted = chain_[count];
    wanted.wr_id = wire.posted;
    wanted.next = &wanted + 1;
    wanted.sg_list = &parts_[count];
    wanted.num_sge = each.size != 0 ? 1 : 0;
    wanted.opcode = each.what == verbs_work::kind::put ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ;
    wanted.send_flags = each.signalled ? static_cast<unsigned>(IBV_SEND_SIGNALED) : 0u;
    wanted.wr.rdma.remote_addr = each.remote;
    wanted.wr.rdma.rkey = each.rkey;
  }
  if (count == 0) return;
  chain_[count - 1].next = nullptr;
  ibv_send_wr* bad = nullptr;
  if (const int number = ibv_post_send(wire.id->qp, chain_.data(), &bad); number != 0) {
    wire.post_failure = number;
    look_ = true;
  }
}

/// Success of a cancelled or late slice is still success; those that no queue pair has end here, the others when the hardware says.
inline void verbs_driver::abort(driver_connection& peer, operation& token) noexcept {
  verbs_wire* const wire = static_cast<verbs_connection&>(peer).wire;
  if (wire == nullptr) return;
  const error why(token.given_up(), {.what = "given up before the peer had it"});
  for (verbs_request& each : wire->requests) {
    if (each.number == 0 || each.token != &token) continue;
    each.token = nullptr;  // the peer may still answer
    return token.notified(fail(error(why.code(), {.what = "all bytes arrived, but the peer has not taken the notification"})));
  }
  if (wire->state == phase::mending) {
    wire->prune([&](const verbs_segment& one) { return one.token == &token; }, [&](const verbs_segment&) { return why; });
  }
}

// --- messages

inline bool verbs_driver::say(verbs_wire& wire, const verbs_message& message) noexcept {
  if (wire.id == nullptr || wire.id->qp == nullptr || wire.posted != wire.head || !wire.message_fits()) return false;
  verbs_message::raw raw;
  message.store(raw);
  // Safety: the hardware takes addresses as numbers; the bytes are copied into the work request.
  ibv_sge part{reinterpret_cast<std::uintptr_t>(raw.data()), static_cast<std::uint32_t>(raw.size()), 0};
  ibv_send_wr wanted{};
  wanted.wr_id = wire.head;
  wanted.sg_list = &part;
  wanted.num_sge = 1;
  wanted.opcode = IBV_WR_SEND;
  wanted.send_flags = IBV_SEND_SIGNALED | IBV_SEND_INLINE;
  wire.work(wire.head++) = {};
  wire.push({.end = wire.head});
  wire.posted = wire.head;
  ibv_send_wr* bad = nullptr;
  if (const int number = ibv_post_send(wire.id->qp, &wanted, &bad); number != 0) {
    wire.post_failure = number;
    look_ = true;
  }
  return true;
}

/// Writes nothing to nowhere: the peer's hardware acknowledges it, or is gone.
inline void verbs_driver::probe(verbs_wire& wire) noexcept {
  if (wire.used() != 0 || wire.posted != wire.head) return;  // what is under way tells as much
  wire.work(wire.head++) = {.what = verbs_work::kind::put};
  wire.push({.end = wire.head});
  ring(wire);
}

inline bool verbs_driver::notify(driver_connection& peer, std::uint64_t tag, operation& token) noexcept {
  verbs_wire* const wire = static_cast<verbs_connection&>(peer).wire;
  if (wire == nullptr || wire->state != phase::open || wire->requests_out == verbs_wire::request_limit) return false;
  for (verbs_request& each : wire->requests) {
    if (each.number != 0) continue;
    if (!say(*wire, {.kind = verbs_kind::notify, .request = wire->last_request + 1, .value = tag})) return false;
    each = {&token, ++wire->last_request};
    ++wire->requests_out;
    return true;
  }
  return false;
}

inline void verbs_driver::fail_requests(verbs_wire& wire, const error& why) noexcept {
  for (verbs_request& each : wire.requests) {
    if (operation* const token = std::exchange(each, {}).token; token != nullptr) token->notified(fail(why));
  }
  wire.requests_out = 0;
}

inline void verbs_driver::take_message(verbs_wire& wire, bytes_view bytes) {
  const auto message = verbs_message::load(bytes);
  if (!message) return refuse(message.error());
  wire.life.heard();
  switch (message->kind) {
    case verbs_kind::notify:
      if (wire.user != nullptr || wire.notifications.size() >= verbs_wire::request_limit) {  // no honest peer does that
        return refuse(
            error(errc::limit_exceeded, {.available = verbs_wire::request_limit, .what = "a peer sent a notification out of turn: it was dropped"}));
      }
      wire.notifications.push_back({message->request, message->value});
      return hand_on(wire);
    case verbs_kind::ping: wire.pong_due = !say(wire, {.kind = verbs_kind::pong}); return;
    case verbs_kind::pong: wire.ping_out = false; return;
    case verbs_kind::answer:
      for (verbs_request& each : wire.requests) {
        if (each.number == 0 || each.number != message->request) continue;
        --wire.requests_out;
        if (operation* const token = std::exchange(each, {}).token; token != nullptr) token->notified();
        return;
      }
      return;
  }
}

/// Answered once the user's queue has taken it; until then it waits, and its sender with it.
inline void verbs_driver::hand_on(verbs_wire& wire) noexcept {
  incoming_side& side = *host_->incoming();
  while (!wire.notifications.empty() && wire.message_fits()) {
    const auto [request, tag] = wire.notifications.front();
    if (!side.notifications.push({tag, wire.peer.endpoint})) {
      look_ = true;
      return;
    }
    wire.notifications.pop_front();
    side.awake.signal();
    static_cast<void>(say(wire, {.kind = verbs_kind::answer, .request = request}));
  }
}

// --- completions

inline std::size_t verbs_driver::poll(verbs_wire& wire) noexcept {
  if (wire.queue == nullptr) return 0;
  std::size_t happened = 0;
  std::array<ibv_wc, 32> all;
  std::optional<ibv_wc> failure;
  for (int count = static_cast<int>(all.size()); count == static_cast<int>(all.size());) {
    count = ibv_poll_cq(wire.queue.get(), static_cast<int>(all.size()), all.data());
    for (int i = 0; i < count; ++i) {
      const ibv_wc& each = all[static_cast<std::size_t>(i)];
      ++happened;
      const bool receive = (each.wr_id & verbs_wire::receive_mark) != 0;
      if (each.status != IBV_WC_SUCCESS) {
        // The first failure of what was sent is the cause; the rest is flushed out.
        if (!failure || ((failure->wr_id & verbs_wire::receive_mark) != 0 && !receive)) failure = each;
      } else if (!receive) {
        wire.complete(each.wr_id + 1);
      } else {
        const std::size_t index = each.wr_id & ~verbs_wire::receive_mark;
        LADING_TRY {
          take_message(wire, {wire.buffers.get() + index * verbs_wire::receive_size, std::min<std::size_t>(each.byte_len, verbs_wire::receive_size)});
        }
        LADING_CATCH_BAD_ALLOC(refuse(error(errc::no_memory, {.what = "no memory for a peer's message: it was dropped"})))
        if (wire.state != phase::closed && wire.id != nullptr && wire.id->qp != nullptr) static_cast<void>(wire.post_receive(index));
      }
    }
  }
  if (failure) take_failure(wire, *failure);
  return happened;
}

inline void verbs_driver::take_failure(verbs_wire& wire, const ibv_wc& how) noexcept {
  const auto status = static_cast<std::int32_t>(how.status);
  if (how.status == IBV_WC_RETRY_EXC_ERR)
    return end(wire, error(errc::peer_lost, {.native = status, .what = "the peer's hardware does not answer: its process or its host is gone"}));
  if (how.status == IBV_WC_RNR_RETRY_EXC_ERR)
    return end(wire, error(errc::peer_stalled, {.native = status, .what = "the peer takes no messages: is it making progress?"}));
  if (wire.user == nullptr) {
    // Once a connection: end() looks at the queue again, and finds what was flushed meanwhile.
    if (wire.state != phase::closed && (how.status == IBV_WC_WR_FLUSH_ERR || (how.wr_id & verbs_wire::receive_mark) != 0)) {
      refuse(error(errc::not_registered,
                   {.what = "a peer asked for memory that is not registered for it, or sent what no buffer takes: its connection broke"}));
    }
    return end(wire, error(errc::backend_failure, {.native = status, .what = "the connection broke down"}));
  }
  error why(errc::backend_failure, {.native = status, .what = "the RDMA device could not move the slice: see ibv_wc_status"});
  verbs_remote* refused = nullptr;
  if (how.status == IBV_WC_REM_ACCESS_ERR) {
    why = refused_range();
    if ((how.wr_id & verbs_wire::receive_mark) == 0) refused = wire.work(how.wr_id).region;
    if (refused != nullptr) refused->refused = true;
  } else if (how.status == IBV_WC_LOC_PROT_ERR || how.status == IBV_WC_LOC_LEN_ERR) {
    why = error(errc::backend_failure, {.native = status, .what = "this side's hardware refused the local range: is its memory still mapped?"});
  }
  if ((how.wr_id & verbs_wire::receive_mark) == 0 && how.status != IBV_WC_WR_FLUSH_ERR) wire.failed(how.wr_id, why);
  if (refused != nullptr) wire.prune_region(refused, why);
  broke(wire, why);
}

inline void verbs_driver::refuse(const error& why) noexcept {
  std::lock_guard held(refusals_mutex_);
  ++refusals_.count;
  refusals_.last = fail(why);
}

}  // namespace lading::detail
