// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <transport/conformance.hpp>

#include <lading/transport/fault_injecting.hpp>
#include <lading/transports/loopback.hpp>

namespace {
using namespace lading;

/// As it comes: large batches go to the process's pool.
struct loopback_rig {
  result<loopback> make(const endpoint_options& options) { return loopback::create({.endpoint = options}); }
};

/// Everything is queued and copied by three threads, small batches too.
struct pooled_loopback_rig {
  result<loopback> make(const endpoint_options& options) {
    return loopback::create({.workers = 3, .inline_limit = 0, .pool = &pool, .endpoint = options});
  }
  static inline worker_pool pool{2};
};

/// The decorator without faults behaves as what it wraps.
struct faultless_rig {
  result<fault_injecting<loopback>> make(const endpoint_options& options) {
    endpoint_options unobserved = options;
    unobserved.observer = nullptr;
    auto inner = loopback::create({.endpoint = unobserved});
    if (!inner) return fail(inner.error());
    return fault_injecting<loopback>::create(std::move(*inner), {}, options);
  }
};

LADING_CONFORMANCE(loopback, loopback_rig);
LADING_CONFORMANCE(pooled_loopback, pooled_loopback_rig);
LADING_CONFORMANCE(faultless, faultless_rig);

}  // namespace
