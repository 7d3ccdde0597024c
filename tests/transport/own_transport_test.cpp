// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The example of a user's own transport passes the suite.

#if defined(__linux__)

#include <transport/conformance.hpp>

#include "../../examples/own_transport.hpp"

namespace {

struct socket_rig {
  lading::result<lading::endpoint> make(const lading::endpoint_options& options) {
    return lading::endpoint::create(std::make_unique<socket_driver>(), options);
  }
  static constexpr std::size_t largest_slice = std::size_t{8} << 20;
  static constexpr std::size_t connection_cycles = 2'000;
};

LADING_CONFORMANCE(own_transport, socket_rig);

}  // namespace

#endif
