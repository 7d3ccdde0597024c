// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <string>

#include "arguments.hpp"
#include "sender.hpp"

namespace ship {

/// What a sender prints in the end: a table, or JSON.
void print_shipment(std::ostream& out, const arguments& given, const std::string& to, const shipment& told);

/// What a receiver prints in the end.
void print_received(std::ostream& out, const arguments& given, const std::string& from, bool generated, const done& told);

}  // namespace ship
