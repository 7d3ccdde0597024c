// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "endpoints.hpp"

#include <cstdlib>

#include <lading/transports/loopback.hpp>
#include <support/problem.hpp>

#if defined(SHIP_HAS_UCX)
#include <ucs/config/global_opts.h>
#include <lading/transports/ucx.hpp>
#endif
#if defined(SHIP_HAS_VERBS)
#include <lading/transports/verbs.hpp>
#endif

namespace ship {

using support::expect;

std::vector<std::string> transports() {
  return {
#if defined(SHIP_HAS_UCX)
    "ucx",
#endif
#if defined(SHIP_HAS_VERBS)
        "verbs",
#endif
        "loopback"
  };
}

#if defined(SHIP_HAS_UCX)
static lading::endpoint make_ucx(const endpoint_wishes& wishes) {
  // What goes wrong is told in this program's words, once.
  if (std::getenv("UCX_LOG_LEVEL") == nullptr) ucs_global_opts_set_value("LOG_LEVEL", "fatal");
  lading::ucx_options options;
  options.lanes = wishes.lanes;
  options.stall_limit = wishes.timeout;
  options.devices = wishes.device;
  // UCX opens ports of its own, on every network of the host unless told otherwise.
  if (wishes.this_host && wishes.device.empty() && std::getenv("UCX_NET_DEVICES") == nullptr) options.devices = "lo";
  return expect(lading::ucx::create(options), "opening the ucx transport");
}
#endif

lading::endpoint make_endpoint(const endpoint_wishes& wishes) {
#if defined(SHIP_HAS_UCX)
  if (wishes.transport == "ucx") return make_ucx(wishes);
#endif
#if defined(SHIP_HAS_VERBS)
  if (wishes.transport == "verbs")
    return expect(lading::verbs::create({.device = wishes.device, .stall_limit = wishes.timeout}), "opening the verbs transport");
#endif
  if (wishes.transport == "loopback") return expect(lading::loopback::create(), "opening the loopback transport");
  throw support::problem("there is no transport " + wishes.transport + " here");
}

}  // namespace ship
