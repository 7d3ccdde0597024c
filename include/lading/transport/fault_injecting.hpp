// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include <lading/transport/concept.hpp>
#include <lading/transport/detail/fault_driver.hpp>
#include <lading/transport/endpoint.hpp>
#include <lading/transport/fault_plan.hpp>

namespace lading {

/// Any transport, with faults put in between: seeded, reproducible, counted. Both sides of a connection must be wrapped; the faults are those of
/// the side that submits. Without faults it behaves as the transport it wraps. The end of a delay or stall does not wake who polls event_fd, as deadlines
/// do not.
template <transport Inner>
class fault_injecting : public endpoint {
 public:
  /// Wraps `inner`. The clock of the options also times delays and stalls.
  [[nodiscard]] static result<fault_injecting> create(Inner inner, const fault_plan& plan = {}, const endpoint_options& options = {}) {
    LADING_TRY {
      auto adapter = std::make_unique<fault_driver<Inner>>(std::move(inner), plan);
      fault_driver<Inner>* driver = adapter.get();
      auto made = endpoint::create(std::move(adapter), options);
      if (!made) return fail(made.error());
      return fault_injecting(std::move(*made), driver);
    }
    LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory))
  }

  /// Connects the inner transports; drives nothing else meanwhile.
  [[nodiscard]] result<peer_id> connect(bytes_view address, std::chrono::nanoseconds timeout = std::chrono::seconds(10)) {
    driver_->limit_connecting(timeout);
    return endpoint::connect(address, timeout);
  }

  [[nodiscard]] result<transfer> submit(peer_id peer, op direction, std::span<const slice> slices, const submit_options& options = {}) {
    if (driver_->refuses()) return fail(errc::would_block, {.what = "an injected fault: try again"});
    return endpoint::submit(peer, direction, slices, options);
  }
  [[nodiscard]] result<transfer> submit(const prepared_batch& prepared, const submit_options& options = {}) {
    if (driver_->refuses()) return fail(errc::would_block, {.what = "an injected fault: try again"});
    return endpoint::submit(prepared, options);
  }

  /// How often each fault has happened so far.
  [[nodiscard]] const fault_counts& counts() const noexcept { return driver_->counts(); }

 private:
  fault_injecting(endpoint&& made, fault_driver<Inner>* driver) noexcept : endpoint(std::move(made)), driver_(driver) {}

  fault_driver<Inner>* driver_;
};

}  // namespace lading
