// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/exchange/detail/client_memory.hpp>

namespace lading::detail {

/// Memory that a transfer may still touch after its end. Made before the transfer begins, so that keeping it cannot fail.
struct late_memory {
  std::vector<registered_bytes> bytes;
  std::shared_ptr<late_memory> itself;
};

/// Keeps `held` until the transport has let go of all that the submission moves; where there is no memory to remember it by, for ever.
template <class Submission, class Held>
void keep_while_moving(Submission& moving, const std::shared_ptr<Held>& held) noexcept {
  LADING_TRY { moving.keep(held); }
  LADING_CATCH_BAD_ALLOC(held->itself = held)
}

}  // namespace lading::detail
