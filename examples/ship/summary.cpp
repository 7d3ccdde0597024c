// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "summary.hpp"

#include <ostream>

#include <nlohmann/json.hpp>

#include <support/units.hpp>

namespace ship {

using nlohmann::ordered_json;
using support::as_bytes;
using support::as_time;
using support::counted;
using support::format;

namespace {

constexpr const char* floor_name = "memcpy, slot to slot";

std::string bytes_of(std::uint64_t count) { return as_bytes(static_cast<double>(count)); }

support::step_table steps_of(const shipment& told, bool generated) {
  support::step_table table;
  const auto add = [&](const char* name, std::uint64_t bytes, double seconds) {
    table.add({name, floor_name, static_cast<std::size_t>(told.slots), bytes, seconds});
  };
  const std::uint64_t all = told.packed_bytes;
  add(floor_name, all, told.memcpy_seconds);
  add(generated ? "encode + pack, checksums" : "read + encode + pack, checksums", all, told.pack_seconds);
  add("post", 0, told.post_seconds);
  add("transfer", all, told.transfer_seconds);
  add("validate, checksums, over there", all, told.receiver.validate_seconds);
  add(generated ? "decode + compare, over there" : "decode + write, over there", told.bytes, told.receiver.land_seconds);
  add("the whole journey", all, told.seconds);
  return table;
}

ordered_json json_of(const flatness& seen) {
  return {{"memory_early", seen.early_memory},
          {"memory_late", seen.late_memory},
          {"descriptors_early", seen.early_descriptors},
          {"descriptors_late", seen.late_descriptors}};
}

std::string text_of(const flatness& seen, const char* whose) {
  return format("%-9s memory %s early, %s at the end; descriptors %llu early, %llu at the end\n", whose, bytes_of(seen.early_memory).c_str(),
                bytes_of(seen.late_memory).c_str(), static_cast<unsigned long long>(seen.early_descriptors),
                static_cast<unsigned long long>(seen.late_descriptors));
}

std::string cargo_of(const arguments& given, const shipment& told) {
  if (!given.files.empty()) return counted(given.files.size(), "file");
  return counted(told.slots, "generated value") + " in " + std::to_string(told.batches) + (told.batches == 1 ? " batch" : " batches");
}

void write(std::ostream& out, const ordered_json& all) { out << all.dump(2, ' ', false, ordered_json::error_handler_t::replace) << '\n'; }

}  // namespace

void print_shipment(std::ostream& out, const arguments& given, const std::string& to, const shipment& told) {
  const bool generated = given.files.empty();
  const support::step_table table = steps_of(told, generated);
  if (given.json) {
    ordered_json all = {{"role", given.loopback() ? "both" : "sender"},
                        {"transport", given.transport},
                        {"peer", to},
                        {"files", given.files},
                        {"batches", told.batches},
                        {"slots_sent", told.slots},
                        {"bytes", told.bytes},
                        {"packed_bytes", told.packed_bytes},
                        {"slot_bytes", given.slot_bytes},
                        {"window", given.slots},
                        {"verified", true},
                        {"seconds", told.seconds},
                        {"post_seconds", told.post_seconds},
                        {"transfer_seconds", told.transfer_seconds},
                        {"memcpy_seconds", told.memcpy_seconds},
                        {"latency_mean_seconds", told.latency_seconds},
                        {"steps", table.json()}};
    if (given.soak) {
      all["soak"] = {{"sender", json_of(told.use)}, {"receiver", json_of(told.receiver.use)}};
    }
    return write(out, all);
  }
  out << cargo_of(given, told) << ", " << bytes_of(told.bytes) << ", over " << given.transport << " to " << to << '\n';
  table.print(out, "slots");
  out << "Verified: " << bytes_of(told.bytes) << ", each slot with its checksum by the receiver before it was acknowledged"
      << (generated ? ", and each value bit for bit" : "") << ".\n"
      << "slots     of up to " << bytes_of(given.slot_bytes) << ", " << given.slots << " under way at most; one took "
      << as_time(told.latency_seconds) << " from post to arrival.\n"
      << "transfer  while something was under way, but for packing meanwhile. Both sides work at the same time, so the steps add\n"
         "          up to more than the journey.\n"
         "x memcpy  its time over that of memcpy of the same bytes in this run, one thread, slots to slots.\n";
  if (given.soak) out << text_of(told.use, "sender") << text_of(told.receiver.use, "receiver");
}

void print_received(std::ostream& out, const arguments& given, const std::string& from, bool generated, const done& told) {
  if (given.json) {
    return write(out, {{"role", "receiver"},
                       {"transport", given.transport},
                       {"peer", from},
                       {"into", given.into},
                       {"files", told.files},
                       {"slots_received", told.slots},
                       {"bytes", told.bytes},
                       {"verified", true},
                       {"validate_seconds", told.validate_seconds},
                       {"land_seconds", told.land_seconds}});
  }
  out << "Verified and " << (generated ? "compared" : "written") << ": "
      << (generated ? counted(told.slots, "generated value") : counted(told.files, "file")) << ", " << bytes_of(told.bytes) << ", from " << from
      << (generated ? "" : ", into " + given.into) << ".\n";
}

}  // namespace ship
