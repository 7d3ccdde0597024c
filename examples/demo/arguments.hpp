// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace demo {

/// How a batch is shipped.
struct ship_options {
  std::size_t workers = 1;
  std::size_t rounds = 0;                         ///< 0 = by the amount of bytes
  std::size_t slab_limit = std::size_t{1} << 30;  ///< bytes that are under way at once, unless one object is larger
};

/// What the command line asks for.
struct arguments {
  std::vector<std::string> safetensors, files, transfer_queue;
  ship_options options;
  bool small = false;
  bool json = false;
};

/// Reads the command line; where the program is to end at once, returns its status.
[[nodiscard]] std::optional<int> parse(arguments& given, int count, char** words);

}  // namespace demo
