// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace support {

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

  /// Shows how much of a stream of bytes is done, how fast it goes since the first call, and how long the rest will take. `fraction` is the part that
  /// is done, below 0 where nobody knows the end. Cheap to call often: it draws ten times a second.
  void flow(double fraction, std::uint64_t done);

  void clear();

 private:
  void draw(double fraction, std::string_view text);

  bool visible_;
  std::size_t steps_ = 0;
  std::size_t done_ = 0;
  int drawn_ = -1;  // thousandths
  std::chrono::steady_clock::time_point began_{}, shown_{};
};

}  // namespace support
