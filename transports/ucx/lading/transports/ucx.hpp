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
  /// Errors: invalid_argument for an option out of its range, backend_failure where UCX has no lane of those asked for.
  [[nodiscard]] static result<ucx> create(const ucx_options& options = {}) {
    if (auto checked = detail::check(options); !checked) return fail(checked.error());
    LADING_TRY {
      auto made = endpoint::create(std::make_unique<detail::ucx_driver>(options), options.endpoint);
      if (!made) return fail(made.error());
      return ucx(std::move(*made));
    }
    LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory))
  }

  using endpoint::connect;

  /// Connects to the endpoint that listens at "host:port", as ucx_options::listen says there; makes progress meanwhile. The timeout counts from the call, but
  /// does not cut short the system's look-up of a name, during which there is no progress either: an address in numbers needs none.
  ///
  /// Errors: invalid_argument for a text that names no host and port, peer_lost where nobody listens, and those of connect by address.
  [[nodiscard]] result<peer_id> connect(std::string_view where, std::chrono::nanoseconds timeout = std::chrono::seconds(10)) {
    LADING_TRY {
      const auto start = std::chrono::steady_clock::now();
      auto address = detail::ask_listener(where, timeout, [this] { progress(); });
      if (!address) return fail(address.error());
      return connect(bytes_view(*address), timeout - std::min<std::chrono::nanoseconds>(timeout, std::chrono::steady_clock::now() - start));
    }
    LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory))
  }

  /// The port at which it listens; 0 where it does not.
  [[nodiscard]] std::uint16_t port() const noexcept { return own().port(); }

  /// What peers asked for that was refused here; each of them was told.
  [[nodiscard]] ucx_refusals refusals() const { return own().refusals(); }

 private:
  explicit ucx(endpoint&& made) noexcept : endpoint(std::move(made)) {}

  [[nodiscard]] const detail::ucx_driver& own() const noexcept { return static_cast<const detail::ucx_driver&>(adapter()); }
};

static_assert(transport<ucx>);

}  // namespace lading
