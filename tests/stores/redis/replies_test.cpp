// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/stores/redis/replies.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace redis_test {
namespace {

using namespace lading;
using detail::redis_answer;
using detail::redis_replies;

/// Both ends of a stream: what is written at one is read by hiredis' context, and so by redis_replies, at the other.
struct stream {
  stream() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    context.reset(redisConnectFd(ends[1]));
    replies.attach(*context);
  }
  ~stream() {
    context.reset();  // before what it points to, as everywhere
    if (ends[0] >= 0) ::close(ends[0]);
  }
  /// Has all answers that these bytes hold, which come `step` at a time, told to take(answer).
  template <class Take>
  result<void> hear(std::string_view bytes, std::size_t step, Take&& take) {
    for (std::size_t came = 1; !bytes.empty() || came != 0;) {
      if (!bytes.empty()) {
        const auto sent = ::send(ends[0], bytes.data(), std::min(step, bytes.size()), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
      }
      const auto received = replies.receive();
      if (!received) return fail(received.error());
      came = *received;
      for (;;) {
        const auto found = replies.next();
        if (!found) return fail(found.error());
        if (!*found) break;
        take(replies.answer());
        replies.answer().clear();
      }
    }
    return {};
  }

  int ends[2] = {-1, -1};
  redis_replies replies{1 << 20};
  std::unique_ptr<redisContext, void (*)(redisContext*)> context{nullptr, redisFree};
};

/// An answer, in words that can be compared.
std::string text_of(const redis_answer& answer) {
  std::string text = std::to_string(static_cast<int>(answer.what)) + ' ' + std::to_string(answer.number) + ' ' + answer.text;
  // Safety: bytes may be viewed as characters.
  if (!answer.bytes.empty()) text.append(reinterpret_cast<const char*>(answer.bytes.data()), answer.bytes.size());
  for (const std::string& each : answer.words) text += ',' + each;
  return text + (answer.refused ? "!" : "");
}
std::string string_of(std::size_t size, std::mt19937& random) {
  std::string made(size, '\0');
  for (char& each : made) each = "\r\n$*x"[random() % 5];  // looks like answers
  return made;
}

TEST(redis_replies, are_the_same_however_they_come) {
  std::mt19937 random(1);
  const std::size_t chunk = redis_replies::chunk;
  std::string bytes;
  std::vector<std::string> wanted;
  const auto add = [&](const std::string& sent, const redis_answer& answer) {
    bytes += sent;
    wanted.push_back(text_of(answer));
  };
  for (int i = 0; i < 200; ++i) {
    redis_answer answer;
    switch (random() % 6) {
      case 0: {
        const std::size_t sizes[]{0, 1, 100, chunk - 10, chunk, chunk + 1, 5 * chunk, random() % (8 * chunk)};
        const std::string value = string_of(sizes[random() % 8], random);
        answer.what = redis_answer::form::string;
        answer.bytes = aligned_buffer::allocate(value.size()).value();
        if (!value.empty()) std::memcpy(answer.bytes.data(), value.data(), value.size());
        add("$" + std::to_string(value.size()) + "\r\n" + value + "\r\n", answer);
        break;
      }
      case 1:
        answer.what = redis_answer::form::nil;
        add("$-1\r\n", answer);
        break;
      case 2:
        answer.what = redis_answer::form::number;
        answer.number = static_cast<long long>(random() % 1000);
        add(":" + std::to_string(answer.number) + "\r\n", answer);
        break;
      case 3:
        answer.what = redis_answer::form::failure;
        answer.text = "ERR no";
        add("-ERR no\r\n", answer);
        break;
      case 4:
        answer.what = redis_answer::form::status;
        answer.text = "OK";
        add("+OK\r\n", answer);
        break;
      default:
        answer.what = redis_answer::form::list;
        answer.words = {"0", string_of(random() % 50, random), "c"};
        add("*2\r\n$1\r\n0\r\n*2\r\n$" + std::to_string(answer.words[1].size()) + "\r\n" + answer.words[1] + "\r\n$1\r\nc\r\n", answer);
    }
  }
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, chunk, 3 * chunk + 1, bytes.size()}) {
    stream one;
    std::size_t heard = 0;
    const auto how = one.hear(step == 1 ? std::string_view(bytes).substr(0, 100'000) : bytes, step, [&](const redis_answer& answer) {
      ASSERT_EQ(text_of(answer), wanted[heard]) << heard << " by " << step;
      ++heard;
    });
    ASSERT_TRUE(how.has_value()) << how.error().message();
    if (step == 1) continue;
    EXPECT_EQ(heard, wanted.size());
    EXPECT_TRUE(one.replies.at_rest());
  }
}

TEST(redis_replies, large_strings_are_not_copied) {
  for (const auto& [size, copies] : {std::pair<std::size_t, std::uint64_t>{1000, 1}, {1 << 20, 0}}) {
    stream one;
    const std::string bytes = "$" + std::to_string(size) + "\r\n" + std::string(size, 'x') + "\r\n";
    std::size_t copied = 0, heard = 0;
    const auto look = [&](const redis_answer& answer) {
      EXPECT_EQ(answer.bytes.size(), size);
      EXPECT_EQ(answer.copies(), copies);
      copied = answer.copied;
      ++heard;
    };
    ASSERT_TRUE(one.hear(bytes, bytes.size(), look).has_value());
    EXPECT_EQ(heard, 1u);
    EXPECT_LE(copied, redis_replies::chunk);
  }
}

TEST(redis_replies, a_string_above_the_limit_is_told_of_alone_or_ends_the_stream) {
  stream one;
  const std::size_t limit = 1 << 20, size = limit + 1;
  std::vector<std::string> heard;
  const auto keep = [&](const redis_answer& answer) { heard.push_back(answer.refused ? answer.refused->message() : text_of(answer)); };
  ASSERT_TRUE(one.hear("$" + std::to_string(size) + "\r\n" + std::string(size, 'x') + "\r\n:1\r\n", 10'000, keep).has_value());
  ASSERT_EQ(heard.size(), 2u);
  EXPECT_EQ(heard[0].substr(0, 14), "limit_exceeded");
  EXPECT_EQ(heard[1], "3 1 ");
  EXPECT_EQ(one.hear("$" + std::to_string(4 * limit) + "\r\n", 100, keep).error(), errc::limit_exceeded);
}

TEST(redis_replies, the_end_of_the_stream_is_peer_lost) {
  stream one;
  ASSERT_TRUE(one.hear("$100\r\nabc", 100, [](const redis_answer&) {}).has_value());
  EXPECT_FALSE(one.replies.at_rest());
  ::close(one.ends[0]);
  one.ends[0] = -1;
  EXPECT_EQ(one.replies.receive().error(), errc::peer_lost);
}

}  // namespace
}  // namespace redis_test
