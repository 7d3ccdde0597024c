// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace kv {

struct settings {
  std::size_t keys = 10'000;
  std::size_t memory_mib = 512;
  std::uint16_t metrics_port = 0;  // 0 = none
  std::string address_file = "kv.address";
  std::string lanes;
};

/// Server and client in this process. Returns the program's exit status, as all of these do.
int over_loopback(const settings& how);

/// A server over UCX until SIGINT or SIGTERM; it writes to a file how it is reached.
int serve_ucx(const settings& how);

/// A client over UCX of the server that has written the file.
int run_ucx(const settings& how);

}  // namespace kv
