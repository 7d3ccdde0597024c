// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A small program of somebody else's.

#include <lading/lading.hpp>

#include <cstdio>
#include <string>
#include <vector>

struct message {
  std::int64_t id;
  std::string text;
  std::vector<float> numbers;
  bool operator==(const message&) const = default;
};

int main() {
  const message sent{7, "across", std::vector<float>(4096, 0.5F)};
  const auto frames = lading::encode(sent);
  std::vector<std::byte> packed(lading::calc_packed_size(*frames).value());
  if (!lading::pack_into(packed, *frames)) return 1;

  const auto items = lading::unpack_from(packed);
  const auto received = lading::decode<message>(*items);
  if (!received || *received != sent) return 2;

  packed.pop_back();
  const auto refused = lading::unpack_from(packed);
  if (refused) return 3;
  std::printf("lading %d.%d.%d: %s\n", LADING_VERSION_MAJOR, LADING_VERSION_MINOR, LADING_VERSION_PATCH, refused.error().message().c_str());
}
