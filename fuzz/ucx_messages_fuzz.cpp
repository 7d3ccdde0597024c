// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Any bytes as what a peer says over ucx: the head of a message, its records, a greeting, the key of a shared region, and a worker's address. A typed
// error, or what is written to the same bytes again.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <expect.hpp>
#include <lading/transports/ucx/address.hpp>
#include <lading/transports/ucx/message.hpp>
#include <lading/transports/ucx/shared_memory.hpp>

namespace {

using lading::bytes_view;
using lading::errc;
namespace detail = lading::detail;

void check_head(bytes_view bytes) {
  const auto head = detail::ucx_head::load(bytes);
  if (!head) {
    const errc code = head.error().code();
    return fuzz::expect(fuzz::is_input_error(head.error()) || code == errc::bad_magic || code == errc::unsupported_version ||
                        code == errc::bad_header);
  }
  detail::ucx_head::raw again;
  head->store(again);
  fuzz::expect(again.size() == bytes.size() && std::memcmp(again.data(), bytes.data(), again.size()) == 0);
}

template <class Record>
void check_record(bytes_view bytes) {
  if (bytes.size() < Record::wire_size) return;
  std::vector<std::byte> once(Record::wire_size), twice(Record::wire_size);
  Record::load(bytes.data()).store(once.data());
  Record::load(once.data()).store(twice.data());
  fuzz::expect(once == twice);
}

/// An address as this process's UCX could have made it: one device, two lanes.
std::vector<std::byte> some_address() {
  std::vector<std::byte> made(9, std::byte{7});
  made[0] = std::byte{0x20};
  const auto add = [&](std::initializer_list<int> bytes) {
    for (const int each : bytes) made.push_back(static_cast<std::byte>(each));
  };
  add({0x20, 0x86, 0, 2, 192, 0, 2, 2});
  for (const bool last : {false, true}) {
    const std::uint16_t number = detail::ucx_lane_number(last ? "tcp" : "self");
    add({number & 0xff, number >> 8, 0, 0, 0x80, 0x3f, 0, 0, 0x80, 0x4b, 0, 0, 0, 0, 0, 0x13, 0x23, 0, last ? 0x82 : 0x02, 1, 2});
  }
  return made;
}

void check_address(bytes_view bytes) {
  static const std::vector<std::byte> own = some_address();
  static const detail::ucx_addresses known = [] {
    detail::ucx_addresses made;
    made.learn(own);
    fuzz::expect(made.understood() && made.check(own).has_value());
    return made;
  }();
  static_cast<void>(known.check(bytes));
  // Bytes that differ from a good address in places: pairs of a place and a change.
  std::vector<std::byte> changed = own;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) changed[static_cast<std::size_t>(bytes[i]) % changed.size()] ^= bytes[i + 1];
  if (known.check(changed)) fuzz::expect(!known.check(bytes_view(changed).first(changed.size() - 1)).has_value());
  // As one's own, any bytes are learned from, or not.
  detail::ucx_addresses other;
  other.learn(bytes);
  if (other.understood()) fuzz::expect(other.check(bytes).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Safety: bytes may be viewed as std::byte. The copy is as long as what it is of, so that a sanitizer sees what reads past it.
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> copy(bytes, bytes + size);
  check_head(copy);
  check_record<detail::ucx_record>(copy);
  check_record<detail::ucx_greeting>(copy);
  const auto key = detail::shared_key::decode(copy);
  if (key.cookie != 0) fuzz::expect(key.encode() == copy);
  check_address(copy);
  return 0;
}
