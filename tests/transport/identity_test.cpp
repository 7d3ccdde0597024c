// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/transport/identity.hpp>

#include <array>
#include <thread>

#include <gtest/gtest.h>

#if defined(__linux__)
#include <sys/wait.h>
#endif

namespace identity_test {
using namespace lading;

TEST(process_identity, is_one_for_all_threads) {
  std::array<std::uint64_t, 4> seen{};
  {
    std::array<std::thread, 4> threads;
    for (std::size_t i = 0; i < threads.size(); ++i) threads[i] = std::thread([&seen, i] { seen[i] = process_identity(); });
    for (std::thread& each : threads) each.join();
  }
  for (const std::uint64_t each : seen) EXPECT_EQ(each, process_identity());
  EXPECT_NE(process_identity(), 0u);
  EXPECT_NE(detail::random_number(), detail::random_number());
}

#if defined(__linux__)

TEST(process_identity, is_another_in_a_child) {
  const std::uint64_t own = process_identity();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const ::pid_t child = ::fork();
  if (child == 0) {
    const std::uint64_t number = process_identity();
    const bool stays = number == process_identity();
    ::_exit(::write(ends[1], &number, sizeof number) == sizeof number && stays ? 0 : 1);
  }
  std::uint64_t theirs = 0;
  EXPECT_EQ(::read(ends[0], &theirs, sizeof theirs), static_cast<ssize_t>(sizeof theirs));
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_NE(theirs, own);
  EXPECT_NE(theirs, 0u);
  EXPECT_EQ(process_identity(), own);
  ::close(ends[0]);
  ::close(ends[1]);
}

#endif

}  // namespace identity_test
