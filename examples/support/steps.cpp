// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "steps.hpp"

#include <algorithm>
#include <ostream>

#include <nlohmann/json.hpp>

#include "units.hpp"

namespace support {

static std::string as_speed(double gigabytes) { return format(gigabytes < 0.1 ? "%.4f" : "%.2f", gigabytes); }

void step_table::add(const step& more) {
  const auto row = std::find_if(steps_.begin(), steps_.end(), [&](const step& each) { return each.name == more.name; });
  if (row == steps_.end()) {
    steps_.push_back(more);
    return;
  }
  row->objects += more.objects;
  row->bytes += more.bytes;
  row->seconds += more.seconds;
}

double step_table::ratio(const step& row) const {
  for (const step& each : steps_) {
    if (each.name == row.floor) return each.seconds > 0 ? row.seconds / each.seconds : 0;
  }
  return 0;
}

void step_table::print(std::ostream& out, const char* counted) const {
  out << format("%-32s %8s %10s %10s %8s %9s\n", "step", counted, "bytes", "time", "GB/s", "x memcpy");
  for (const step& row : steps_) {
    const std::string speed = row.bytes != 0 && row.seconds > 0 ? as_speed(static_cast<double>(row.bytes) / row.seconds * 1e-9) : "-";
    out << format("%-32s %8zu %10s %10s %8s %9s\n", row.name.c_str(), row.objects,
                  row.bytes == 0 ? "-" : as_bytes(static_cast<double>(row.bytes)).c_str(), as_time(row.seconds).c_str(), speed.c_str(),
                  as_ratio(ratio(row)).c_str());
  }
}

nlohmann::ordered_json step_table::json() const {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const step& row : steps_) {
    nlohmann::ordered_json one = {{"step", row.name}, {"objects", row.objects}, {"bytes", row.bytes}, {"seconds", row.seconds}};
    one["memcpy"] = row.floor;
    one["ratio"] = ratio(row);
    rows.push_back(std::move(one));
  }
  return rows;
}

}  // namespace support
