// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include <support/steps.hpp>

namespace demo {

/// What the program tells in the end.
class report {
 public:
  std::string cargo;  ///< what was shipped, in one line
  std::size_t objects = 0;
  std::uint64_t payload_bytes = 0;  ///< that were compared after the journey
  std::uint64_t slab_bytes = 0;
  std::size_t workers = 1;
  std::size_t rounds = 0;
  std::string refusal;  ///< what the library says of a received buffer with one bit flipped

  support::step_table steps;

  void print_table(std::ostream& out) const;
  void print_json(std::ostream& out) const;
};

}  // namespace demo
