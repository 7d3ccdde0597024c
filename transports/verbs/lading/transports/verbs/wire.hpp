// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What a verbs endpoint keeps about one connection: a queue pair, and what it was given to do. Who connects owns the wire and moves slices over it;
// who was connected to only answers.

#include <array>
#include <bit>
#include <deque>
#include <memory>
#include <vector>

#include <lading/transport/driver.hpp>
#include <lading/transport/liveness.hpp>
#include <lading/transports/verbs/device.hpp>

namespace lading::detail {

struct verbs_wire;

/// A region of a peer.
struct verbs_remote final : driver_remote {
  verbs_key key;
  bool refused = false;  ///< the peer's hardware has refused a range of it: it has ended, or never was what its descriptor says
};

/// A peer, as the user knows it.
struct verbs_connection final : driver_connection {
  ~verbs_connection() override;
  verbs_wire* wire = nullptr;
  result<void> ended;  ///< why there is no wire any more
};

/// One work request: a slice, or a part of one that is longer than the hardware's messages, or a message.
struct verbs_work {
  enum class kind : std::uint8_t { put, get, message };

  std::uint64_t local = 0, remote = 0;
  std::uint32_t lkey = 0, rkey = 0, size = 0;
  std::uint32_t slice = 0;  ///< its place in the batch
  kind what = kind::message;
  bool signalled = false;
  verbs_remote* region = nullptr;  ///< pinned by the batch until its last report
};

/// Work requests of one batch up to the next one that asks for a completion.
struct verbs_segment {
  operation* token = nullptr;  ///< where to report; nullptr for messages
  std::uint64_t end = 0;       ///< the number of the work request after its last
  std::size_t first = 0, count = 0;
  std::uint64_t bytes = 0;
};

/// A notification that the peer has not answered.
struct verbs_request {
  operation* token = nullptr;  ///< nullptr where it was given up
  std::uint64_t number = 0;    ///< 0 = free
};

struct verbs_wire {
  enum class phase : std::uint8_t { dialing, open, mending, closed };

  /// Unanswered notifications per wire. Both sides count on it: no honest peer sends more messages than there are buffers for.
  static constexpr std::size_t request_limit = 16;
  /// Work requests kept free for messages: as many notifications and answers, and a heartbeat each way.
  static constexpr std::size_t message_room = 2 * request_limit + 8;
  static constexpr std::size_t receive_count = 64;
  static constexpr std::size_t receive_size = 32;
  /// Marks the completion of a receive.
  static constexpr std::uint64_t receive_mark = std::uint64_t{1} << 63;

  verbs_wire(std::size_t data_window, const liveness& alive)
      : window(data_window), mask(std::bit_ceil(data_window + message_room) - 1), life(alive), works(mask + 1), segments(mask + 1), spare(mask + 1) {}
  verbs_wire(const verbs_wire&) = delete;
  verbs_wire& operator=(const verbs_wire&) = delete;
  ~verbs_wire() { drop(); }

  /// Makes the queue pair of `id`, with receives posted.
  [[nodiscard]] result<void> make_queues(verbs_device& device) {
    const std::size_t sends = window + message_room;
    queue.reset(ibv_create_cq(device.context(), static_cast<int>(sends + receive_count + 1), this, device.channel.get(), 0));
    if (queue == nullptr) return fail(verbs_error(errno, "the RDMA device gives no completion queue: is window too large, or has it too many?"));
    if (buffers == nullptr) {
      buffers = std::make_unique<std::byte[]>(receive_count * receive_size);
      registration.reset(ibv_reg_mr(device.domain.get(), buffers.get(), receive_count * receive_size, int{IBV_ACCESS_LOCAL_WRITE}));
      if (registration == nullptr) {
        buffers.reset();
        return fail(verbs_error(errno, "cannot register the buffers for messages: raise the limit of locked memory (ulimit -l)"));
      }
    }
    ibv_qp_init_attr wanted{};
    wanted.send_cq = wanted.recv_cq = queue.get();
    wanted.qp_type = IBV_QPT_RC;
    wanted.cap.max_send_wr = static_cast<std::uint32_t>(sends);
    wanted.cap.max_recv_wr = receive_count;
    wanted.cap.max_send_sge = wanted.cap.max_recv_sge = 1;
    wanted.cap.max_inline_data = verbs_message::wire_size;
    if (rdma_create_qp(id.get(), device.domain.get(), &wanted) != 0)
      return fail(verbs_error(errno, "the RDMA device gives no queue pair: is window too large, or has it too many?"));
    for (std::size_t i = 0; i < receive_count; ++i) {
      if (const int number = post_receive(i); number != 0) return fail(verbs_error(number, "the RDMA device takes no receive"));
    }
    return {};
  }

  [[nodiscard]] int post_receive(std::size_t index) noexcept {
    // Safety: the hardware takes addresses as numbers.
    ibv_sge part{reinterpret_cast<std::uintptr_t>(buffers.get() + index * receive_size), receive_size, registration->lkey};
    ibv_recv_wr wanted{};
    wanted.wr_id = receive_mark | index;
    wanted.sg_list = &part;
    wanted.num_sge = 1;
    ibv_recv_wr* bad = nullptr;
    return ibv_post_recv(id->qp, &wanted, &bad);
  }

  /// Takes the queue pair away. Afterwards the hardware touches no memory of this side for it, and the peer is told, if it can be.
  void drop() noexcept {
    if (id != nullptr && id->qp != nullptr) {
      if (greeted) rdma_disconnect(id.get());
      rdma_destroy_qp(id.get());
    }
    queue.reset();
    id.reset();
    greeted = armed = false;
  }

  // The window: work requests [tail, head) are under way, or wait for the connection to be mended; [posted, head) are not yet the hardware's.
  [[nodiscard]] std::size_t used() const noexcept { return static_cast<std::size_t>(head - tail); }
  [[nodiscard]] std::size_t data_room() const noexcept { return used() < window ? window - used() : 0; }
  [[nodiscard]] bool message_fits() const noexcept { return used() < window + message_room; }
  [[nodiscard]] verbs_work& work(std::uint64_t number) noexcept { return works[number & mask]; }
  [[nodiscard]] verbs_segment& segment(std::uint64_t number) noexcept { return segments[number & mask]; }
  [[nodiscard]] bool any_segment() const noexcept { return segment_tail != segment_head; }
  void push(const verbs_segment& fresh) noexcept {
    segment(segment_head++) = fresh;
    bytes_under_way += fresh.bytes;
    work(fresh.end - 1).signalled = true;
  }

  /// Work requests before `end` have succeeded.
  void complete(std::uint64_t end) noexcept {
    while (any_segment() && segment(segment_tail).end <= end) {
      const verbs_segment over = segment(segment_tail++);
      tail = over.end;
      bytes_under_way -= over.bytes;
      failures_in_a_row = 0;
      if (over.token != nullptr) over.token->succeeded(over.count, over.bytes);
    }
  }

  /// Work request `number` has failed, those before it have succeeded, and those after it have not been looked at.
  void failed(std::uint64_t number, const error& why) noexcept {
    complete(number);
    if (!any_segment() || number < tail || number >= segment(segment_tail).end) return;
    verbs_segment& front = segment(segment_tail);
    operation* const token = front.token;
    const std::uint32_t bad = work(number).slice;
    const std::size_t before = token != nullptr ? bad - front.first : 0;
    std::uint64_t bytes_before = 0, bytes_of_it = 0;
    while (tail != front.end && (token == nullptr || work(tail).slice <= bad)) {
      (work(tail).slice < bad ? bytes_before : bytes_of_it) += work(tail).size;
      ++tail;
    }
    failures_in_a_row = 0;
    if (tail == front.end) {
      ++segment_tail;
    } else {
      front.first = bad + std::size_t{1};
      front.count -= before + 1;
      front.bytes -= bytes_before + bytes_of_it;
    }
    if (token == nullptr) return;
    bytes_under_way -= bytes_before + bytes_of_it;
    token->failed(bad, 1, why);
    if (before != 0) token->succeeded(before, bytes_before);
  }

  /// Takes out all that drop(segment) names, and reports it as failed with why(segment). What stays is to be posted again.
  void prune(auto&& drop_it, auto&& why) noexcept {
    std::uint64_t from = tail, to = tail, kept = segment_tail;
    const std::uint64_t segments_end = segment_head;
    bytes_under_way = 0;
    for (std::uint64_t each = segment_tail; each != segments_end; ++each) {
      const verbs_segment one = segment(each);
      if (one.token == nullptr || drop_it(one)) {
        from = one.end;
        if (one.token != nullptr) one.token->failed(one.first, one.count, why(one));
        continue;
      }
      for (; from != one.end; ++from, ++to) work(to) = work(from);
      segment(kept) = one;
      segment(kept++).end = to;
      bytes_under_way += one.bytes;
    }
    segment_head = kept;
    head = to;
    posted = tail;
  }

  /// Takes out all work with that region, and reports its slices as failed: each would break the next connection, too. What stays is to be posted again.
  void prune_region(const verbs_remote* region, const error& why) noexcept {
    std::uint64_t to = tail, kept = segment_tail;
    std::uint64_t from = tail;
    bytes_under_way = 0;
    for (std::uint64_t each = segment_tail; each != segment_head; ++each) {
      const verbs_segment one = segment(each);
      verbs_segment part{.token = one.token, .first = one.first};
      std::size_t next = one.first;  // the slices before it are in a part, or reported
      const auto close_part = [&] {
        if (next == part.first) return;
        part.end = to;
        part.count = next - part.first;
        work(to - 1).signalled = true;
        spare[kept++ & mask] = part;
        bytes_under_way += part.bytes;
        part.bytes = 0;
      };
      while (from != one.end) {
        const verbs_work piece = work(from);
        const std::size_t slice = piece.slice;
        std::uint64_t size = 0;
        if (piece.region == region) {
          close_part();
          while (from != one.end && work(from).slice == piece.slice) ++from;
          next = part.first = slice + 1;
          one.token->failed(slice, 1, why);  // those of the other parts are not reported: the batch goes on
          continue;
        }
        for (; from != one.end && work(from).slice == piece.slice; ++from, ++to) {
          work(to) = work(from);
          work(to).signalled = false;
          size += work(to).size;
        }
        next = slice + 1;
        part.bytes += size;
      }
      close_part();
    }
    segments.swap(spare);
    segment_head = kept;
    head = to;
    posted = tail;
  }

  verbs_id id;
  verbs_queue queue;
  verbs_registration registration;
  std::unique_ptr<std::byte[]> buffers;
  verbs_connection* user = nullptr;  ///< nullptr for a wire of the peer's
  verbs_address address;             ///< of who was dialed
  endpoint_identity peer;
  phase state = phase::dialing;
  bool greeted = false;  ///< the connection is made, as far as this side knows
  bool armed = false;    ///< the completion channel is to be told of the next completion
  bool pong_due = false;
  int post_failure = 0;               ///< errno of a chain that the hardware did not take
  unsigned failures_in_a_row = 0;     ///< of the connection, without a slice that ended
  std::chrono::nanoseconds until{0};  ///< when dialing, mending or greeting is given up
  std::chrono::nanoseconds probed{0};

  std::size_t window;
  std::uint64_t mask;
  std::uint64_t head = 0, tail = 0, posted = 0;
  std::uint64_t segment_head = 0, segment_tail = 0;
  std::uint64_t bytes_under_way = 0;  ///< of the segments
  liveness life;
  bool waiting = false, ping_out = false;
  std::uint64_t last_request = 0;
  std::size_t requests_out = 0;
  std::array<verbs_request, request_limit> requests;
  struct waiting_notification {
    std::uint64_t request, tag;
  };
  std::deque<waiting_notification> notifications;  ///< that the user's queue had no room for

 private:
  std::vector<verbs_work> works;
  std::vector<verbs_segment> segments;
  std::vector<verbs_segment> spare;  // for prune_region
};

inline verbs_connection::~verbs_connection() {
  if (wire != nullptr) wire->user = nullptr;
}

}  // namespace lading::detail
