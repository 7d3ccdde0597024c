// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a message of the exchange's control protocol, and as the body of one that is whole: a typed error, or a record that is written to the
// same bytes again.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <expect.hpp>
#include <lading/exchange/detail/value_index.hpp>
#include <lading/exchange/protocol.hpp>

namespace {

using lading::bytes_view;
namespace protocol = lading::protocol;

template <class Record>
void check(bytes_view body) {
  const auto read = lading::decode_from<Record>(body);
  if (!read) return fuzz::expect(fuzz::is_input_error(read.error()));
  std::vector<std::byte> again(lading::encoded_size(*read));
  const auto written = lading::encode_into(*read, again);
  fuzz::expect(written.has_value() && again.size() == body.size() && std::memcmp(again.data(), body.data(), body.size()) == 0);
  if constexpr (requires {
                  read->entries;
                  read->regions;
                }) {
    for (const auto& entry : read->entries) {
      static_cast<void>(lading::detail::plausible(entry.meta));
      if constexpr (requires { entry.at; }) {
        static_cast<void>(protocol::covers(entry.at, read->regions.size(), entry.meta.size));
      } else {
        static_cast<void>(protocol::covers(entry.from, read->regions.size(), entry.meta.size));
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Safety: bytes may be viewed as std::byte. The copy is aligned as a slot is.
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> slot(bytes, bytes + size);
  protocol::message message;
  if (const auto read = protocol::read_message(slot, message); read) {
    fuzz::expect(message.body().size() <= size);
  }
  static_cast<void>(protocol::read_address(slot));
  check<protocol::store_address>(slot);
  check<protocol::hello>(slot);
  check<protocol::welcome>(slot);
  check<protocol::put_request>(slot);
  check<protocol::keys_request>(slot);
  check<protocol::codes_answer>(slot);
  check<protocol::find_answer>(slot);
  check<protocol::release_request>(slot);
  return 0;
}
