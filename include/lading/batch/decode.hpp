// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <iterator>
#include <vector>

#include <lading/batch/options.hpp>
#include <lading/codec/decode.hpp>
#include <lading/codec/schema.hpp>
#include <lading/core/result.hpp>
#include <lading/pack/unpack.hpp>

namespace lading {

template <class T, class Layout = layout::aligned, class Buffers>
  requires frame_range<Buffers>
[[nodiscard]] result<std::vector<T>> batch_decode_from(const Buffers& buffers, const batch_options& options = {}) {
  std::vector<T> values;
  for (std::size_t i = 0; i < std::size(buffers); ++i) {
    const bytes_view buffer = std::begin(buffers)[static_cast<std::ptrdiff_t>(i)];
    const auto items = unpack_from<Layout>(buffer, {.verify_checksum = options.verify_checksum, .strict = options.strict, .expected_schema = schema_of<T>()});
    if (!items) return fail(items.error().with_item(i));
    auto value = decode<T>(*items, options.limits);
    if (!value) return fail(value.error().with_item(i));
    values.push_back(std::move(*value));
  }
  return values;
}

template <class T, class Layout = layout::aligned>
[[nodiscard]] result<std::vector<T>> batch_decode_from(const packed_batch& batch, const batch_options& options = {}) {
  std::vector<bytes_view> exact;
  if (batch.buffers.size() != batch.sizes.size()) return fail(errc::invalid_argument);
  for (std::size_t i = 0; i < batch.buffers.size(); ++i) {
    if (batch.sizes[i] > batch.buffers[i].size()) return fail(errc::invalid_argument, {.item = i});
    exact.push_back(batch.buffers[i].first(batch.sizes[i]));
  }
  return batch_decode_from<T, Layout>(exact, options);
}

}  // namespace lading
