// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// The whole journey: values -> frames -> packed slots in a registered slab -> transfer -> validation -> values again, each step beside memcpy.

#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <support/units.hpp>

#include "cargo.hpp"

namespace demo {

std::vector<mapped_file> open_all(const std::vector<std::string>& paths) {
  std::vector<mapped_file> files;
  for (const std::string& path : paths) files.emplace_back(path);
  return files;
}

std::string names_of(const std::vector<std::string>& paths) {
  if (paths.size() == 1) return paths.front();
  return paths.front() + " and " + std::to_string(paths.size() - 1) + (paths.size() == 2 ? " more file" : " more files");
}

namespace {

int run(int count, char** words) {
  arguments given;
  if (const auto ended = parse(given, count, words)) return *ended;

#if defined(__GLIBC__)
  // Freed blocks stay with the process, as in a program that runs for long: otherwise decoding owned values would measure page faults.
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif

  report told;
  if (!given.safetensors.empty()) {
    ship_safetensors(given, told);
  } else if (!given.files.empty()) {
    ship_files(given, told);
  } else if (!given.transfer_queue.empty()) {
    ship_transfer_queue(given, told);
  } else {
    ship_rollouts(given, told);
  }
  if (given.json) {
    told.print_json(std::cout);
  } else {
    told.print_table(std::cout);
  }
  return std::cout.flush() ? 0 : 1;
}

}  // namespace
}  // namespace demo

int main(int count, char** words) {
  std::string why;
  try {
    return demo::run(count, words);
  } catch (const std::bad_alloc&) {
    why = "not enough memory";
  } catch (const std::exception& wrong) {
    why = wrong.what();
  }
  std::fprintf(stderr, "demo: %s\n", support::one_line(why).c_str());  // a path may hold anything
  return 1;
}
