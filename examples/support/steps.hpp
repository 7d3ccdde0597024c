// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace support {

/// One row of a table: what was done, and how long it took.
struct step {
  std::string name;
  std::string floor;  ///< the row that it is compared with: memcpy of the same bytes
  std::size_t objects = 0;
  std::uint64_t bytes = 0;  ///< that it moves or reads
  double seconds = 0;
};

/// The steps of a journey, each beside its floor.
class step_table {
 public:
  /// Adds to the row of that name; rows keep the order in which they came.
  void add(const step& more);

  /// `counted` says what the column of objects counts.
  void print(std::ostream& out, const char* counted = "objects") const;
  [[nodiscard]] nlohmann::ordered_json json() const;

 private:
  /// Time over that of the row's floor; 0 where it cannot be told.
  [[nodiscard]] double ratio(const step& row) const;

  std::vector<step> steps_;
};

}  // namespace support
