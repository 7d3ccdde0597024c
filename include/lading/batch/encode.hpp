// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <iterator>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <lading/batch/options.hpp>
#include <lading/codec/encode.hpp>
#include <lading/codec/schema.hpp>
#include <lading/core/result.hpp>
#include <lading/pack/pack.hpp>

namespace lading {

template <class Layout = layout::aligned, class Objects, class Allocate>
[[nodiscard]] result<packed_batch> batch_encode_into(const Objects& objects, Allocate&& allocate, const batch_options& options = {}) {
  using object = std::remove_cvref_t<decltype(std::begin(objects)[0])>;
  packed_batch batch;
  std::vector<frames> encoded;
  for (std::size_t i = 0; i < std::size(objects); ++i) {
    auto made = encode(std::begin(objects)[static_cast<std::ptrdiff_t>(i)], options.encode);
    if (!made) return fail(made.error().with_item(i));
    const auto size = calc_packed_size<Layout>(*made);
    if (!size) return fail(size.error().with_item(i));
    batch.sizes.push_back(*size);
    encoded.push_back(std::move(*made));
  }
  result<std::vector<bytes_span>> slots = std::forward<Allocate>(allocate)(std::span<const std::size_t>(batch.sizes));
  if (!slots) return fail(slots.error());
  batch.buffers = std::move(*slots);
  if (batch.buffers.size() != batch.sizes.size()) return fail(errc::invalid_argument, {.needed = batch.sizes.size(), .available = batch.buffers.size(), .what = "the allocator gives one slot for each size"});
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    const auto packed = pack_into<Layout>(batch.buffers[i], encoded[i], {.checksum = options.checksum, .schema = schema_of<object>()});
    if (!packed) return fail(packed.error().with_item(i));
  }
  return batch;
}

}  // namespace lading
