// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <algorithm>
#include <cstdio>
#include <ostream>

#include <nlohmann/json.hpp>

namespace demo {

namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[160];
  const int size = std::snprintf(text, sizeof text, pattern, values...);
  return std::string(text, static_cast<std::size_t>(std::clamp(size, 0, static_cast<int>(sizeof text) - 1)));
}

struct unit {
  double size;
  const char* name;
};

/// A number with three or four digits that count, in the largest unit that it fills.
std::string in_units(double value, std::initializer_list<unit> units) {
  const unit* chosen = units.begin();
  for (const unit& each : units) {
    if (value >= each.size) chosen = &each;
  }
  const double shown = value / chosen->size;
  return format(shown >= 100 || chosen->size == 1 ? "%.0f %s" : shown >= 10 ? "%.1f %s" : "%.2f %s", shown, chosen->name);
}

std::string as_bytes(double bytes) { return in_units(bytes, {{1, "B"}, {1e3, "kB"}, {1e6, "MB"}, {1e9, "GB"}}); }
std::string as_time(double seconds) { return in_units(seconds * 1e9, {{1, "ns"}, {1e3, "us"}, {1e6, "ms"}, {1e9, "s"}}); }
std::string as_ratio(double ratio) { return ratio == 0 ? "-" : ratio < 0.001 ? "<0.001" : format(ratio < 0.1 ? "%.3f" : "%.2f", ratio); }
std::string counted(std::size_t count, const char* word) { return std::to_string(count) + " " + word + (count == 1 ? "" : "s"); }

}  // namespace

void report::add(const step& more) {
  const auto row = std::find_if(steps_.begin(), steps_.end(), [&](const step& each) { return each.name == more.name; });
  if (row == steps_.end()) {
    steps_.push_back(more);
    return;
  }
  row->objects += more.objects;
  row->bytes += more.bytes;
  row->seconds += more.seconds;
}

double report::ratio(const step& row) const {
  for (const step& each : steps_) {
    if (each.name == row.floor) return each.seconds > 0 ? row.seconds / each.seconds : 0;
  }
  return 0;
}

void report::print_table(std::ostream& out) const {
  out << cargo << '\n';
  out << format("%-32s %8s %10s %10s %8s %9s\n", "step", "objects", "bytes", "time", "GB/s", "x memcpy");
  for (const step& row : steps_) {
    const std::string speed = row.bytes != 0 && row.seconds > 0 ? format("%.2f", static_cast<double>(row.bytes) / row.seconds * 1e-9) : "-";
    out << format("%-32s %8zu %10s %10s %8s %9s\n", row.name.c_str(), row.objects,
                  row.bytes == 0 ? "-" : as_bytes(static_cast<double>(row.bytes)).c_str(), as_time(row.seconds).c_str(), speed.c_str(),
                  as_ratio(ratio(row)).c_str());
  }
  out << "Verified: " << counted(objects, "object") << ", " << as_bytes(static_cast<double>(payload_bytes))
      << " of values, all equal bit for bit; in one slab of " << as_bytes(static_cast<double>(slab_bytes)) << " registered at each end.\n";
  if (!refusal.empty()) out << "One bit flipped after the transfer is refused: " << refusal << '\n';
  out << "time      the best of " << counted(rounds, "round") << ", warm pages, " << counted(workers, "worker") << ".\n"
      << "bytes     what the step moves or reads; opening views reads no payload, so it has none.\n"
         "x memcpy  its time over that of the nearest memcpy row above, which copies the same bytes between the same\n"
         "          places on one thread. Below 1: stores past the caches, more workers, or less to do than a copy.\n";
}

void report::print_json(std::ostream& out) const {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const step& row : steps_) {
    nlohmann::ordered_json one = {{"step", row.name}, {"objects", row.objects}, {"bytes", row.bytes}, {"seconds", row.seconds}};
    one["memcpy"] = row.floor;
    one["ratio"] = ratio(row);
    rows.push_back(std::move(one));
  }
  const nlohmann::ordered_json all = {{"cargo", cargo},           {"objects", objects},     {"payload_bytes", payload_bytes},
                                      {"slab_bytes", slab_bytes}, {"workers", workers},     {"rounds", rounds},
                                      {"verified", true},         {"flipped_bit", refusal}, {"steps", rows}};
  out << all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
}

}  // namespace demo
