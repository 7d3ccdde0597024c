// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What a ucx endpoint keeps about one other endpoint: one UCX endpoint, used in both directions by all connections between the two. It outlives them,
// until one side closes: UCX 1.13 may mistake one connection for another where two workers connect, close and connect again.

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include <lading/transport/driver.hpp>
#include <lading/transport/liveness.hpp>
#include <lading/transports/ucx/message.hpp>
#include <lading/transports/ucx/process_watch.hpp>
#include <lading/transports/ucx/worker.hpp>

namespace lading::detail {

class ucx_driver;
struct ucx_wire;

/// A peer, as the user knows it. Several may share a wire.
struct ucx_connection final : driver_connection {
  ~ucx_connection() override;
  ucx_wire* wire = nullptr;
};

/// A request of this side, from its message to the peer's answer.
struct ucx_slot {
  ucx_wire* wire = nullptr;
  std::uint64_t id = 0;  ///< its place among the slots (low 16 bits), and how often that was used
  ucx_kind kind{};
  bool used = false;
  bool sending = false;    ///< UCX has the message
  bool receiving = false;  ///< UCX writes the answer's bytes
  bool direct = false;     ///< UCX reads from, or writes to, the user's region; else `bounce`
  bool answered = false;
  ucx_connection* connection = nullptr;
  operation* token = nullptr;  ///< where to report; nullptr once that is done
  std::size_t first = 0, count = 0;
  std::uint64_t bytes = 0;
  result<void> how;
  std::vector<errc> each;  ///< how each record ended, where they differ
  ucx_head::raw head{};
  std::vector<std::byte> bounce;    ///< records, then the bytes of a put
  std::vector<bytes_span> targets;  ///< of a get

  /// Whether UCX may still touch the user's memory.
  [[nodiscard]] bool holds_memory() const noexcept { return direct && (sending || receiving); }
};

/// A message to the peer that is no request.
struct ucx_outgoing {
  ucx_wire* wire = nullptr;
  ucx_head::raw head{};
  std::vector<std::byte> payload;
  std::optional<incoming_range> range;  ///< what a get reads
};

/// A large message of the peer that is being received.
struct ucx_incoming {
  ucx_wire* wire = nullptr;
  ucx_head head;
  std::vector<std::byte> bytes;
  std::optional<incoming_range> range;  ///< what a put writes
  ucx_slot* slot = nullptr;             ///< whose get is answered
};

struct ucx_wire {
  enum class phase : std::uint8_t { dialing, open, closing, closed };

  ucx_wire(ucx_driver& of, std::uint64_t self, std::uint64_t peer_endpoint, const liveness& alive)
      : driver(of), number(self), endpoint(peer_endpoint), life(alive) {}

  ucx_driver& driver;
  std::uint64_t number;             ///< by which the peer names it
  std::uint64_t remote_number = 0;  ///< by which the peer knows it
  std::uint64_t endpoint;           ///< the peer's identity
  ucp_ep_h ep = nullptr;
  phase state = phase::dialing;
  errc doomed{};             ///< why it is to be closed
  void* closing = nullptr;   ///< UCX's request
  bool got_through = false;  ///< UCX has sent something over it
  bool failed = false;       ///< UCX has given it up
  std::vector<ucx_connection*> users;
  bool remote_attached = false;  ///< the peer uses it too
  bool ping_out = false, active = false;
  liveness life;
  std::uint64_t pid = 0;  ///< of the peer, where it is a process of this host that can be watched, or this one
  bool same_process = false;
  process_watch process;
  std::chrono::nanoseconds seen_alive{0};  ///< when `process` was last asked for a batch
  std::vector<std::unique_ptr<ucx_slot>> slots;
  std::vector<ucx_slot*> free_slots;
  std::size_t used_slots = 0;
  std::uint64_t bytes_out = 0;           ///< of this side's requests
  std::uint64_t bytes_served = 0;        ///< of the peer's large ones
  std::size_t outstanding = 0;           ///< messages and receptions of others than slots that UCX has
  std::vector<std::uint64_t> well_done;  ///< the peer's requests that ended well, of which it is not told yet
  struct waiting_notification {
    std::uint64_t request, tag;
  };
  std::deque<waiting_notification> notifications;  ///< that the user's queue had no room for

  [[nodiscard]] bool unused() const noexcept { return users.empty() && !remote_attached && used_slots == 0; }
  [[nodiscard]] bool usable() const noexcept { return state == phase::open && doomed == errc{}; }
  [[nodiscard]] bool alive() const noexcept { return (state == phase::open || state == phase::dialing) && doomed == errc{}; }
  [[nodiscard]] ucx_slot* find_slot(std::uint64_t id) noexcept {
    const std::size_t index = id & 0xffff;
    return index < slots.size() && slots[index]->used && slots[index]->id == id ? slots[index].get() : nullptr;
  }
  /// A slot that nobody uses; nullptr where the window is full.
  [[nodiscard]] ucx_slot* take_slot(std::size_t window) {
    if (free_slots.empty()) {
      if (slots.size() == window) return nullptr;
      free_slots.reserve(slots.size() + 1);
      slots.push_back(std::make_unique<ucx_slot>());
      slots.back()->wire = this;
      slots.back()->id = slots.size() - 1;
      free_slots.push_back(slots.back().get());
    }
    ucx_slot* const taken = free_slots.back();
    free_slots.pop_back();
    taken->used = true;
    taken->id += 0x10000;
    taken->sending = taken->receiving = taken->direct = taken->answered = false;
    taken->how = {};
    taken->each.clear();
    taken->targets.clear();
    taken->bounce.clear();
    taken->bytes = 0;
    ++used_slots;
    return taken;
  }
  void give_back(ucx_slot& slot) noexcept {
    slot.used = false;
    bytes_out -= slot.bytes;
    --used_slots;
    free_slots.push_back(&slot);  // has room: reserved by take_slot
  }
};

inline ucx_connection::~ucx_connection() {
  if (wire != nullptr) std::erase(wire->users, this);
}

}  // namespace lading::detail
