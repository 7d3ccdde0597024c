// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <ostream>

#include <nlohmann/json.hpp>

#include <support/units.hpp>

namespace demo {

using namespace support;

void report::print_table(std::ostream& out) const {
  out << cargo << '\n';
  steps.print(out);
  out << "Verified: " << counted(objects, "object") << ", " << as_bytes(static_cast<double>(payload_bytes))
      << " of values, all equal bit for bit; in one slab of " << as_bytes(static_cast<double>(slab_bytes)) << " registered at each end.\n";
  if (!refusal.empty()) out << "One bit flipped after the transfer is refused: " << refusal << '\n';
  out << "time      the best of " << counted(rounds, "round") << ", warm pages, " << counted(workers, "worker") << ".\n"
      << "bytes     what the step moves or reads; opening views reads no payload, so it has none.\n"
         "x memcpy  its time over that of the nearest memcpy row above, which copies the same bytes between the same\n"
         "          places on one thread. Below 1: stores past the caches, more workers, or less to do than a copy.\n";
}

void report::print_json(std::ostream& out) const {
  const nlohmann::ordered_json all = {{"cargo", cargo},           {"objects", objects},     {"payload_bytes", payload_bytes},
                                      {"slab_bytes", slab_bytes}, {"workers", workers},     {"rounds", rounds},
                                      {"verified", true},         {"flipped_bit", refusal}, {"steps", steps.json()}};
  out << all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
}

}  // namespace demo
