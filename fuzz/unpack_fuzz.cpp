// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a packed buffer of either layout: a typed error, or payloads inside the buffer that pack to the same bytes again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <lading/core/endian.hpp>
#include <lading/pack/gather.hpp>
#include <lading/pack/pack.hpp>
#include <lading/pack/transfer_queue.hpp>
#include <lading/pack/unpack.hpp>

namespace {

using lading::bytes_span;
using lading::bytes_view;

void require(bool condition) {
  if (!condition) std::abort();
}

bool is_input_error(lading::errc code) {
  return (code >= lading::errc::truncated && code <= lading::errc::limit_exceeded) && !lading::error(code).message().empty();
}

template <class Layout>
void check(bytes_view packed, const lading::unpack_options& options) {
  const auto read = lading::unpack_from<Layout>(packed, options);
  if (!read) {
    require(is_input_error(read.error().code()));
    return;
  }
  std::size_t total = 0;
  for (const bytes_view item : *read) {
    require(item.data() >= packed.data() && item.data() <= packed.data() + packed.size());
    require(item.size() <= static_cast<std::size_t>(packed.data() + packed.size() - item.data()));
    total += item.size();
  }
  if (!options.strict && !Layout::always_strict) return;
  require(total <= packed.size());
  // Only what the writer writes is accepted. Checksums that were not verified are replaced by true ones, so then only the payloads are compared.
  const lading::pack_options same{.checksum = read->has_checksum(), .schema = read->schema()};
  std::vector<std::byte> again(packed.size(), std::byte{0xAA});
  const auto wrote = lading::pack_into<Layout>(again, *read, same);
  require(wrote.has_value() && *wrote == packed.size());
  if (options.verify_checksum || !read->has_checksum()) require(std::memcmp(again.data(), packed.data(), packed.size()) == 0);
  const auto plan = lading::plan_gather<Layout>(*read, same);
  require(plan.has_value() && plan->size() == packed.size());
  std::vector<std::byte> executed(packed.size(), std::byte{0x55});
  require(plan->execute(executed).has_value() && executed == again);
}

/// The same buffer with its header checksum mended, so that what lies behind the checksum is reached.
std::vector<std::byte> mended(bytes_view packed) {
  std::vector<std::byte> copy(packed.begin(), packed.end());
  if (copy.size() < 64) return copy;
  const auto count = lading::detail::load_little<std::uint64_t>(copy.data() + 8);
  if (count > (copy.size() - 64) / 32) return copy;
  std::vector<std::byte> head(copy.begin(), copy.begin() + 32);
  head.insert(head.end(), copy.begin() + 64, copy.begin() + 64 + static_cast<std::ptrdiff_t>(32 * count));
  lading::detail::store_little<std::uint64_t>(copy.data() + 32, lading::checksum_of(head.data(), head.size()));
  return copy;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Safety: bytes may be viewed as std::byte.
  const bytes_view packed(reinterpret_cast<const std::byte*>(data), size);
  check<lading::layout::aligned>(packed, {});
  check<lading::layout::aligned>(packed, {.verify_checksum = false});
  check<lading::layout::transfer_queue>(packed, {});
  check<lading::layout::transfer_queue>(packed, {.strict = false});
  const std::vector<std::byte> good_header = mended(packed);
  check<lading::layout::aligned>(good_header, {});
  check<lading::layout::aligned>(good_header, {.verify_checksum = false, .strict = false});
  return 0;
}
