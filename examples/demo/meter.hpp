// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace demo {

/// A line on a terminal that says how far the work is; silent where standard error is none. It is gone when the meter ends.
class meter {
 public:
  meter();
  meter(const meter&) = delete;
  meter& operator=(const meter&) = delete;
  ~meter() { clear(); }

  /// Plans `steps` more calls of advance().
  void expect(std::size_t steps) noexcept { steps_ += steps; }

  /// Shows what is being done now; whatever was shown before is done.
  void advance(std::string_view doing);

  void clear();

 private:
  bool visible_;
  std::size_t steps_ = 0;
  std::size_t done_ = 0;
  int drawn_ = -1;  // thousandths
};

}  // namespace demo
