// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cargo.hpp"

namespace ship {

/// What the command line asks for.
struct arguments {
  std::string listen, to;
  std::vector<std::string> files;
  std::string transport, lanes, device;
  std::string into;
  bool force = false;
  bool generate = false;
  bool soak = false;
  sample_limits limits;
  std::uint64_t slot_bytes = std::uint64_t{8} << 20;
  std::uint64_t slots = 8;
  std::chrono::milliseconds timeout{10'000};
  bool json = false;

  [[nodiscard]] bool loopback() const { return transport == "loopback"; }
};

/// Reads the command line; where the program is to end at once, returns its status. Throws a problem where options do not fit together.
[[nodiscard]] std::optional<int> parse(arguments& given, int count, char** words);

}  // namespace ship
