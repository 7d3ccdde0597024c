// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace ship {

/// The name under which a file travels: the last part of its path.
[[nodiscard]] std::string name_of_path(const std::string& path);

/// Throws a problem where a name that came from elsewhere is more than a plain one: it must not lead out of the folder that it is meant for, nor say
/// anything to a terminal.
void check_name(std::string_view name);

}  // namespace ship
