// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lading/transport/concept.hpp>
#include <lading/transports/ucx/driver.hpp>

namespace lading {

/// The transport between processes and hosts, over UCX >= 1.13: shared memory, TCP, InfiniBand and RoCE, whichever both sides have.
///
/// The receiver checks every slice, on every lane. A peer whose process dies is reported as peer_lost, one that is silent for stall_limit while something
/// waits for it as peer_stalled. Both sides must make progress. UCX itself trusts who can connect to it: open its ports to nobody else.
class ucx : public endpoint {
 public:
  /// Errors: backend_failure where UCX has no lane of those asked for.
  [[nodiscard]] static result<ucx> create(const ucx_options& options = {}) {
    LADING_TRY {
      auto adapter = std::make_unique<detail::ucx_driver>(options);
      const detail::ucx_driver& kept = *adapter;
      auto made = endpoint::create(std::move(adapter), options.endpoint);
      if (!made) return fail(made.error());
      return ucx(std::move(*made), kept);
    }
    LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory))
  }

  /// What peers asked for that was refused here; each of them was told.
  [[nodiscard]] ucx_refusals refusals() const { return driver_->refusals(); }

 private:
  ucx(endpoint&& made, const detail::ucx_driver& adapter) noexcept : endpoint(std::move(made)), driver_(&adapter) {}

  const detail::ucx_driver* driver_;
};

static_assert(transport<ucx>);

}  // namespace lading
