// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <lading/transport/endpoint.hpp>

namespace ship {

// What a receiver lends to a sender it does not know.
inline constexpr std::uint64_t max_slot_bytes = std::uint64_t{256} << 20;
inline constexpr std::uint64_t max_slots = 1024;
inline constexpr std::uint64_t max_slab_bytes = std::uint64_t{1} << 30;
inline constexpr std::uint64_t max_files = 100'000;

/// The transports that this program was built with, the preferred one first.
[[nodiscard]] std::vector<std::string> transports();

/// How an endpoint is to work.
struct endpoint_wishes {
  std::string transport;
  std::string lanes = {};   ///< of ucx, as UCX_TLS
  std::string device = {};  ///< of ucx, as UCX_NET_DEVICES, and of verbs
  bool this_host = false;   ///< both sides are on this host: nobody else needs to reach the endpoint
  std::chrono::milliseconds timeout{10'000};
};

/// Throws a problem where there is no such endpoint to be had.
[[nodiscard]] lading::endpoint make_endpoint(const endpoint_wishes& wishes);

}  // namespace ship
