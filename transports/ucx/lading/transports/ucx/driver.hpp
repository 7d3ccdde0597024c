// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <unordered_map>

#include <lading/transport/endpoint.hpp>
#include <lading/transport/event_set.hpp>
#include <lading/transports/ucx/address.hpp>
#include <lading/transports/ucx/listener.hpp>
#include <lading/transports/ucx/registration.hpp>
#include <lading/transports/ucx/shared_memory.hpp>
#include <lading/transports/ucx/wire.hpp>

namespace lading {

/// How a ucx endpoint works, besides what every endpoint has.
struct ucx_options {
  std::string lanes = {};    ///< as UCX_TLS: "tcp", "posix,sysv,self" (shared memory only), "rc", "rc,tcp"; empty = as UCX_TLS says, or UCX's choice
  std::string devices = {};  ///< as UCX_NET_DEVICES: "eth0", "mlx5_0:1"; empty = likewise
  std::vector<ucx_setting> settings = {};                ///< any other of UCX's own, for this endpoint alone
  std::string listen = {};                               ///< "host:port" at which peers may ask for the address; ":0" = any free port; empty = none
  std::size_t window = 32;                               ///< requests under way per peer, 1 to 1,000: a peer gives up who asks for more at once
  std::uint64_t window_bytes = std::uint64_t{32} << 20;  ///< bytes under way per peer; one larger slice goes alone
  std::chrono::nanoseconds heartbeat = std::chrono::milliseconds(500);  ///< between messages to a peer that is silent while something waits for it
  std::chrono::nanoseconds stall_limit = std::chrono::seconds(10);      ///< silence, plus 20 ns per byte under way: then peer_stalled
  bool share_regions = true;                                            ///< peers of this host copy straight to and from what allocate_region made
  std::size_t max_wires = 4096;                                         ///< endpoints that may be connected at a time
  endpoint_options endpoint = {};
};

namespace detail {

/// Messages of one peer that may be under way here. A peer that asks faster than it takes the answers is not served any longer.
inline constexpr std::size_t ucx_max_outstanding = 1024;
/// Requests that a peer may have under way there: as many, but for what else it says.
inline constexpr std::size_t ucx_max_window = 1000;
inline constexpr std::size_t ucx_answers_at_once = 64;  // requests whose good end one message tells

/// The value of options that UCX need not be asked about.
///
/// Errors: invalid_argument, with the limit.
[[nodiscard]] inline result<void> check(const ucx_options& options) noexcept {
  if (options.window == 0 || options.window > ucx_max_window)
    return fail(errc::invalid_argument, {.needed = options.window, .available = ucx_max_window, .what = "the option window is 1 to 1,000"});
  if (options.window_bytes == 0) return fail(errc::invalid_argument, {.needed = 0, .available = 1, .what = "the option window_bytes is at least 1"});
  if (options.heartbeat.count() <= 0 || options.stall_limit.count() <= 0) {
    return fail(errc::invalid_argument, {.needed = 1, .available = 0, .what = "the options heartbeat and stall_limit are times above 0"});
  }
  return {};
}

}  // namespace detail

/// What peers asked for that was refused.
struct ucx_refusals {
  std::uint64_t count = 0;
  result<void> last;  ///< the latest; ok where there was none
};

namespace detail {

struct ucx_remote final : driver_remote {
  std::uint32_t region = 0;
  std::uint64_t generation = 0;
  shared_view shared;  ///< empty where the region is reached by messages
};

/// Slices of regions that a peer of this host shares are copied. Every other slice travels as an active message, or in one, and the receiver checks
/// its region, generation and bounds: UCX itself enforces nothing on most lanes. Large messages go by rendezvous straight between the regions.
class ucx_driver final : public driver {
 public:
  explicit ucx_driver(const ucx_options& options) : options_(options), shares_(options.share_regions && ucx_worker::shares_memory(options.lanes)) {}

  std::string_view name() const noexcept override { return "ucx"; }
  lading::capabilities capabilities() const noexcept override { return {.detects_peer_death = true, .native_gather = true, .notifies = true}; }
  result<void> start(driver_host& host) override;
  void stop() noexcept override;

  result<std::vector<std::byte>> native_address() const override;
  result<std::unique_ptr<driver_connection>> connect(const endpoint_address& address) override;
  result<bool> connected(driver_connection& peer) noexcept override;
  void disconnect(driver_connection& peer) noexcept override;

  result<std::unique_ptr<driver_memory>> map(bytes_span bytes, memory_kind) override { return ucx_registration::make(worker_.context(), bytes); }
  result<driver_allocation> allocate(std::size_t size) override;
  result<std::vector<std::byte>> export_key(const local_region& exported) override;
  result<std::unique_ptr<driver_remote>> import_key(driver_connection& peer, const region_descriptor& region) override;

  std::size_t post(batch& slices, std::size_t first) noexcept override;
  bool notify(driver_connection& peer, std::uint64_t tag, operation& token) noexcept override;
  void abort(driver_connection& peer, operation& token) noexcept override;
  std::size_t progress() noexcept override;
  std::chrono::nanoseconds time_of_round(const driver_host&) const noexcept override { return now_; }
  int event_fd() const noexcept override;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] ucx_refusals refusals() const {
    std::lock_guard held(refusals_mutex_);
    return refusals_;
  }

 private:
  using phase = ucx_wire::phase;
  static constexpr std::size_t max_outstanding = ucx_max_outstanding;

  // Wires.
  [[nodiscard]] result<ucx_wire*> open_wire(std::uint64_t endpoint, bytes_view worker_address);
  [[nodiscard]] ucx_wire* find(std::uint64_t number) noexcept {
    if (last_found_ != nullptr && last_found_->number == number) return last_found_;
    const auto found = by_number_.find(number);
    if (found == by_number_.end()) return nullptr;
    return last_found_ = found->second;
  }
  void forget(const ucx_wire& wire) noexcept {
    by_number_.erase(wire.number);
    last_found_ = nullptr;
    std::erase(to_tell_, &wire);
  }
  void read_clock() noexcept {
    now_ = host_->now();
    unclocked_ = 0;
    busy_rounds_ = 0;
  }
  [[nodiscard]] ucx_wire* wire_to(std::uint64_t endpoint) noexcept {
    for (const auto& each : wires_) {
      if (each->endpoint == endpoint && each->alive()) return each.get();
    }
    return nullptr;
  }
  [[nodiscard]] ucx_greeting greeting(std::uint64_t wanted) const noexcept {
    const endpoint_identity& self = host_->incoming()->identity;
    return {.process = self.process, .endpoint = self.endpoint, .wanted = wanted, .host = host_number_, .pid = own_process_number()};
  }
  void greeted(ucx_wire& wire, const ucx_greeting& peer) noexcept;
  void say_hello(ucx_wire& wire);
  void doom(ucx_wire& wire, errc why) noexcept {
    if (wire.doomed == errc{}) wire.doomed = why;
    look_ = true;
  }
  void retire(ucx_wire& wire) noexcept;
  void begin_close(ucx_wire& wire) noexcept;
  void close_by_force(ucx_wire& wire) noexcept;
  void look_after(ucx_wire& wire, std::chrono::nanoseconds now) noexcept;
  void keep_alive(ucx_wire& wire, std::chrono::nanoseconds now) noexcept;

  // Regions that peers share. After a round a cancel or deadline is seen: memory that is touched for the first time takes a hundred milliseconds for as
  // many bytes as otherwise take three.
  static constexpr std::uint64_t round_bytes = std::uint64_t{32} << 20;
  static constexpr std::chrono::nanoseconds round_time = std::chrono::milliseconds(4), unbegun = std::chrono::nanoseconds::max();
  static constexpr std::uint64_t turn_bytes = std::uint64_t{4} << 20;  // of one batch, before the next has its turn
  struct direct_share {                                                // of a round, that one batch takes
    bool begun = false, streaming = false, moved = false;
    std::uint64_t left = round_bytes;  // of its turn
    std::size_t count = 0;             // of slices that arrived, and are still to be reported
    std::uint64_t bytes = 0;
  };
  static constexpr std::uint64_t clock_bytes = std::uint64_t{256} << 10;  // some 20 µs, after which the clock is read anew
  // A batch that is larger than what the caches keep bypasses them, in slices that are long enough to gain by it.
  static constexpr std::uint64_t streaming_batch = std::uint64_t{16} << 20;
  static constexpr std::uint64_t streaming_slice = std::uint64_t{16} << 10;
  [[nodiscard]] std::size_t copy_shared(ucx_wire& wire, batch& slices, std::size_t first, std::size_t end, direct_share& share) noexcept;
  void watch_round(const batch& slices) noexcept;
  [[nodiscard]] bool owner_lives(ucx_wire& wire, const batch& slices) noexcept;
  void revoke_all() noexcept;

  // Messages out.
  [[nodiscard]] ucx_outgoing* new_outgoing(ucx_wire& wire);
  void send(ucx_outgoing& message, bytes_view payload, unsigned flags) noexcept;
  void sent(ucx_outgoing& message) noexcept;
  void say(ucx_wire& wire, const ucx_head& head) noexcept;
  void answer(ucx_wire& wire, const ucx_head& asked, const result<void>& how) noexcept;
  void tell_well_done(ucx_wire& wire) noexcept;
  [[nodiscard]] static ucs_status_ptr_t send_raw(ucx_wire& wire, const ucx_head::raw& head, bytes_view payload, unsigned flags,
                                                 ucp_send_nbx_callback_t done, void* argument) noexcept;

  // Requests of this side.
  void pack(batch& slices, std::size_t first, ucx_slot& slot);
  void send_request(ucx_slot& slot, const ucx_head& head, bytes_view payload, unsigned flags) noexcept;
  void request_sent(ucx_slot& slot, ucs_status_t status) noexcept;
  void settle(ucx_slot& slot) noexcept;
  void report(ucx_slot& slot) noexcept;
  void abandon(ucx_slot& slot, const error& why) noexcept;
  void take_answer(ucx_wire& wire, const ucx_head& head, bytes_view payload) noexcept;
  void take_well_done(ucx_slot& slot) noexcept;
  void take_data(ucx_slot& slot, bytes_view payload) noexcept;

  // Messages in.
  static ucs_status_t on_message(void* self, const void* head, std::size_t head_size, void* data, std::size_t size,
                                 const ucp_am_recv_param_t* how) noexcept;
  ucs_status_t take(const ucx_head& head, void* data, std::size_t size, bool rendezvous);
  void receive(ucx_wire& wire, const ucx_head& head, void* descriptor, std::size_t size);
  void received(ucx_incoming& message, ucs_status_t status) noexcept;
  void serve(ucx_wire& wire, const ucx_head& head, bytes_view payload);
  void serve_hello(const ucx_head& head, bytes_view payload);
  void serve_put_many(ucx_wire& wire, const ucx_head& head, bytes_view payload);
  void serve_get(ucx_wire& wire, const ucx_head& head);
  void serve_get_many(ucx_wire& wire, const ucx_head& head, bytes_view payload);
  void serve_notify(ucx_wire& wire, const ucx_head& head);
  void hand_on_notifications(ucx_wire& wire) noexcept;
  void refuse(const error& why) noexcept {
    std::lock_guard held(refusals_mutex_);
    ++refusals_.count;
    refusals_.last = fail(why);
  }

  ucx_options options_;
  driver_host* host_ = nullptr;
  std::uint64_t host_number_ = 0;
  bool shares_;  // regions, with peers of this host
  ucx_worker worker_;
  ucx_addresses addresses_;
  ucx_listener listener_;
  std::uint16_t port_ = 0;
  std::vector<std::unique_ptr<ucx_wire>> wires_;
  std::unordered_map<std::uint64_t, ucx_wire*> by_number_;
  ucx_wire* last_found_ = nullptr;
  std::vector<std::unique_ptr<ucx_outgoing>> outgoing_;  // all, used or not
  std::vector<ucx_outgoing*> free_outgoing_;
  std::vector<std::unique_ptr<ucx_incoming>> incoming_;
  std::vector<ucx_incoming*> free_incoming_;
  std::vector<ucx_wire*> to_tell_;  // whose peers are to be told what ended well, at the end of the round
  std::chrono::nanoseconds now_{0}, looked_{0};
  std::uint64_t round_left_ = round_bytes;  // of what all batches together may copy before progress is next called
  std::chrono::nanoseconds round_began_ = unbegun;
  std::uint64_t unclocked_ = 0;  // bytes copied since now_ was read
  int busy_rounds_ = 0;          // of progress since then
  bool look_ = false;            // something is to be looked after at once
  mutable std::mutex refusals_mutex_;
  ucx_refusals refusals_;
  mutable event_set event_set_;
};

}  // namespace detail
}  // namespace lading

#include <lading/transports/ucx/detail/driver_answers.hpp>
#include <lading/transports/ucx/detail/driver_direct.hpp>
#include <lading/transports/ucx/detail/driver_requests.hpp>
#include <lading/transports/ucx/detail/driver_serving.hpp>
#include <lading/transports/ucx/detail/driver_wires.hpp>
