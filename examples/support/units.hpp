// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdio>
#include <initializer_list>
#include <string>

namespace support {

/// printf into a string, of up to 250 characters.
template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[251];
  const int size = std::snprintf(text, sizeof text, pattern, values...);
  return std::string(text, static_cast<std::size_t>(std::clamp(size, 0, static_cast<int>(sizeof text) - 1)));
}

// Numbers for people: three or four digits that count, in the largest unit that they fill.
[[nodiscard]] std::string as_bytes(double bytes);
[[nodiscard]] std::string as_time(double seconds);
[[nodiscard]] std::string as_ratio(double ratio);

/// "1 file", "2 files".
[[nodiscard]] std::string counted(std::size_t count, const char* word);

/// The text as one line for a terminal, whatever is in it: without control characters, and not longer than `limit`.
[[nodiscard]] std::string one_line(std::string text, std::size_t limit = 600);

}  // namespace support
