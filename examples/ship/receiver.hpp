// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include <lading/transport/endpoint.hpp>

#include "cargo.hpp"
#include "control.hpp"
#include "messages.hpp"

namespace ship {

/// Throws a problem where this program cannot take what a sender announces.
void check_hello(const hello& announced, const std::string& transport);

/// How a receiver goes about it.
struct receive_options {
  std::chrono::milliseconds timeout{10'000};
  bool show_progress = true;  ///< on a terminal
};

/// Takes one shipment through slots of `far` and gives it to `into`. Throws a problem where that does not end well.
[[nodiscard]] done receive_all(control& line, lading::endpoint& far, sink& into, const hello& announced, const receive_options& options);

}  // namespace ship
