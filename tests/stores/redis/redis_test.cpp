// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/stores/redis.hpp>

#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include <exchange/store_samples.hpp>
#include <stores/redis/rig.hpp>

namespace redis_test {
namespace {

using store_conformance::count_ok;
using store_conformance::keys;
using store_conformance::numbers;
using store_conformance::record;
using store_conformance::sample;

using names = std::vector<std::string>;

struct redis : ::testing::Test {
  void SetUp() override { skip_without_server(); }
  redis_server& serve(std::vector<std::string> more = {}) {
    server = std::make_unique<redis_server>(std::move(more));
    return *server;
  }
  [[nodiscard]] std::unique_ptr<redis_store> client() const { return client(server->options()); }
  [[nodiscard]] static std::unique_ptr<redis_store> client(const redis_options& options) {
    auto made = redis_store::connect(options);
    EXPECT_TRUE(made.has_value()) << made.error().message();
    return std::move(made.value());
  }
  std::unique_ptr<redis_server> server;
};

TEST_F(redis, options_that_make_no_sense_are_refused) {
  serve();
  const auto connect = [&](auto change) {
    redis_options how = server->options();
    change(how);
    return redis_store::connect(how);
  };
  using change = void (*)(redis_options&);
  const std::vector<change> wrong{
      [](redis_options& how) { how.deadline = 0ns; },
      [](redis_options& how) { how.connect_timeout = 0ns; },
      [](redis_options& how) { how.command_timeout = -1ns; },
      [](redis_options& how) { how.first_pause = 0ns; },
      [](redis_options& how) { how.longest_pause = how.first_pause - 1ns; },
      [](redis_options& how) { how.window = 0; },
      [](redis_options& how) { how.window_bytes = 0; },
      [](redis_options& how) { how.largest_value = 0; },
      [](redis_options& how) { how.largest_value = (std::uint64_t{512} << 20) + 1; },
      [](redis_options& how) { how.prefix = std::string((1 << 20) + 1, 'x'); },
      [](redis_options& how) { how.unix_socket = std::string(108, 'x'); },
      [](redis_options& how) { how.unix_socket = std::string("a\0b", 3); },
      [](redis_options& how) { how.host = std::string("127.0.0.1\0", 10); },
      [](redis_options& how) { how.database = 99; },  // there are 16
  };
  for (std::size_t i = 0; i < wrong.size(); ++i) EXPECT_EQ(connect(wrong[i]).error(), errc::invalid_argument) << i;
  EXPECT_TRUE(connect([](auto& how) { how.longest_pause = how.first_pause; }).has_value());
  EXPECT_TRUE(connect([](auto& how) { how.database = 15; }).has_value());
}

TEST_F(redis, nobody_there_is_peer_lost) {
  std::uint16_t port = 0;
  ::close(listen_anywhere(port));
  const auto refused = redis_store::connect(at_port(port));
  EXPECT_EQ(refused.error(), errc::peer_lost);
  EXPECT_EQ(refused.error().native(), ECONNREFUSED);
  redis_options how;
  how.unix_socket = "no-such-socket";
  EXPECT_EQ(redis_store::connect(how).error(), errc::peer_lost);
  EXPECT_TRUE(redis_store::connect(serve().options()).has_value());
}

TEST_F(redis, credentials_and_databases) {
  serve({"--requirepass", "secret"});
  const auto connect = [&](const std::string& user, const std::string& password, unsigned database = 0) {
    redis_options how = server->options();
    how.user = user;
    how.password = password;
    how.database = database;
    return redis_store::connect(how);
  };
  EXPECT_EQ(connect("", "").error(), errc::invalid_argument);
  EXPECT_EQ(connect("", "wrong").error(), errc::invalid_argument);
  EXPECT_EQ(connect("nobody", "secret").error(), errc::invalid_argument);
  auto first = connect("", "secret"), third = connect("default", "secret", 3);
  ASSERT_TRUE(first.has_value() && third.has_value());
  ASSERT_EQ(count_ok((*first)->put_batch(keys(3), std::vector<tensor>(3, numbers(10, 0)))), 3u);
  EXPECT_FALSE((*third)->exists_batch(keys(1))[0].value());
  EXPECT_EQ((*third)->stats().value().values, 0u);
  EXPECT_EQ((*first)->stats().value().values, 3u);
}

TEST_F(redis, a_server_that_dies_in_a_batch_is_peer_lost_and_its_successor_is_used) {
  serve();
  auto one = client();
  const std::vector<tensor> values(600, numbers(5000, 1));
  ASSERT_EQ(count_ok(one->put_batch(keys(600), values)), 600u);
  for (const bool getting : {false, true}) {
    server->stop();  // so that the batch is under way when it dies
    std::thread killer([&] {
      std::this_thread::sleep_for(100ms);
      server->kill();
    });
    const auto start = std::chrono::steady_clock::now();
    if (getting) {
      const auto got = one->get_batch<tensor>(keys(600));
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].error(), errc::peer_lost) << i;
        EXPECT_EQ(got[i].error().details().item, i);
        EXPECT_NE(got[i].error().native(), 0);
      }
    } else {
      const auto put = one->put_batch(keys(600, "new/"), values);
      for (std::size_t i = 0; i < put.size(); ++i) ASSERT_EQ(put[i].error(), errc::peer_lost) << i;
    }
    killer.join();
    EXPECT_LT(std::chrono::steady_clock::now() - start, 20s) << "it is not waited for until the deadline";
    ASSERT_TRUE(server->start());
    EXPECT_EQ(count_ok(one->put_batch(keys(600), values)), 600u) << "it goes on with the new one, which has forgotten all";
    EXPECT_EQ(count_ok(one->get_batch<tensor>(keys(600))), 600u);
  }
}

TEST_F(redis, a_connection_that_was_closed_meanwhile_is_not_noticed) {
  serve();
  redis_options how = server->options();
  how.reconnects = 0;
  auto one = client(how);
  ASSERT_TRUE(one->put_batch(keys(1), std::vector<tensor>{numbers(10, 0)})[0].has_value());
  server->command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(one->put_batch(keys(1), std::vector<tensor>{numbers(10, 0)})[0].error(), errc::already_exists);
}

TEST_F(redis, a_full_server_is_no_space) {
  serve({"--maxmemory", "8mb", "--maxmemory-policy", "noeviction"});
  auto one = client();
  const std::vector<tensor> values(200, numbers(25'000, 1));  // 100,000 bytes
  const auto put = one->put_batch(keys(200), values);
  const std::size_t fits = count_ok(put);
  EXPECT_GT(fits, 10u);
  EXPECT_LT(fits, 100u);
  for (const auto& each : put) {
    if (!each) {
      EXPECT_EQ(each.error(), errc::no_space);
    }
  }
  const auto got = one->get_batch<tensor>(keys(200));
  for (std::size_t i = 0; i < 200; ++i) {
    if (put[i]) {
      EXPECT_EQ(got[i].value(), values[i]) << i;
    } else {
      EXPECT_EQ(got[i].error(), errc::not_found) << i;
    }
  }
  const store_stats seen = one->stats().value();
  EXPECT_EQ(seen.values, fits);
  EXPECT_EQ(seen.bytes, fits * 100'000);
  EXPECT_EQ(seen.capacity, 8u << 20);
  EXPECT_EQ(count_ok(one->remove_batch(keys(200))), fits);
  EXPECT_TRUE(one->put_batch(keys(1), std::vector<tensor>{values[0]})[0].has_value());
}

TEST_F(redis, what_others_put_is_a_typed_error_of_its_key) {
  serve();
  auto one = client();
  ASSERT_EQ(count_ok(one->put_batch(names{"good", "record", "spoilt", "cut"}, std::vector<record>(4, sample(1900)))), 4u);
  server->command({"SET", "text", std::string(200, 'x')});
  server->command({"SET", "short", "x"});
  server->command({"SET", "empty", ""});
  server->command({"LPUSH", "list", "x"});
  server->command({"SETRANGE", "spoilt", "1000", "x"});
  server->command({"APPEND", "cut", "x"});
  // A packed buffer without checksums.
  const std::vector<bytes_view> items{bytes_view()};
  std::vector<std::byte> unchecked(calc_packed_size(items).value());
  ASSERT_TRUE(pack_into(unchecked, items, {.checksum = false}).has_value());
  std::string text(unchecked.size(), '\0');
  std::memcpy(text.data(), unchecked.data(), text.size());
  server->command({"SET", "unchecked", text});

  const names all{"good", "text", "short", "empty", "list", "spoilt", "cut", "unchecked"};
  const std::vector<errc> expected{
      errc{},          errc::bad_magic, errc::truncated, errc::truncated, errc::schema_mismatch, errc::checksum_mismatch, errc::trailing_bytes,
      errc::bad_header};
  const auto got = one->get_batch<record>(all);
  const auto views = one->view_batch<record>(all);
  std::vector<std::vector<std::byte>> memory(all.size(), std::vector<std::byte>(1 << 16, std::byte{7}));
  const auto into = one->get_batch_into(all, std::vector<bytes_span>(memory.begin(), memory.end()));
  EXPECT_EQ(got[0].value(), sample(1900));
  EXPECT_TRUE(views[0].has_value() && into[0].has_value());
  for (std::size_t i = 1; i < all.size(); ++i) {
    EXPECT_EQ(got[i].error(), expected[i]) << all[i] << ' ' << got[i].error().message();
    EXPECT_EQ(got[i].error().details().item, i);
    EXPECT_EQ(views[i].error(), expected[i]) << all[i];
    EXPECT_EQ(into[i].error(), expected[i]) << all[i];
    EXPECT_EQ(memory[i], std::vector<std::byte>(1 << 16, std::byte{7})) << all[i];
  }
  EXPECT_EQ(one->stats().value().values, 4u) << "what is no store's is not counted; what has been spoilt still is";
}

TEST_F(redis, a_value_above_the_limit_is_not_sent_and_not_even_read) {
  serve();
  auto one = client();
  const std::size_t size = (std::size_t{512} << 20) + 1;
  void* const nothing = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(nothing, MAP_FAILED);
  const std::vector<std::byte> small(100, std::byte{1});
  const std::vector<bytes_view> values{bytes_view(static_cast<const std::byte*>(nothing), size), small};
  const auto put = one->put_batch(names{"large", "small"}, values);
  EXPECT_EQ(put[0].error(), errc::size_overflow);
  EXPECT_EQ(put[0].error().details().available, std::uint64_t{512} << 20);
  EXPECT_TRUE(put[1].has_value());
  ::munmap(nothing, size);

  redis_options how = server->options();
  how.largest_value = 1000;
  auto strict = client(how);
  ASSERT_TRUE(one->put_batch(names{"kilobytes"}, std::vector<tensor>{numbers(1000, 0)})[0].has_value());
  EXPECT_EQ(strict->put_batch(names{"other"}, std::vector<tensor>{numbers(1000, 0)})[0].error(), errc::size_overflow);
  EXPECT_EQ(strict->get_batch<tensor>(names{"kilobytes"})[0].error(), errc::limit_exceeded);
  const auto got = strict->get_batch<std::vector<std::byte>>(names{"small", "kilobytes", "other"});
  EXPECT_EQ(got[0].value(), small);
  EXPECT_EQ(got[1].error(), errc::limit_exceeded);
  EXPECT_EQ(got[2].error(), errc::not_found);
}

TEST_F(redis, many_large_values_go_both_ways) {
  serve();
  redis_options how = server->options();
  how.window_bytes = 64 << 20;
  auto one = client(how);
  std::vector<tensor> values;
  for (std::size_t i = 0; i < 10; ++i) values.push_back(numbers(std::size_t{2} << 20, static_cast<float>(i)));  // 8 MiB each
  ASSERT_EQ(count_ok(one->put_batch(keys(10), values)), 10u);
  const auto got = one->get_batch<tensor>(keys(10));
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(got[i].value(), values[i]) << i;
  ASSERT_EQ(count_ok(one->put_batch(keys(10), values, {.mode = put_mode::replace})), 10u);
}

TEST_F(redis, strided_and_empty_tensors_keep_their_shape) {
  serve();
  auto one = client();
  const tensor square = numbers({100, 100}, 10'000), none = numbers({3, 0, 2}, 0);
  const std::vector<tensor_view> values{square.view().transpose(0, 1).value(), none.view()};
  ASSERT_EQ(count_ok(one->put_batch(keys(2), values)), 2u);
  const auto got = one->get_batch<tensor>(keys(2));
  EXPECT_EQ(got[0].value(), values[0]);
  EXPECT_EQ(got[1].value(), values[1]);
  EXPECT_EQ(one->stats().value().bytes, 40'000u);
}

TEST_F(redis, metrics_count_keys_stages_and_copies) {
  serve();
  auto one = client();
  const tensor square = numbers({100, 100}, 10'000);
  ASSERT_EQ(count_ok(one->put_batch(keys(2), std::vector<tensor_view>{square.view(), square.view().transpose(0, 1).value()})), 2u);
  ASSERT_EQ(count_ok(one->put_batch(names{"text"}, std::vector<std::string>{"a text"})), 1u);
  EXPECT_EQ(one->put_batch(names{"text"}, std::vector<std::string>{"another"})[0].error(), errc::already_exists);
  ASSERT_EQ(count_ok(one->get_batch<tensor>(keys(3))), 2u);
  ASSERT_EQ(count_ok(one->view_batch<tensor_view>(keys(1))), 1u);
  const exchange_metrics seen = one->metrics();
  EXPECT_EQ(seen.succeeded, 6u);
  EXPECT_EQ(seen.failed(errc::already_exists), 1u);
  EXPECT_EQ(seen.failed(errc::not_found), 1u);
  for (const auto& [way, values, copies] :
       {std::tuple(payload_path::put_in_place, 1u, 0u), std::tuple(payload_path::put_staged, 1u, 1u), std::tuple(payload_path::put_encoded, 1u, 1u),
        std::tuple(payload_path::get_decoded, 2u, 4u), std::tuple(payload_path::get_viewed, 1u, 1u)}) {
    EXPECT_EQ(seen.at(way).values, values) << payload_path_names[static_cast<std::size_t>(way)];
    EXPECT_EQ(seen.at(way).copies, copies) << payload_path_names[static_cast<std::size_t>(way)];
  }
  for (const stage each : {stage::encode, stage::queue, stage::transfer, stage::verify, stage::decode}) {
    EXPECT_GE((each == stage::transfer ? seen.at(each, strategy::transport) : seen.at(each)).count, 3u)
        << stage_names[static_cast<std::size_t>(each)];
  }
  EXPECT_GE(seen.at(stage::transfer, strategy::transport).bytes, 2u * 40'000) << "sent";
  EXPECT_GE(seen.at(stage::verify).bytes, 3u * 40'000);
}

/// What an observer is told.
struct recording {
  std::vector<std::pair<stage, std::uint64_t>>* seen;
  void ended(stage what, std::optional<strategy>, std::chrono::nanoseconds, std::uint64_t bytes) noexcept { seen->push_back({what, bytes}); }
};

TEST_F(redis, tells_an_observer) {
  serve();
  std::vector<std::pair<stage, std::uint64_t>> seen;
  auto one = basic_redis_store<recording>::connect(server->options(), recording{&seen});
  ASSERT_TRUE(one.has_value());
  static_assert(store<basic_redis_store<recording>>);
  ASSERT_TRUE((*one)->put_batch(keys(1), std::vector<tensor>{numbers(1000, 0)})[0].has_value());
  ASSERT_TRUE((*one)->get_batch<tensor>(keys(1))[0].has_value());
  std::vector<stage> order;
  for (const auto& [what, bytes] : seen) {
    order.push_back(what);
    EXPECT_EQ(bytes >= 4000, what != stage::queue) << order.size();
  }
  EXPECT_EQ(order, (std::vector{stage::queue, stage::encode, stage::transfer, stage::queue, stage::verify, stage::decode, stage::transfer}));
}

TEST_F(redis, threads_may_share_a_store) {
  serve();
  auto one = client();
  std::vector<std::thread> threads;
  std::atomic<std::size_t> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const auto mine = keys(20, "thread " + std::to_string(t) + "/");
      const std::vector<tensor> values(20, numbers(1000, static_cast<float>(t)));
      for (int round = 0; round < 10; ++round) {
        right += count_ok(one->put_batch(mine, values, {.mode = put_mode::replace}));
        const auto got = one->get_batch<tensor>(mine);
        for (const auto& each : got) right += each && *each == values[0] ? 1u : 0u;
      }
    });
  }
  for (auto& each : threads) each.join();
  EXPECT_EQ(right, 4u * 10 * 40);
}

/// Answers to a GET that no redis gives, or not for a value; and what they are.
TEST(redis_impostor, hostile_answers_are_typed_errors) {
  struct hostile {
    std::string answer;
    errc code;
  };
  const std::vector<hostile> all{
      {"$-1\r\n", errc::not_found},  // the control: an answer as it should be
      {"$5\r\nhello\r\n", errc::truncated},
      {":1\r\n", errc::bad_header},
      {"+OK\r\n", errc::bad_header},
      {"*1\r\n$1\r\na\r\n", errc::bad_header},
      {"*-1\r\n", errc::not_found},
      {"*0\r\n", errc::bad_header},
      {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", errc::bad_header},
      {"*70000\r\n" +
           [] {
             std::string many;
             for (int i = 0; i < 70'000; ++i) many += "$0\r\n\r\n";
             return many;
           }(),
       errc::limit_exceeded},
      {"HTTP/1.1 400 Bad Request\r\n\r\n", errc::bad_header},
      {"$-2\r\n", errc::bad_header},
      {"$abc\r\n", errc::bad_header},
      {":99999999999999999999999\r\n", errc::bad_header},
      {"*2147483647\r\n", errc::timed_out},  // and no element
      {"*99999999999\r\n", errc::bad_header},
      {"$500000000\r\nabc", errc::limit_exceeded},
      {"$9000\r\nabc", errc::timed_out},  // and no more of it
      {"$5\r\nhelloworld", errc::bad_header},
      {"$5", errc::timed_out},
      {"$" + std::string(100, '0') + "5\r\nhello\r\n", errc::truncated},
      {"$20000\r\n" + std::string(20'000, 'x') + "\r\n", errc::limit_exceeded},
      {"$999999999999\r\n" + std::string(4 << 20, 'x'), errc::limit_exceeded},
      {"-ERR this or that\r\n", errc::backend_failure},
      {"-NOPERM no\r\n", errc::invalid_argument},
      {"-MOVED 1 127.0.0.1:1\r\n", errc::unsupported},
      {"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", errc::schema_mismatch},
      {"-OOM command not allowed\r\n", errc::no_space},
      {"-\r\n", errc::backend_failure},
      {"", errc::timed_out},
  };
  for (const hostile& each : all) {
    const impostor server({each.answer});
    redis_options how = at_port(server.port());
    how.command_timeout = 250ms;
    how.reconnects = 1;
    how.largest_value = 10'000;
    how.first_pause = how.longest_pause = 1ms;
    auto one = redis_store::connect(how);
    ASSERT_TRUE(one.has_value()) << one.error().message();
    const auto got = (*one)->get_batch<tensor>(names{"key"}, {.deadline = 20s});
    ASSERT_FALSE(got[0].has_value());
    EXPECT_EQ(got[0].error(), each.code) << each.answer.substr(0, 60) << ": " << got[0].error().message();
  }
}

TEST(redis_impostor, hostile_statistics_are_typed_errors) {
  const std::string info = "$3\r\nabc\r\n";
  for (const std::string& answer : names{info, ":1\r\n", "*0\r\n", "*2\r\n$1\r\n0\r\n*1\r\n:1\r\n", "*2\r\n*1\r\n$1\r\na\r\n$1\r\n0\r\n",
                                         "*2\r\n$1\r\nx\r\n*0\r\n", "*2\r\n$1\r\n0\r\n*-1\r\n"}) {
    const impostor server({info, answer});
    auto one = redis_store::connect(at_port(server.port()));
    ASSERT_TRUE(one.has_value());
    EXPECT_EQ((*one)->stats().error(), errc::bad_header) << answer;
  }
  const impostor server({info, "*2\r\n$1\r\n0\r\n*0\r\n"});
  auto one = redis_store::connect(at_port(server.port()));
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ((*one)->stats().value().values, 0u) << "the control";
}

TEST(redis_impostor, an_answer_to_nothing_is_never_taken_for_the_next_one) {
  const impostor server({"$-1\r\n:1\r\n"});
  auto one = redis_store::connect(at_port(server.port()));
  ASSERT_TRUE(one.has_value());
  for (int i = 0; i < 5; ++i) EXPECT_EQ((*one)->get_batch<tensor>(names{"key"})[0].error(), errc::not_found) << i;
  EXPECT_EQ(server.asked(), 5);
}

TEST(redis_impostor, what_may_have_been_done_is_not_done_again_unless_it_may_be) {
  const impostor server({""}, true);  // hangs up when it has been asked
  redis_options how = at_port(server.port());
  how.reconnects = 2;
  auto one = redis_store::connect(how);
  ASSERT_TRUE(one.has_value());
  const std::vector<tensor> value{numbers(10, 0)};
  EXPECT_EQ((*one)->put_batch(names{"key"}, value)[0].error(), errc::peer_lost);
  EXPECT_EQ(server.asked(), 1);
  EXPECT_EQ((*one)->remove_batch(names{"key"})[0].error(), errc::peer_lost);
  EXPECT_EQ(server.asked(), 2);
  EXPECT_EQ((*one)->put_batch(names{"key"}, value, {.mode = put_mode::replace})[0].error(), errc::peer_lost);
  EXPECT_EQ(server.asked(), 3) << "others may have put since";
  EXPECT_EQ((*one)->exists_batch(names{"key"})[0].error(), errc::peer_lost);
  EXPECT_EQ(server.asked(), 6) << "once, and as often as it may reconnect";
}

TEST(redis_impostor, a_busy_server_is_asked_again_until_the_deadline) {
  const impostor server({"-LOADING Redis is loading the dataset in memory\r\n"});
  auto one = redis_store::connect(at_port(server.port()));
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ((*one)->put_batch(names{"key"}, std::vector<tensor>{numbers(10, 0)}, {.deadline = 100ms})[0].error(), errc::busy);
  EXPECT_GT(server.asked(), 2);
}

TEST(redis_impostor, waiting_for_ones_turn_is_part_of_the_deadline) {
  auto server = std::make_unique<impostor>(std::vector<std::string>{""});
  redis_options how = at_port(server->port());
  how.command_timeout = 60s;
  auto one = redis_store::connect(how);
  ASSERT_TRUE(one.has_value());
  std::atomic<bool> over{false};
  std::thread slow([&] {
    EXPECT_FALSE((*one)->exists_batch(keys(1), {.deadline = 60s})[0].has_value());
    over = true;
  });
  while (server->asked() == 0) std::this_thread::yield();  // now it has the connection
  const auto results = (*one)->exists_batch(keys(3), {.deadline = 20ms});
  EXPECT_FALSE(over);
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].error(), errc::timed_out);
    EXPECT_EQ(results[i].error().details().item, i);
  }
  EXPECT_EQ((*one)->put_batch(keys(1), std::vector<tensor>{numbers(1, 0)}, {.deadline = 1ms})[0].error(), errc::timed_out);
  EXPECT_EQ((*one)->stats({.deadline = 1ms}).error(), errc::timed_out);
  EXPECT_FALSE(over);
  server.reset();  // and so the slow one's connection breaks
  slow.join();
  EXPECT_EQ((*one)->metrics().failed(errc::timed_out), 4u);
}

TEST(redis_impostor, a_server_that_does_not_answer_is_not_waited_for) {
  const impostor server({""});
  redis_options how = at_port(server.port());
  auto one = redis_store::connect(how);
  ASSERT_TRUE(one.has_value());
  const auto start = std::chrono::steady_clock::now();
  const auto results = (*one)->exists_batch(keys(3), {.deadline = 100ms});
  for (const auto& each : results) EXPECT_EQ(each.error(), errc::timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

}  // namespace
}  // namespace redis_test
