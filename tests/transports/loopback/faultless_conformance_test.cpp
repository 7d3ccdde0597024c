// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <transport/conformance.hpp>

#include <lading/transport/fault_injecting.hpp>
#include <lading/transports/loopback.hpp>

namespace {

/// The decorator without faults behaves as what it wraps.
struct faultless_rig {
  using transport_type = lading::fault_injecting<lading::loopback>;
  lading::result<transport_type> make(const lading::endpoint_options& options) {
    lading::loopback_options all;
    all.endpoint = options;
    all.endpoint.observer = nullptr;
    auto inner = lading::loopback::create(all);
    if (!inner) return lading::fail(inner.error());
    return transport_type::create(std::move(*inner), {}, options);
  }
};

}  // namespace

namespace lading::conformance {
LADING_CONFORMANCE(faultless, faultless_rig);
}  // namespace lading::conformance
