// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <optional>

#include <lading/transport/endpoint.hpp>
#include <lading/transport/event_set.hpp>
#include <lading/transports/verbs/wire.hpp>

namespace lading {

/// What was refused to peers. Of what the hardware refuses it tells this side nothing but that a connection broke, and the peer that the range was refused.
struct verbs_refusals {
  std::uint64_t count = 0;  ///< connections that broke over what a peer asked for, and messages that made no sense
  result<void> last;        ///< the latest, not_registered for the former; ok where there was none
};

namespace detail {

/// Slices travel as RDMA writes and reads, in chains of work requests with one doorbell each; the hardware of both sides checks every access.
///
/// A refused access breaks the queue pair. Then the slice is reported, and so are all others of that import of the region; a new queue pair is connected,
/// and what else had not been done is posted again: that is safe, because writing or reading twice does what once does, and nothing is announced before
/// all is done.
class verbs_driver final : public driver {
 public:
  verbs_driver(const verbs_options& options, std::shared_ptr<verbs_device> device)
      : options_(options), device_(std::move(device)), chain_(options.window), parts_(options.window) {}

  std::string_view name() const noexcept override { return "verbs"; }
  lading::capabilities capabilities() const noexcept override {
    return {.one_sided = true,
            .enforces_ranges = true,
            .detects_peer_death = true,
            .notifies = true,
            .max_inflight = static_cast<std::uint32_t>(options_.window),
            .max_slice_size = options_.window * device_->largest_message};
  }
  result<void> start(driver_host& host) override {
    host_ = &host;
    now_ = host.now();
    return {};
  }
  void stop() noexcept override;

  result<std::unique_ptr<driver_memory>> map(bytes_span bytes, memory_kind kind) override;
  result<driver_allocation> allocate(std::size_t size) override;
  result<std::vector<std::byte>> export_key(const local_region& region) override;
  result<std::unique_ptr<driver_remote>> import_key(driver_connection& peer, const region_descriptor& region) override;

  result<std::vector<std::byte>> native_address() const override;
  result<std::unique_ptr<driver_connection>> connect(const endpoint_address& address) override;
  result<bool> connected(driver_connection& peer) noexcept override;
  void disconnect(driver_connection& peer) noexcept override;

  std::size_t post(batch& slices, std::size_t first) noexcept override;
  bool notify(driver_connection& peer, std::uint64_t tag, operation& token) noexcept override;
  void abort(driver_connection& peer, operation& token) noexcept override;
  std::size_t progress() noexcept override;
  int event_fd() const noexcept override;

  [[nodiscard]] verbs_refusals refusals() const {
    std::lock_guard held(refusals_mutex_);
    return refusals_;
  }
  [[nodiscard]] const verbs_device& device() const noexcept { return *device_; }

 private:
  using phase = verbs_wire::phase;

  /// An event of the connection manager, copied so that it can be acknowledged before it is acted on.
  struct event {
    rdma_cm_event_type type{};
    int status = 0;
    rdma_cm_id* id = nullptr;
    std::uint8_t responder_resources = 0, initiator_depth = 0;
    std::array<std::byte, verbs_greeting::wire_size> greeting{};
    std::size_t greeting_size = 0;
  };

  // Wires: from dialing to their end.
  [[nodiscard]] result<void> dial(verbs_wire& wire);
  [[nodiscard]] rdma_conn_param parameters(const verbs_greeting::raw& greeting) const noexcept;
  void set_ack_timeout(rdma_cm_id& id) const noexcept;
  [[nodiscard]] int set_rnr_timer(rdma_cm_id& id) const noexcept;
  [[nodiscard]] bool has_broken(rdma_cm_id& id) const noexcept;
  [[nodiscard]] bool take_event(event& taken) noexcept;
  [[nodiscard]] std::size_t take_events() noexcept;
  void handle(const event& happened) noexcept;
  void accept(const event& asked);
  [[nodiscard]] result<void> route(verbs_wire& wire) noexcept;
  [[nodiscard]] result<void> meet(verbs_wire& wire, const event& happened) noexcept;
  void established(verbs_wire& wire) noexcept;
  void end(verbs_wire& wire, const error& why) noexcept;
  void broke(verbs_wire& wire, const error& why) noexcept;
  void look_after(verbs_wire& wire) noexcept;
  [[nodiscard]] bool arm() noexcept;

  // Work.
  [[nodiscard]] result<std::unique_ptr<verbs_memory>> add(bytes_span bytes);
  void ring(verbs_wire& wire) noexcept;
  [[nodiscard]] bool say(verbs_wire& wire, const verbs_message& message) noexcept;
  void probe(verbs_wire& wire) noexcept;
  [[nodiscard]] std::size_t poll(verbs_wire& wire) noexcept;
  [[nodiscard]] static error refused_range() noexcept {
    return error(errc::not_registered,
                 {.native = IBV_WC_REM_ACCESS_ERR,
                  .what = "the peer's hardware refused the range: its owner has deregistered the region; import its new descriptor"});
  }
  void take_failure(verbs_wire& wire, const ibv_wc& how) noexcept;
  void take_message(verbs_wire& wire, bytes_view bytes);
  void hand_on(verbs_wire& wire) noexcept;
  void fail_requests(verbs_wire& wire, const error& why) noexcept;
  void refuse(const error& why) noexcept;

  verbs_options options_;
  std::shared_ptr<verbs_device> device_;
  driver_host* host_ = nullptr;
  std::vector<std::unique_ptr<verbs_wire>> wires_;
  std::vector<ibv_send_wr> chain_;
  std::vector<ibv_sge> parts_;
  std::chrono::nanoseconds now_{0}, looked_{0};
  bool look_ = false;  // something is to be looked after at once
  bool stopped_ = false;
  mutable std::mutex refusals_mutex_;
  verbs_refusals refusals_;
  mutable event_set event_set_;
};

}  // namespace detail
}  // namespace lading

#include <lading/transports/verbs/detail/driver_wires.hpp>
#include <lading/transports/verbs/detail/driver_work.hpp>
