// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lading/transport/concept.hpp>
#include <lading/transports/verbs/driver.hpp>

namespace lading {

/// The transport over InfiniBand and RoCE, by rdma-core itself: one-sided, with nothing between a slice and the hardware.
///
/// The target's program takes no part in a put or get; its hardware refuses what lies outside a registered region, and then only slices of that region
/// fail. A peer whose process or host is gone is reported as peer_lost, by its kernel's goodbye or after ack_timeout and retry_count; one that owes an
/// answer to a notification for stall_limit, as peer_stalled. Connecting and notifying need progress on both sides. Whoever may connect and guesses a
/// key can use it: open the port to nobody else.
class verbs : public endpoint {
 public:
  /// Errors: unsupported where the host has no RDMA device with an active port, invalid_argument for an option that makes no sense or names what is not
  ///         there, no_memory, backend_failure with errno.
  [[nodiscard]] static result<verbs> create(const verbs_options& options = {}) {
    LADING_TRY {
      auto device = detail::verbs_device::open(options);
      if (!device) return fail(device.error());
      auto made = endpoint::create(std::make_unique<detail::verbs_driver>(options, std::move(*device)), options.endpoint);
      if (!made) return fail(made.error());
      return verbs(std::move(*made));
    }
    LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory))
  }

  /// How often peers were refused: what they asked for, by the hardware, which told them; or what they said.
  [[nodiscard]] verbs_refusals refusals() const { return own().refusals(); }

  /// The device in use, such as "mlx5_0".
  [[nodiscard]] std::string_view device_name() const noexcept { return ibv_get_device_name(own().device().context()->device); }

 private:
  explicit verbs(endpoint&& made) noexcept : endpoint(std::move(made)) {}

  [[nodiscard]] const detail::verbs_driver& own() const noexcept { return static_cast<const detail::verbs_driver&>(adapter()); }
};

static_assert(transport<verbs>);

}  // namespace lading
