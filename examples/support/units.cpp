// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "units.hpp"

namespace support {

namespace {

struct unit {
  double size;
  const char* name;
};

std::string in_units(double value, std::initializer_list<unit> units) {
  const unit* chosen = units.begin();
  for (const unit& each : units) {
    if (value >= each.size) chosen = &each;
  }
  const double shown = value / chosen->size;
  return format(shown >= 100 || chosen->size == 1 ? "%.0f %s" : shown >= 10 ? "%.1f %s" : "%.2f %s", shown, chosen->name);
}

}  // namespace

std::string as_bytes(double bytes) { return in_units(bytes, {{1, "B"}, {1e3, "kB"}, {1e6, "MB"}, {1e9, "GB"}}); }
std::string as_time(double seconds) { return in_units(seconds * 1e9, {{1, "ns"}, {1e3, "us"}, {1e6, "ms"}, {1e9, "s"}}); }
std::string as_ratio(double ratio) { return ratio == 0 ? "-" : ratio < 0.001 ? "<0.001" : format(ratio < 0.1 ? "%.3f" : "%.2f", ratio); }
std::string counted(std::size_t count, const char* word) { return std::to_string(count) + " " + word + (count == 1 ? "" : "s"); }

std::string one_line(std::string text, std::size_t limit) {
  if (text.size() > limit) text = text.substr(0, limit) + "...";
  std::replace_if(
      text.begin(), text.end(), [](char letter) { return static_cast<unsigned char>(letter) < 0x20 || letter == 0x7f; }, '?');
  return text;
}

}  // namespace support
