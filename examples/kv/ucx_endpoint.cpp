// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include "ucx_endpoint.hpp"

#include <lading/transports/ucx.hpp>

lading::result<lading::endpoint> kv::ucx_endpoint(const std::string& lanes) {
  lading::ucx_options how;
  how.lanes = lanes;
  auto made = lading::ucx::create(how);
  if (!made) return lading::fail(made.error());
  return lading::endpoint(std::move(*made));
}
