// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace demo {

/// One row of the table.
struct step {
  std::string name;
  std::string floor;  ///< the row that it is compared with: memcpy of the same bytes
  std::size_t objects = 0;
  std::uint64_t bytes = 0;
  double seconds = 0;
};

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

  /// Adds to the row of that name; rows keep the order in which they came.
  void add(const step& more);

  void print_table(std::ostream& out) const;
  void print_json(std::ostream& out) const;

 private:
  /// Time over that of the row's floor; 0 where it cannot be told.
  [[nodiscard]] double ratio(const step& row) const;

  std::vector<step> steps_;
};

}  // namespace demo
