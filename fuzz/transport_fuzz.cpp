// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a region's descriptor and as an endpoint's address: a typed error, or fields that are written to the same bytes again. Then the same
// bytes, and their fields under a good checksum, as what a peer sent: nothing of another endpoint or region is reached.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <expect.hpp>
#include <lading/transport/descriptor.hpp>

#if __has_include(<lading/transports/loopback.hpp>)
#include <lading/transports/loopback.hpp>
#endif

namespace {

using lading::bytes_view;
using lading::errc;

bool is_blob_error(const lading::error& cause) {
  switch (cause.code()) {
    case errc::truncated:
    case errc::trailing_bytes:
    case errc::bad_magic:
    case errc::unsupported_version:
    case errc::bad_header:
    case errc::checksum_mismatch:
    case errc::limit_exceeded: return !cause.message().empty();
    default: return false;
  }
}

bool same(bytes_view one, bytes_view other) {
  return one.size() == other.size() && (one.empty() || std::memcmp(one.data(), other.data(), one.size()) == 0);
}

void check_blobs(bytes_view blob) {
  const auto inside = [&](bytes_view part) { return part.size() <= blob.size() && part.data() + part.size() == blob.data() + blob.size(); };
  const auto region = lading::decode_descriptor(blob);
  if (region) {
    fuzz::expect(inside(region->key) && region->size != 0 && region->id != lading::region_id{});
    fuzz::expect(same(lading::encode_descriptor(*region), blob));
  } else {
    fuzz::expect(is_blob_error(region.error()));
  }
  const auto address = lading::decode_address(blob);
  if (address) {
    fuzz::expect(inside(address->native) && same(lading::encode_address(*address), blob));
  } else {
    fuzz::expect(is_blob_error(address.error()));
  }
  fuzz::expect(!region || !address);
}

/// The same bytes with magic, version and checksum mended, so that what lies behind them is reached.
std::vector<std::byte> mended(bytes_view blob, std::uint32_t magic) {
  std::vector<std::byte> copy(blob.begin(), blob.end());
  if (copy.size() >= lading::detail::blob_prefix) lading::detail::seal_blob(copy, magic, lading::detail::load_little<std::uint16_t>(copy.data() + 6));
  return copy;
}

#if __has_include(<lading/transports/loopback.hpp>)

/// Two connected endpoints, and a region of one that all inputs try to reach, or to miss, from the other.
struct reached {
  reached() : near(lading::loopback::create().value()), far(lading::loopback::create().value()), target(far.allocate_region(size).value()) {
    source = near.allocate_region(size).value();
    std::memset(source.data(), 0x55, size);
    peer = near.connect(far.address().value()).value();
    good = far.export_region(target).value();
    address = far.address().value();
  }
  static constexpr std::size_t size = 64;

  lading::loopback near, far;
  lading::region target, source;
  lading::peer_id peer{};
  std::vector<std::byte> good, address;
};

/// What imports can write the region that its fields name, as far as that goes, and no more.
void check_import(reached& on, bytes_view blob) {
  const auto imported = on.near.import_region(on.peer, blob);
  if (!imported) {
    fuzz::expect(is_blob_error(imported.error()) || imported.error() == errc::not_registered || imported.error() == errc::out_of_range);
    return;
  }
  const auto said = lading::decode_descriptor(blob);
  const auto true_one = lading::decode_descriptor(on.good);
  fuzz::expect(said->endpoint == true_one->endpoint && said->id == true_one->id && said->generation == true_one->generation &&
               said->size <= reached::size);
  const lading::slice all{on.source.id(), *imported, 0, 0, said->size}, more{on.source.id(), *imported, 0, said->size, 1};
  fuzz::expect(on.near.submit(on.peer, lading::op::put, std::span(&more, 1)).error() == errc::out_of_range);
  fuzz::expect(on.near.submit(on.peer, lading::op::put, std::span(&all, 1)).value().wait().ok());
  const auto written = static_cast<std::size_t>(said->size);
  for (std::size_t i = 0; i < reached::size; ++i) fuzz::expect(on.target.data()[i] == std::byte{static_cast<unsigned char>(i < written ? 0x55 : 0)});
  std::memset(on.target.data(), 0, reached::size);
  fuzz::expect(on.near.release_region(*imported).has_value());
}

void check_connect(reached& on, bytes_view blob) {
  const auto peer = on.near.connect(blob, std::chrono::nanoseconds{0});
  if (!peer) return fuzz::expect(is_blob_error(peer.error()) || peer.error() == errc::peer_lost);
  fuzz::expect(lading::decode_address(blob)->identity.endpoint == on.far.identity().endpoint);
  on.near.disconnect(*peer);
}

/// The input lies over a good blob: what it does not reach stays good, so that all but a few fields are right.
std::vector<std::byte> over(const std::vector<std::byte>& good, bytes_view input, std::uint32_t magic) {
  std::vector<std::byte> mixed = good;
  for (std::size_t i = 0; i < input.size() && i < mixed.size(); ++i) mixed[i] ^= input[i];
  return mended(mixed, magic);
}

void check_peers(bytes_view blob) {
  static reached on;
  using lading::detail::address_magic;
  using lading::detail::descriptor_magic;
  check_import(on, on.good);
  for (const auto& sent : {std::vector<std::byte>(blob.begin(), blob.end()), mended(blob, descriptor_magic), over(on.good, blob, descriptor_magic)})
    check_import(on, sent);
  for (const auto& sent : {std::vector<std::byte>(blob.begin(), blob.end()), mended(blob, address_magic), over(on.address, blob, address_magic)})
    check_connect(on, sent);
}

#else

void check_peers(bytes_view) {}

#endif

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Safety: bytes may be viewed as std::byte.
  const bytes_view blob(reinterpret_cast<const std::byte*>(data), size);
  check_blobs(blob);
  check_blobs(mended(blob, lading::detail::descriptor_magic));
  check_blobs(mended(blob, lading::detail::address_magic));
  check_peers(blob);
  return 0;
}
