// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include <lading/transport/concept.hpp>
#include <lading/transport/endpoint_core.hpp>

namespace lading::conformance {

/// Any transport behind one type, so that the suite is compiled once and not for each transport.
class any_transport {
 public:
  template <transport Transport>
  [[nodiscard]] static any_transport of(Transport one) {
    return any_transport(std::make_unique<calls_of<Transport>>(std::move(one)));
  }

  [[nodiscard]] std::string_view name() const noexcept { return calls_->name(); }
  [[nodiscard]] lading::capabilities capabilities() const noexcept { return calls_->capabilities(); }
  [[nodiscard]] endpoint_identity identity() const noexcept { return calls_->identity(); }
  [[nodiscard]] transport_metrics metrics() const noexcept { return calls_->metrics(); }
  [[nodiscard]] result<region> register_region(bytes_span memory) { return calls_->register_region(memory); }
  [[nodiscard]] result<region> allocate_region(std::size_t size) { return calls_->allocate_region(size); }
  [[nodiscard]] result<std::vector<std::byte>> export_region(const region& exported) { return calls_->export_region(exported); }
  [[nodiscard]] result<remote_region_id> import_region(peer_id peer, bytes_view descriptor) { return calls_->import_region(peer, descriptor); }
  result<void> release_region(remote_region_id imported) { return calls_->release_region(imported); }
  [[nodiscard]] result<std::vector<std::byte>> address() const { return calls_->address(); }
  [[nodiscard]] result<peer_id> connect(bytes_view address, std::chrono::nanoseconds timeout = std::chrono::seconds(10)) {
    return calls_->connect(address, timeout);
  }
  void disconnect(peer_id peer) noexcept { calls_->disconnect(peer); }
  [[nodiscard]] result<endpoint_identity> peer_identity(peer_id peer) const { return calls_->peer_identity(peer); }
  [[nodiscard]] result<transfer> submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& options = {}) {
    return calls_->submit(peer, direction, slices, options);
  }
  [[nodiscard]] result<prepared_batch> prepare(peer_id peer, op direction, std::span<const slice> slices) {
    return calls_->prepare(peer, direction, slices);
  }
  [[nodiscard]] result<transfer> submit(const prepared_batch& prepared, const submit_options& options = {}) {
    return calls_->submit(prepared, options);
  }
  std::size_t progress() noexcept { return calls_->progress(); }
  [[nodiscard]] bool next_notification(notification& taken) noexcept { return calls_->next_notification(taken); }
  [[nodiscard]] int event_fd() const noexcept { return calls_->event_fd(); }

 private:
  struct calls {
    virtual ~calls() = default;
    virtual std::string_view name() const noexcept = 0;
    virtual lading::capabilities capabilities() const noexcept = 0;
    virtual endpoint_identity identity() const noexcept = 0;
    virtual transport_metrics metrics() const noexcept = 0;
    virtual result<region> register_region(bytes_span memory) = 0;
    virtual result<region> allocate_region(std::size_t size) = 0;
    virtual result<std::vector<std::byte>> export_region(const region& exported) = 0;
    virtual result<remote_region_id> import_region(peer_id peer, bytes_view descriptor) = 0;
    virtual result<void> release_region(remote_region_id imported) = 0;
    virtual result<std::vector<std::byte>> address() const = 0;
    virtual result<peer_id> connect(bytes_view address, std::chrono::nanoseconds timeout) = 0;
    virtual void disconnect(peer_id peer) noexcept = 0;
    virtual result<endpoint_identity> peer_identity(peer_id peer) const = 0;
    virtual result<transfer> submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& options) = 0;
    virtual result<prepared_batch> prepare(peer_id peer, op direction, std::span<const slice> slices) = 0;
    virtual result<transfer> submit(const prepared_batch& prepared, const submit_options& options) = 0;
    virtual std::size_t progress() noexcept = 0;
    virtual bool next_notification(notification& taken) noexcept = 0;
    virtual int event_fd() const noexcept = 0;
  };
  template <class Transport>
  struct calls_of final : calls {
    explicit calls_of(Transport made) : one(std::move(made)) {}
    std::string_view name() const noexcept override { return one.name(); }
    lading::capabilities capabilities() const noexcept override { return one.capabilities(); }
    endpoint_identity identity() const noexcept override { return one.identity(); }
    transport_metrics metrics() const noexcept override { return one.metrics(); }
    result<region> register_region(bytes_span memory) override { return one.register_region(memory); }
    result<region> allocate_region(std::size_t size) override { return one.allocate_region(size); }
    result<std::vector<std::byte>> export_region(const region& exported) override { return one.export_region(exported); }
    result<remote_region_id> import_region(peer_id peer, bytes_view descriptor) override { return one.import_region(peer, descriptor); }
    result<void> release_region(remote_region_id imported) override { return one.release_region(imported); }
    result<std::vector<std::byte>> address() const override { return one.address(); }
    result<peer_id> connect(bytes_view address, std::chrono::nanoseconds timeout) override { return one.connect(address, timeout); }
    void disconnect(peer_id peer) noexcept override { one.disconnect(peer); }
    result<endpoint_identity> peer_identity(peer_id peer) const override { return one.peer_identity(peer); }
    result<transfer> submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& options) override {
      return one.submit(peer, direction, slices, options);
    }
    result<prepared_batch> prepare(peer_id peer, op direction, std::span<const slice> slices) override {
      return one.prepare(peer, direction, slices);
    }
    result<transfer> submit(const prepared_batch& prepared, const submit_options& options) override { return one.submit(prepared, options); }
    std::size_t progress() noexcept override { return one.progress(); }
    bool next_notification(notification& taken) noexcept override { return one.next_notification(taken); }
    int event_fd() const noexcept override { return one.event_fd(); }
    Transport one;
  };

  explicit any_transport(std::unique_ptr<calls> made) noexcept : calls_(std::move(made)) {}

  std::unique_ptr<calls> calls_;
};
static_assert(transport<any_transport>);

}  // namespace lading::conformance
