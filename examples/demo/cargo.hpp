// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <support/mapped_file.hpp>
#include "arguments.hpp"
#include "report.hpp"

namespace demo {

using support::mapped_file;

// What can be shipped. Each function ships all of it, verifies it, and tells how; it throws a problem where it cannot.

void ship_rollouts(const arguments& given, report& told);
void ship_safetensors(const arguments& given, report& told);
void ship_files(const arguments& given, report& told);
void ship_transfer_queue(const arguments& given, report& told);

[[nodiscard]] std::vector<mapped_file> open_all(const std::vector<std::string>& paths);

/// "a.bin" or "a.bin and 3 more files".
[[nodiscard]] std::string names_of(const std::vector<std::string>& paths);

}  // namespace demo
