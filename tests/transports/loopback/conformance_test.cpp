// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <transport/conformance.hpp>

#include <lading/transport/fault_injecting.hpp>
#include <lading/transports/loopback.hpp>

namespace {

/// As it comes: large batches go to the process's pool.
struct loopback_rig {
  using transport_type = lading::loopback;
  lading::result<lading::loopback> make(const lading::endpoint_options& options) {
    lading::loopback_options all;
    static_cast<lading::endpoint_options&>(all) = options;
    return lading::loopback::create(all);
  }
};

/// Everything is queued and copied by three threads, small batches too.
struct pooled_loopback_rig {
  using transport_type = lading::loopback;
  lading::result<lading::loopback> make(const lading::endpoint_options& options) {
    lading::loopback_options all;
    static_cast<lading::endpoint_options&>(all) = options;
    all.workers = 3;
    all.inline_limit = 0;
    all.pool = &pool;
    return lading::loopback::create(all);
  }
  static inline lading::worker_pool pool{2};
};

struct faultless_rig {
  using transport_type = lading::fault_injecting<lading::loopback>;
  lading::result<transport_type> make(const lading::endpoint_options& options) {
    lading::loopback_options all;
    static_cast<lading::endpoint_options&>(all) = options;
    all.observer = nullptr;
    auto inner = lading::loopback::create(all);
    if (!inner) return lading::fail(inner.error());
    return transport_type::create(std::move(*inner), {}, options);
  }
};

}  // namespace

namespace lading::conformance {
LADING_CONFORMANCE(loopback, loopback_rig);
LADING_CONFORMANCE(pooled_loopback, pooled_loopback_rig);
LADING_CONFORMANCE(faultless, faultless_rig);
}  // namespace lading::conformance
