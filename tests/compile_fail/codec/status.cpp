// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A class that is somewhat like a date is not told of dates.
// expect: lading: no encoding for this type: make it an aggregate (no private fields, constructors or bases), or map it with lading::codec<T>

#include <lading/codec/stream.hpp>

#if defined(LADING_EXPECT_FAILURE)
class subject {
 public:
  explicit subject(int number) : number_(number) {}
  bool ok() const { return number_ == 0; }
  explicit operator int() const { return number_; }
  int number() const { return number_; }

 private:
  int number_;
};
#else
struct subject {
  int number;
};
#endif

std::size_t measure(const subject& value) { return lading::encoded_size(value); }
