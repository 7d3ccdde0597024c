// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "use.hpp"

#include <bit>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <system_error>

#include <unistd.h>

#include <support/problem.hpp>
#include <support/units.hpp>

namespace ship {

use use_now() {
  static std::mutex one_at_a_time;  // looking opens descriptors, which another thread would count
  const std::lock_guard held(one_at_a_time);
  use found;
  if (std::FILE* const file = std::fopen("/proc/self/statm", "re"); file != nullptr) {
    unsigned long long all = 0, resident = 0;
    if (std::fscanf(file, "%llu %llu", &all, &resident) == 2) found.memory = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    std::fclose(file);
  }
  std::error_code ignored;
  for (std::filesystem::directory_iterator each("/proc/self/fd", ignored), last; each != last; each.increment(ignored)) ++found.descriptors;
  return found;
}

void use_watch::look(std::uint64_t batches, const use& found) {
  if (batches <= last_batches_) return;
  last_batches_ = batches;
  last_ = found;
  while (batches >= std::uint64_t{1} << early_.size()) early_.push_back(found);
}

flatness use_watch::result() const {
  if (early_.empty()) return {};
  const auto index = last_batches_ < 8 ? 0 : static_cast<std::size_t>(std::bit_width(last_batches_ / 8) - 1);
  const use& early = early_[index];
  return {early.memory, last_.memory, early.descriptors, last_.descriptors};
}

void check_flat(const flatness& seen, const std::string& whose) {
  if (seen.late_descriptors > seen.early_descriptors)
    throw support::problem(whose + " descriptors have grown from " + std::to_string(seen.early_descriptors) + " to " +
                           std::to_string(seen.late_descriptors));
  if (seen.late_memory > seen.early_memory + seen.early_memory / 10 + (std::uint64_t{16} << 20)) {
    throw support::problem(whose + " memory has grown from " + support::as_bytes(static_cast<double>(seen.early_memory)) + " to " +
                           support::as_bytes(static_cast<double>(seen.late_memory)));
  }
}

}  // namespace ship
