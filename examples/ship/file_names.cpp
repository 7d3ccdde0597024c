// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "file_names.hpp"

#include <algorithm>

#include <support/problem.hpp>
#include <support/units.hpp>

namespace ship {

std::string name_of_path(const std::string& path) {
  const std::size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return path;
  const std::size_t slash = path.rfind('/', end);
  const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(begin, end + 1 - begin);
}

void check_name(std::string_view name) {
  constexpr std::size_t longest = 255;
  const char* wrong = nullptr;
  if (name.empty()) wrong = "is empty";
  if (name.size() > longest) wrong = "is longer than 255 bytes";
  if (name == "." || name == "..") wrong = "is a folder's";
  if (name.find_first_of("/\\") != std::string_view::npos) wrong = "leads into another folder";
  if (std::any_of(name.begin(), name.end(), [](char letter) { return static_cast<unsigned char>(letter) < 0x20 || letter == 0x7f; }))
    wrong = "has control characters";
  if (wrong != nullptr)
    throw support::problem("a file's name " + std::string(wrong) + ": \"" + support::one_line(std::string(name.substr(0, 300)), 80) +
                           "\": only plain names are taken");
}

}  // namespace ship
