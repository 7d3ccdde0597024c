// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Every family of types.

#include <lading/codec/array.hpp>        // IWYU pragma: export
#include <lading/codec/associative.hpp>  // IWYU pragma: export
#include <lading/codec/choice.hpp>       // IWYU pragma: export
#include <lading/codec/hooked.hpp>       // IWYU pragma: export
#include <lading/codec/product.hpp>      // IWYU pragma: export
#include <lading/codec/scalar.hpp>       // IWYU pragma: export
#include <lading/codec/sequence.hpp>     // IWYU pragma: export
#include <lading/codec/tensor/wire.hpp>  // IWYU pragma: export
