// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Transfers without a store, between the same two endpoints: what the store's rates are measured against.

#include <cstdint>
#include <utility>
#include <vector>

#include <lading/transport/endpoint.hpp>

namespace kv {

constexpr std::size_t batch_keys = 256;
constexpr std::size_t largest_value = std::size_t{64} << 10;

/// How a client reaches the store, and memory beside it that is only there to be fetched.
struct contact {
  std::vector<std::byte> store, endpoint, memory;
};

/// The server's side of bare transfers.
struct bare_memory {
  lading::region memory;
  std::vector<std::byte> endpoint, descriptor;

  [[nodiscard]] static lading::result<bare_memory> create(lading::endpoint& transport) {
    auto memory = transport.allocate_region(batch_keys * largest_value);
    if (!memory) return lading::fail(memory.error());
    auto endpoint = transport.address();
    if (!endpoint) return lading::fail(endpoint.error());
    auto descriptor = transport.export_region(*memory);
    if (!descriptor) return lading::fail(descriptor.error());
    return bare_memory{std::move(*memory), std::move(*endpoint), std::move(*descriptor)};
  }
};

/// The client's side.
class bare_gets {
 public:
  [[nodiscard]] static lading::result<bare_gets> create(lading::endpoint& transport, const contact& there) {
    auto here = transport.allocate_region(batch_keys * largest_value);
    if (!here) return lading::fail(here.error());
    const auto peer = transport.connect(there.endpoint);
    if (!peer) return lading::fail(peer.error());
    const auto remote = transport.import_region(*peer, there.memory);
    if (!remote) return lading::fail(remote.error());
    return bare_gets(transport, std::move(*here), *peer, *remote);
  }
  /// Fetches so many values of that size, as one batch; whether they came.
  [[nodiscard]] bool get(std::size_t count, std::size_t size) {
    slices_.clear();
    for (std::size_t i = 0; i < count; ++i) slices_.push_back({here_.id(), remote_, i * size, i * size, size});
    auto moving = transport_->submit(peer_, lading::op::get, slices_);
    return moving && moving->wait().ok();
  }

 private:
  bare_gets(lading::endpoint& transport, lading::region here, lading::peer_id peer, lading::remote_region_id remote)
      : transport_(&transport), here_(std::move(here)), peer_(peer), remote_(remote) {}

  lading::endpoint* transport_;
  lading::region here_;
  lading::peer_id peer_;
  lading::remote_region_id remote_;
  std::vector<lading::slice> slices_;
};

}  // namespace kv
