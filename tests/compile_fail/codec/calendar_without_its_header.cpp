// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// A date without <lading/codec/calendar.hpp>.
// expect: lading: include lading/codec/calendar.hpp to encode std::chrono

#include <chrono>

#include <lading/codec/stream.hpp>

#if !defined(LADING_EXPECT_FAILURE)
#include <lading/codec/calendar.hpp>
#endif

struct subject {
  std::chrono::year_month_day date;
};
std::size_t measure(const subject& value) { return lading::encoded_size(value); }
