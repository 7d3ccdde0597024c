// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// The machinery that all adapters share: it checks and pins what a batch uses, keeps deadlines, and ends every operation exactly once.

#include <algorithm>
#include <thread>

#include <lading/transport/drive_lock.hpp>
#include <lading/transport/driver.hpp>
#include <lading/transport/metrics.hpp>

namespace lading {

/// How an endpoint behaves, whatever its transport.
struct endpoint_options {
  // Durations: nanoseconds::max() is never.
  std::chrono::nanoseconds default_deadline = std::chrono::seconds(30);  ///< of a batch that names none
  std::chrono::nanoseconds drain_limit =
      std::chrono::milliseconds(20);  ///< how long a batch that was given up waits for its slices before they are quarantined
  std::chrono::nanoseconds close_limit = std::chrono::seconds(1);  ///< how long closing, or destroying a region, waits for transfers
  std::size_t max_running = 4096;                                  ///< batches that may run at once; more are refused with would_block
  std::size_t max_notifications = 4096;                            ///< that wait to be taken; more wait at their senders
  time_source clock = {};
  transfer_observer* observer = nullptr;  ///< must outlive the endpoint and its transfers
};

/// The shared state of one endpoint. Users hold it through endpoint, region, transfer and prepared_batch.
class endpoint_core final : public detail::operation_owner, public driver_host, public std::enable_shared_from_this<endpoint_core> {
 public:
  endpoint_core(std::unique_ptr<driver> adapter, const endpoint_options& options)
      : operation_owner(options.max_notifications),
        driver_(std::move(adapter)),
        options_(options),
        caps_(driver_->capabilities()),
        tag_(transport_tag(driver_->name())),
        drive_(side->awake) {
    side->identity = {process_identity(), detail::random_number()};
  }
  endpoint_core(const endpoint_core&) = delete;
  endpoint_core& operator=(const endpoint_core&) = delete;
  ~endpoint_core() {
    dead_.sweep();
    side->dead.sweep();  // before the driver goes
    for (operation* listed : {pool_, inbox_}) {
      while (listed != nullptr) delete std::exchange(listed, listed->next_);
    }
    while (operation* left = active_.first()) {
      active_.remove<&operation::active_>(*left);
      delete left;
    }
  }

  // Set-up.
  [[nodiscard]] result<void> start() {
    auto started = driver_->start(*this);
    stopped_ = !started;
    return started;
  }
  [[nodiscard]] driver& adapter() noexcept { return *driver_; }
  [[nodiscard]] const lading::capabilities& caps() const noexcept { return caps_; }
  [[nodiscard]] std::chrono::nanoseconds now() const noexcept override { return options_.clock.now(); }
  [[nodiscard]] const std::shared_ptr<incoming_side>& incoming() const noexcept override { return side; }
  [[nodiscard]] transport_metrics metrics() const noexcept { return metrics_.read(); }
  [[nodiscard]] const endpoint_options& options() const noexcept { return options_; }

  [[nodiscard]] result<region_id> add_region(bytes_span bytes, memory_kind kind);
  [[nodiscard]] result<std::pair<region_id, bytes_span>> add_allocation(std::size_t size);
  [[nodiscard]] result<void> remove_region(region_id id) noexcept;
  void retire_region(region_id id) noexcept;
  [[nodiscard]] result<std::vector<std::byte>> describe(region_id id);
  [[nodiscard]] result<remote_region_id> import(peer_id peer, bytes_view blob);
  [[nodiscard]] result<void> remove_import(remote_region_id id) noexcept;
  [[nodiscard]] result<std::vector<std::byte>> address();
  [[nodiscard]] result<peer_id> connect(bytes_view blob, std::chrono::nanoseconds timeout);
  void disconnect(peer_id peer) noexcept;
  [[nodiscard]] result<endpoint_identity> identity_of(peer_id peer) noexcept;
  void close() noexcept;

  // Batches.
  [[nodiscard]] result<operation*> submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& options);
  [[nodiscard]] result<operation*> submit(const std::shared_ptr<const detail::prepared_state>& prepared, const submit_options& options);
  [[nodiscard]] result<std::shared_ptr<const detail::prepared_state>> prepare(peer_id peer, op direction, std::span<const slice> slices);
  void unreference(operation& done) noexcept {
    // The only one left need not count down: nobody else can come to it any more.
    if (done.references_.load(std::memory_order_acquire) == 1 || done.references_.fetch_sub(1, std::memory_order_acq_rel) == 1) recycle(done);
  }

  // Progress.
  std::size_t progress() noexcept;
  std::size_t help() noexcept;
  void lost(driver_connection& peer, errc why) noexcept override {
    if (peer_record* record = peers_.pin(static_cast<std::uint32_t>(peer.id)); record != nullptr) {
      errc expected{};
      record->lost.compare_exchange_strong(expected, why);
      dead_.bury(peers_.unpin(static_cast<std::uint32_t>(peer.id)));
    }
    look_again();
  }
  void drained(operation& done) noexcept override { conclude(done, now()); }
  [[nodiscard]] bool pop_notification(notification& taken) noexcept { return side->notifications.pop(taken); }
  [[nodiscard]] int event_fd() noexcept {
    const int own = driver_->event_fd();
    return own == driver::endpoint_event_fd ? side->awake.fd() : own;
  }
  void wake() noexcept { side->awake.signal(); }
  /// A batch was cancelled, or a peer lost: the next round looks at all of them.
  void look_again() noexcept {
    look_.store(true, std::memory_order_release);
    side->awake.signal();
  }

 private:
  static constexpr std::uint32_t number(auto id) noexcept { return static_cast<std::uint32_t>(id); }

  [[nodiscard]] result<region_id> insert_region(driver_allocation made);

  // Running one batch.
  [[nodiscard]] operation* acquire() noexcept;
  void recycle(operation& done) noexcept;
  [[nodiscard]] result<void> pin_peer(operation& fresh, peer_id peer) noexcept;
  [[nodiscard]] result<local_region*> pin_local(operation& fresh, region_id id);
  [[nodiscard]] result<remote_region*> pin_remote(operation& fresh, remote_region_id id);
  [[nodiscard]] result<void> check(operation& fresh, std::span<const slice> slices);
  [[nodiscard]] result<operation*> begin(peer_id peer, op direction, const submit_options& options, std::chrono::nanoseconds started, auto&& load);
  [[nodiscard]] result<operation*> refuse(operation* fresh, const error& why) noexcept;
  [[nodiscard]] static result<void> check_held(local_region& region, const slice& wanted, std::size_t item) noexcept;
  void launch(operation& fresh) noexcept;
  void post_more(operation& running) noexcept;
  void release(operation& done) noexcept;
  void detach(operation& done) noexcept;
  void conclude(operation& done, std::chrono::nanoseconds at) noexcept;
  void settle(operation& done, bool quarantined, std::chrono::nanoseconds at) noexcept;
  [[nodiscard]] bool try_notify(operation& done) noexcept;
  void expire(operation& fresh) noexcept;
  void give_up(operation& running, errc why, std::chrono::nanoseconds at) noexcept;
  void quarantine(operation& running) noexcept;
  void hold(operation& running) noexcept;
  [[nodiscard]] bool announce(operation& due) noexcept;
  void tell(operation& done, std::uint8_t what) noexcept;
  void hand_on(operation& done) noexcept;
  void enter_line(operation& running, operation::place where) noexcept;
  void leave_line(operation& running) noexcept;
  std::size_t take_inbox(std::chrono::nanoseconds at) noexcept;
  std::size_t look_at(operation& running, std::chrono::nanoseconds at) noexcept;
  std::size_t look_at_all(std::chrono::nanoseconds at) noexcept;
  std::size_t offer(operation& waiting) noexcept;
  std::size_t take_turns() noexcept;
  std::size_t listen() noexcept;
  std::size_t drive() noexcept;

  std::unique_ptr<driver> driver_;
  endpoint_options options_;
  lading::capabilities caps_;
  std::uint64_t tag_;
  std::atomic<std::uint64_t> generation_{0};
  registry<peer_record> peers_;
  detail::graveyard dead_;  // records of peers and imports, which end under drive_; side->dead has those of regions, which end under no lock
  detail::metrics_counters metrics_;

  detail::drive_lock drive_;  // one thread at a time in the driver; guards what follows
  // Batches end up in active_ until they are released. What a round does is for those of which something is known: they have just come (inbox_),
  // something of them was reported (told_), it is their turn when there is room (the lines), or a time has come or something else (look_).
  detail::chain<operation> active_;
  detail::chain<operation> fresh_, again_;  // lines of those not yet offered to the driver, and of those that take turns
  detail::chain<peer_record> busy_;         // with lines of their own
  std::chrono::nanoseconds next_look_ = std::chrono::nanoseconds::max();  // no deadline is earlier
  bool stopped_ = true;                                                   // or not started: the driver makes no progress

  detail::spin_lock pool_lock_;  // guards pool_ and inbox_
  operation* pool_ = nullptr;
  operation* inbox_ = nullptr;
  std::size_t pool_size_ = 0;
  std::atomic<std::size_t> running_{0};
  std::atomic<bool> inbox_filled_{false};
  std::atomic<operation*> told_{nullptr};
  std::atomic<bool> look_{false};
};

}  // namespace lading

#include <lading/transport/detail/core_batches.hpp>
#include <lading/transport/detail/core_ending.hpp>
#include <lading/transport/detail/core_regions.hpp>
#include <lading/transport/detail/core_running.hpp>
