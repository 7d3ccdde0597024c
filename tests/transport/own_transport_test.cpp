// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The example of a user's own transport passes the suite.

#if defined(__linux__)

#include <support/peer_process.hpp>
#include <transport/conformance.hpp>

#include "../../examples/own_transport.hpp"

namespace own_transport_test {

/// Started as a peer, this program is one, and runs no test. Asked 'i', it answers whether the guards are intact.
[[maybe_unused]] const bool is_no_peer = [] {
  const auto words = peer_process::words();
  if (words.size() != 3 || words[1] != "--socket-peer") return true;
  auto made = lading::endpoint::create(std::make_unique<socket_driver>());
  lading::conformance::guarded_memory memory(std::stoul(words[2]));
  auto registered = made ? made->register_region(memory.bytes()) : lading::fail(made.error());
  if (!registered) std::_Exit(2);
  std::_Exit(peer_process::serve(made, *registered, [&](char letter) { return letter == 'i' && memory.intact(); }));
}();

struct socket_rig {
  lading::result<lading::endpoint> make(const lading::endpoint_options& options) {
    return lading::endpoint::create(std::make_unique<socket_driver>(), options);
  }
  std::unique_ptr<lading::conformance::foreign_peer> spawn_peer(std::size_t size) {
    return std::make_unique<peer_process::process>(std::vector<std::string>{"--socket-peer", std::to_string(size)});
  }
  static constexpr std::size_t largest_slice = std::size_t{8} << 20;
  static constexpr std::size_t connection_cycles = 2'000;
};

LADING_CONFORMANCE(own_transport, socket_rig);

}  // namespace own_transport_test

#endif
