// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <lading/transport/endpoint.hpp>

namespace kv {

/// An endpoint over UCX. It is made where UCX is compiled, once; everything else takes an endpoint of any transport.
lading::result<lading::endpoint> ucx_endpoint(const std::string& lanes);

}  // namespace kv
