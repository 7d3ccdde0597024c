// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Any bytes as what a peer says over verbs: a message, a greeting, an address and a key. A typed error, or what is written to the same bytes again.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <expect.hpp>
#include <lading/transports/verbs/message.hpp>

namespace {

using lading::bytes_view;
using lading::errc;
namespace detail = lading::detail;

void expect_input_error(const lading::error& why) {
  const errc code = why.code();
  fuzz::expect(fuzz::is_input_error(why) || code == errc::bad_magic || code == errc::unsupported_version || code == errc::bad_header);
}

void expect_same(bytes_view again, bytes_view bytes) {
  fuzz::expect(bytes.size() >= again.size() && std::memcmp(again.data(), bytes.data(), again.size()) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Safety: bytes may be viewed as std::byte. The copy is as long as what it is of, so that a sanitizer sees what reads past it.
  const auto* raw = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> bytes(raw, raw + size);
  if (const auto message = detail::verbs_message::load(bytes); message) {
    detail::verbs_message::raw again;
    message->store(again);
    fuzz::expect(again.size() == bytes.size());
    expect_same(again, bytes);
  } else {
    expect_input_error(message.error());
  }
  if (const auto greeting = detail::verbs_greeting::load(bytes); greeting) {
    expect_same(greeting->store(), bytes);  // what follows is padding
  } else {
    expect_input_error(greeting.error());
  }
  if (const auto address = detail::verbs_address::load(bytes); address) {
    fuzz::expect(bytes.size() == detail::verbs_address::wire_size && address->names_a_host() && address->port != 0);
    expect_same(address->store(), bytes);
    const auto family = address->socket_address().ss_family;
    fuzz::expect(family == (address->is_v4() ? AF_INET : AF_INET6));
  } else {
    expect_input_error(address.error());
  }
  for (const std::uint64_t region : {std::uint64_t{0}, std::uint64_t{4096}, ~std::uint64_t{0}}) {
    if (const auto key = detail::verbs_key::load(bytes, region); key) {
      fuzz::expect(key->base + region >= key->base);
      expect_same(key->store(), bytes);
    } else {
      expect_input_error(key.error());
    }
  }
  return 0;
}
