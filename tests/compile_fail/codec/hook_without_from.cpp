// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A hook that only writes.
// expect: lading: codec<T> has no `static lading::result<T> from(representation)`, so T can be encoded but not decoded

#include <lading/codec/stream.hpp>

struct subject {
  int number() const { return 1; }

 private:
  int number_ = 1;
};

#if defined(LADING_EXPECT_FAILURE)
template <>
struct lading::codec<subject> {
  static int to(const subject& value) { return value.number(); }
};
#else
template <>
struct lading::codec<subject> {
  static int to(const subject& value) { return value.number(); }
  static result<subject> from(int) { return subject(); }
};
#endif

bool read(lading::bytes_view source) { return lading::decode_from<subject>(source).has_value(); }
