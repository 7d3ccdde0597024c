// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <transport/conformance.hpp>

#include <lading/transports/loopback.hpp>

namespace {

/// Everything is queued and copied by three threads, small batches too.
struct pooled_loopback_rig {
  using transport_type = lading::loopback;
  lading::result<lading::loopback> make(const lading::endpoint_options& options) {
    lading::loopback_options all;
    all.endpoint = options;
    all.workers = 3;
    all.inline_limit = 0;
    all.pool = &pool;
    return lading::loopback::create(all);
  }
  static inline lading::worker_pool pool{2};
};

}  // namespace

namespace lading::conformance {
LADING_CONFORMANCE(pooled_loopback, pooled_loopback_rig);
}  // namespace lading::conformance
