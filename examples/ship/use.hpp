// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "messages.hpp"

namespace ship {

/// How much of the host this process holds now; zeros where the system does not say.
struct use {
  std::uint64_t memory = 0;       ///< resident bytes
  std::uint64_t descriptors = 0;  ///< open files
};
[[nodiscard]] use use_now();

/// Looks at a process during a long run whose end is not known.
class use_watch {
 public:
  /// After so many batches. Remembers what was found after 1, 2, 4, 8 ... of them, and the last.
  void look(std::uint64_t batches, const use& found = use_now());

  /// The last look beside one after an eighth of the batches, or after the first, where there were fewer.
  [[nodiscard]] flatness result() const;

 private:
  std::uint64_t last_batches_ = 0;
  std::vector<use> early_;
  use last_;
};

/// Throws a problem where a side has grown: by any descriptor, or by more memory than 10 % and 16 MiB.
void check_flat(const flatness& seen, const std::string& whose);

}  // namespace ship
