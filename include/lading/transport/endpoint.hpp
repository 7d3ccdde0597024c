// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lading/transport/endpoint_core.hpp>
#include <lading/transport/region.hpp>
#include <lading/transport/transfer.hpp>

namespace lading {

namespace detail {

/// What `call` returns; no_memory where it ran out of that.
template <class Call>
[[nodiscard]] auto or_no_memory(Call&& call) -> decltype(call()) {
  LADING_TRY { return call(); }
  LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory))
}

}  // namespace detail

/// A transport made of a driver: what users call. Adapters derive from it, or make one with create.
///
/// Threads: submit, progress, notifications and metrics from any thread at once (one of them drives, the others return); connecting, registering and
///          their inverses from any thread. Destroying it needs all calls to have returned; it ends its transfers `closed`.
/// Lifetime: regions, transfers and prepared batches may outlive it.
class endpoint {
 public:
  /// Starts the driver and makes a transport of it.
  ///
  /// Errors: invalid_argument for no driver, no_memory, and what the driver says to starting.
  [[nodiscard]] static result<endpoint> create(std::unique_ptr<driver> adapter, const endpoint_options& options = {}) {
    if (adapter == nullptr) return fail(errc::invalid_argument, {.what = "there is no driver"});
    endpoint made(nullptr);
    LADING_TRY {
      made.core_ = std::make_shared<endpoint_core>(std::move(adapter), options);
      if (auto started = made.core_->start(); !started) return fail(started.error());
      return made;
    }
    LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory))
  }
  endpoint(endpoint&& other) noexcept : core_(std::move(other.core_)) {}
  /// Ends the endpoint that this was, as destroying it does.
  endpoint& operator=(endpoint&& other) noexcept {
    endpoint taken(std::move(other));
    std::swap(core_, taken.core_);
    return *this;
  }
  ~endpoint() {
    if (core_ != nullptr) core_->close();
  }

  [[nodiscard]] std::string_view name() const noexcept { return core_->adapter().name(); }
  [[nodiscard]] lading::capabilities capabilities() const noexcept { return core_->caps(); }
  [[nodiscard]] endpoint_identity identity() const noexcept { return core_->side->identity; }
  [[nodiscard]] transport_metrics metrics() const noexcept { return core_->metrics(); }

  /// Registers memory, which must outlive the region.
  ///
  /// Errors: invalid_argument for no bytes, unsupported for a kind that capabilities lacks, no_memory, backend_failure, closed.
  [[nodiscard]] result<region> register_region(bytes_span memory, memory_kind kind = memory_kind::host) {
    auto id = detail::or_no_memory([&] { return core_->add_region(memory, kind); });
    if (!id) return fail(id.error());
    return region(core_, *id, memory);
  }

  /// Allocates zeroed memory that the transport likes best, and registers it.
  ///
  /// Errors: invalid_argument for no bytes, no_memory, backend_failure, closed.
  [[nodiscard]] result<region> allocate_region(std::size_t size) {
    auto made = detail::or_no_memory([&] { return core_->add_allocation(size); });
    if (!made) return fail(made.error());
    return region(core_, made->first, made->second);
  }

  /// The bytes by which a peer can address the region; to be sent by whatever means the program has. Give it only to whom may write the region.
  ///
  /// Errors: not_registered for an empty region or another endpoint's, no_memory, and the driver's.
  [[nodiscard]] result<std::vector<std::byte>> export_region(const region& exported) {
    if (!exported.belongs_to(*core_)) return fail(errc::not_registered, {.what = "the region is empty, or another endpoint's"});
    return detail::or_no_memory([&] { return core_->describe(exported.id()); });
  }

  /// Makes a peer's exported region addressable, until release_region or disconnect.
  ///
  /// Errors: closed without such a peer, not_registered for a descriptor of another endpoint, no_memory, and those of decode_descriptor.
  [[nodiscard]] result<remote_region_id> import_region(peer_id peer, bytes_view descriptor) {
    return detail::or_no_memory([&] { return core_->import(peer, descriptor); });
  }

  /// The inverse of import_region.
  ///
  /// Errors: busy while a transfer uses it, not_registered.
  result<void> release_region(remote_region_id imported) noexcept { return core_->remove_import(imported); }

  /// The bytes by which others connect to this endpoint.
  [[nodiscard]] result<std::vector<std::byte>> address() const {
    return detail::or_no_memory([&] { return core_->address(); });
  }

  /// Makes the peer with that address reachable from here; makes progress meanwhile. Each side connects on its own behalf.
  ///
  /// Units:  the time is that of endpoint_options::clock; nanoseconds::max() is never, zero or less asks once.
  /// Errors: peer_lost or timed_out where nobody answers, closed, no_memory, and those of decode_address.
  [[nodiscard]] result<peer_id> connect(bytes_view address, std::chrono::nanoseconds timeout = std::chrono::seconds(10)) {
    return detail::or_no_memory([&] { return core_->connect(address, timeout); });
  }

  /// Ends all transfers with the peer, `closed`, and drops what was imported from it.
  void disconnect(peer_id peer) noexcept { core_->disconnect(peer); }

  /// Who the peer is. One with this process's number shares its address space.
  [[nodiscard]] result<endpoint_identity> peer_identity(peer_id peer) const noexcept { return core_->identity_of(peer); }

  /// Starts to move a batch; accepts it whole or not at all, and never waits for the peer. The order of slices, and of batches, is not defined.
  ///
  /// Errors: out_of_range and not_registered with the slice's index, busy for quarantined bytes of a local region, would_block, closed, peer_lost, peer_stalled,
  ///         unsupported, no_memory. What only the peer can find out ends the transfer instead.
  [[nodiscard]] result<transfer> submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& options = {}) {
    auto running = core_->submit(peer, direction, slices, options);
    if (!running) return fail(running.error());
    return transfer(core_, *running);
  }

  /// Checks a batch once, for submitting it many times.
  [[nodiscard]] result<prepared_batch> prepare(peer_id peer, op direction, std::span<const slice> slices) {
    auto state = detail::or_no_memory([&] { return core_->prepare(peer, direction, slices); });
    if (!state) return fail(state.error());
    return prepared_batch(std::move(*state));
  }

  /// Submits a prepared batch; never allocates once as many have run at a time before.
  [[nodiscard]] result<transfer> submit(const prepared_batch& prepared, const submit_options& options = {}) {
    if (prepared.state_ == nullptr) return fail(errc::invalid_argument, {.what = "the prepared batch is empty"});
    auto running = core_->submit(prepared.state_, options);
    if (!running) return fail(running.error());
    return transfer(core_, *running);
  }

  /// Moves what is under way and keeps deadlines; returns how many things happened. Where another thread is at it, returns 0.
  std::size_t progress() noexcept { return core_->progress(); }

  /// A descriptor to poll for reading once progress has returned 0, and what it may have brought has been looked at: transfers, notifications. -1 where
  /// there is none. Deadlines do not wake it.
  ///
  /// Threads: one thread polls it, and calls progress; others wait for their transfers, and leave its wakes to it.
  [[nodiscard]] int event_fd() const noexcept { return core_->event_fd(); }

  /// Takes the oldest notification that has arrived; false where there is none.
  [[nodiscard]] bool next_notification(notification& taken) noexcept { return core_->pop_notification(taken); }

 protected:
  explicit endpoint(std::shared_ptr<endpoint_core> core) noexcept : core_(std::move(core)) {}
  [[nodiscard]] driver& adapter() const noexcept { return core_->adapter(); }

 private:
  std::shared_ptr<endpoint_core> core_;
};

}  // namespace lading
