// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include <lading/transport/endpoint.hpp>
#include <support/steps.hpp>

#include "cargo.hpp"
#include "control.hpp"
#include "messages.hpp"

namespace ship {

/// How a shipment went, seen from its sender.
struct shipment {
  std::uint64_t slots = 0, packed_bytes = 0, bytes = 0, batches = 0;
  double seconds = 0;           ///< from the first value to the last acknowledgement
  double pack_seconds = 0;      ///< reading, encoding, packing, hashing
  double post_seconds = 0;      ///< sum of completion::posted
  double transfer_seconds = 0;  ///< while something was under way, but for packing meanwhile
  double latency_seconds = 0;   ///< mean of completion::finished
  double memcpy_seconds = 0;    ///< to copy the same slots once, measured afterwards
  flatness use;
  done receiver;  ///< what the other side says
};

/// How a sender goes about it.
struct send_options {
  std::chrono::milliseconds timeout{10'000};
  bool watch_use = false;     ///< look at memory and descriptors after each batch
  bool show_progress = true;  ///< on a terminal
};

/// Ships all of `from` over `near` to the receiver at the other end of `line`. Throws a problem where that does not end well.
[[nodiscard]] shipment send_all(control& line, lading::endpoint& near, source& from, hello announced, const send_options& options);

}  // namespace ship
