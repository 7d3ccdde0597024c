// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transport/event_set.hpp>

#include <gtest/gtest.h>

#if defined(__linux__)
#include <poll.h>

#include <lading/transport/wakeup.hpp>

namespace event_set_test {
using namespace lading;

bool readable(int fd) {
  ::pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, 0) == 1;
}

TEST(event_set, is_readable_when_one_of_its_sources_is) {
  wakeup one, other;
  const int sources[] = {one.fd(), other.fd()};
  one.clear(), other.clear();
  event_set all;
  EXPECT_FALSE(all.made());
  const int fd = all.of(sources);
  ASSERT_GE(fd, 0);
  EXPECT_TRUE(all.made());
  EXPECT_EQ(all.of(sources), fd) << "it is made once";
  for (wakeup* each : {&one, &other}) {
    EXPECT_FALSE(readable(fd));
    each->signal();
    EXPECT_TRUE(readable(fd));
    each->clear();
  }
}

TEST(event_set, of_a_source_that_is_none_is_none) {
  wakeup one;
  const int sources[] = {one.fd(), -1};
  event_set all;
  EXPECT_EQ(all.of(sources), -1);
  EXPECT_FALSE(all.made());
  EXPECT_GE(all.of(std::span(sources).first(1)), 0) << "the control";
}

}  // namespace event_set_test

#endif
