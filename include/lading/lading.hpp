// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// The whole library but for transports (lading/transports/<name>.hpp), DLPack (lading/codec/tensor/dlpack.hpp), dates
// (lading/codec/calendar.hpp) and std::error_code (lading/core/error_code.hpp), which need more than most programs want to compile. For users:
// lading's own headers include what they need.

#include <lading/batch/decode.hpp>         // IWYU pragma: export
#include <lading/batch/encode.hpp>         // IWYU pragma: export
#include <lading/codec/decode.hpp>         // IWYU pragma: export
#include <lading/codec/encode.hpp>         // IWYU pragma: export
#include <lading/codec/schema.hpp>         // IWYU pragma: export
#include <lading/codec/stream.hpp>         // IWYU pragma: export
#include <lading/core/bytes.hpp>           // IWYU pragma: export
#include <lading/core/limits.hpp>          // IWYU pragma: export
#include <lading/core/result.hpp>          // IWYU pragma: export
#include <lading/pack/gather.hpp>          // IWYU pragma: export
#include <lading/pack/pack.hpp>            // IWYU pragma: export
#include <lading/pack/transfer_queue.hpp>  // IWYU pragma: export
#include <lading/pack/unpack.hpp>          // IWYU pragma: export
#include <lading/version.hpp>              // IWYU pragma: export
