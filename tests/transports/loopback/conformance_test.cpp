// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <transport/conformance.hpp>

#include <lading/transports/loopback.hpp>

namespace {

/// As it comes: large batches go to the process's pool.
struct loopback_rig {
  using transport_type = lading::loopback;
  lading::result<lading::loopback> make(const lading::endpoint_options& options) {
    lading::loopback_options all;
    all.endpoint = options;
    return lading::loopback::create(all);
  }
};

}  // namespace

namespace lading::conformance {
LADING_CONFORMANCE(loopback, loopback_rig);
}  // namespace lading::conformance
