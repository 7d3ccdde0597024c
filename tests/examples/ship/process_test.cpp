// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Real processes: files and values arrive, and whatever goes wrong ends both sides with one line.

#include <algorithm>
#include <cstring>

#include <sys/resource.h>
#include <sys/socket.h>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <support/mapped_file.hpp>

#include "cargo.hpp"
#include "control.hpp"
#include "endpoints.hpp"
#include "process.hpp"
#include "socket.hpp"

namespace {
using namespace ship_test;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

bool has_ucx() {
  const auto built = ship::transports();
  return std::find(built.begin(), built.end(), "ucx") != built.end();
}
#define SKIP_WITHOUT_UCX() \
  if (!has_ucx()) GTEST_SKIP() << "two processes need the ucx transport, which cannot be linked here"

using words = std::vector<std::string>;

words operator+(words left, const words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

/// Bytes that differ from place to place.
std::string pattern(std::size_t size, unsigned seed) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i + 8 <= size; i += 64) {
    const std::uint64_t number = (i + 1) * 0x9e3779b97f4a7c15u + seed;
    std::memcpy(bytes.data() + i, &number, 8);
  }
  if (size != 0) bytes.back() = static_cast<char>(seed | 1);
  return bytes;
}

bool same_bytes(const fs::path& left, const fs::path& right) {
  const support::mapped_file one(left.string()), other(right.string());
  return one.bytes().size() == other.bytes().size() &&
         (one.bytes().empty() || std::memcmp(one.bytes().data(), other.bytes().data(), one.bytes().size()) == 0);
}

/// Files of these sizes, sent with `how` to a receiver with `how`; all must arrive.
void ship_files(const std::vector<std::size_t>& sizes, const words& how) {
  const scratch room;
  const fs::path from = room.folder("from"), into = room.folder("into");
  words paths;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    paths.push_back((from / ("file " + std::to_string(i))).string());
    write_file(paths.back(), pattern(sizes[i], static_cast<unsigned>(i)));
  }
  process receiver(room, "receiver", words{"--listen", "0", "--into", into.string()} + how);
  process sender(room, "sender", words{"--to", receiver.place()} + how + paths);
  ASSERT_EQ(sender.wait(), 0) << sender.err();
  ASSERT_EQ(receiver.wait(), 0) << receiver.err();
  EXPECT_THAT(sender.err(), IsEmpty());
  EXPECT_THAT(sender.out(), HasSubstr("Verified: "));
  EXPECT_THAT(receiver.out(), HasSubstr("Verified and written: " + std::to_string(sizes.size()) + " file"));
  EXPECT_EQ(names_in(into).size(), sizes.size());
  for (const std::string& each : paths) EXPECT_TRUE(same_bytes(each, into / fs::path(each).filename())) << each;
}

TEST(ship, files_of_every_size_arrive_over_ucx) {
  SKIP_WITHOUT_UCX();
  ship_files({0, 1, 64, 4096, 65'536, 1'048'577}, {"--slot", "65536"});
}
TEST(ship, files_arrive_over_tcp_through_the_smallest_slots) {
  SKIP_WITHOUT_UCX();
  ship_files({100'000, 0, 3'333}, {"--lanes", "tcp", "--slot", "4096", "--slots", "1"});
}
TEST(ship, a_file_of_many_slots_arrives_over_ucx) {
  SKIP_WITHOUT_UCX();
  ship_files({(std::size_t{100} << 20) + 1}, {});
}
TEST(ship, only_empty_files_arrive_too) {
  SKIP_WITHOUT_UCX();
  ship_files({0, 0}, {});
}

TEST(ship, files_arrive_within_one_process) {
  const scratch room;
  const fs::path into = room.folder("into");
  write_file(room / "large", pattern(3'000'001, 1));
  write_file(room / "empty", "");
  process both(room, "both",
               {"--transport", "loopback", "--slot", "256kb", "--into", into.string(), (room / "large").string(), (room / "empty").string()});
  ASSERT_EQ(both.wait(), 0) << both.err();
  EXPECT_TRUE(same_bytes(room / "large", into / "large"));
  EXPECT_THAT(names_in(into), UnorderedElementsAre("large", "empty"));
}

TEST(ship, more_files_arrive_than_a_process_may_hold_open) {
  const scratch room;
  const fs::path from = room.folder("from"), into = room.folder("into");
  words all{"--transport", "loopback", "--slot", "4kb", "--into", into.string()};
  for (int i = 0; i < 200; ++i) {
    all.push_back((from / std::to_string(i)).string());
    write_file(all.back(), pattern(static_cast<std::size_t>(i), 3));
  }
  ::rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const ::rlimit few{64, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  process both(room, "both", all);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_EQ(both.wait(), 0) << both.err();
  EXPECT_EQ(names_in(into).size(), 200u);
  EXPECT_TRUE(same_bytes(from / "199", into / "199"));
}

TEST(ship, a_file_that_exists_is_replaced_only_by_force) {
  const scratch room;
  const fs::path into = room.folder("into");
  write_file(room / "name", "new");
  write_file(into / "name", "old");
  const words all{"--transport", "loopback", "--into", into.string(), (room / "name").string()};
  process refused(room, "refused", all);
  EXPECT_EQ(refused.wait(), 1);
  EXPECT_THAT(refused.err(), AllOf(HasSubstr("exists"), HasSubstr("--force")));
  EXPECT_TRUE(is_one_line(refused.err())) << refused.err();
  EXPECT_EQ(read_file(into / "name"), "old");
  process forced(room, "forced", all + words{"--force"});
  EXPECT_EQ(forced.wait(), 0) << forced.err();
  EXPECT_EQ(read_file(into / "name"), "new");
  EXPECT_THAT(names_in(into), UnorderedElementsAre("name"));
}

TEST(ship, json_of_both_sides_can_be_read) {
  SKIP_WITHOUT_UCX();
  const scratch room;
  process receiver(room, "receiver", {"--listen", "127.0.0.1:0", "--json"});
  process sender(room, "sender", {"--to", receiver.place(), "--json", "--slot", "64kb", "--generate", "1mb"});
  ASSERT_EQ(sender.wait(), 0) << sender.err();
  ASSERT_EQ(receiver.wait(), 0) << receiver.err();
  const auto sent = nlohmann::json::parse(sender.out()), received = nlohmann::json::parse(receiver.out());
  EXPECT_EQ(sent["verified"], true);
  EXPECT_EQ(sent["transport"], "ucx");
  EXPECT_GE(sent["bytes"].get<std::uint64_t>(), 1u << 20);
  EXPECT_EQ(sent["bytes"], received["bytes"]);
  EXPECT_EQ(sent["slots_sent"], received["slots_received"]);
  EXPECT_EQ(sent["slots_sent"].get<std::uint64_t>(), 16 * sent["batches"].get<std::uint64_t>());
  for (const char* time : {"seconds", "post_seconds", "transfer_seconds", "memcpy_seconds"}) EXPECT_GT(sent[time].get<double>(), 0) << time;
  EXPECT_EQ(sent["steps"].size(), 7u);
}

void expect_flat(const nlohmann::json& soak, std::uint64_t batches) {
  EXPECT_EQ(soak["batches"].get<std::uint64_t>(), batches);
  for (const char* side : {"sender", "receiver"}) {
    const auto& seen = soak["soak"][side];
    EXPECT_EQ(seen["descriptors_early"], seen["descriptors_late"]) << side;
    EXPECT_GT(seen["descriptors_late"].get<std::uint64_t>(), 3u) << side;
    EXPECT_GT(seen["memory_early"].get<std::uint64_t>(), 1u << 20) << side;
  }
}

TEST(ship, a_short_soak_over_ucx_stays_flat) {
  SKIP_WITHOUT_UCX();
  const scratch room;
  process receiver(room, "receiver", {"--listen", "0"});
  process sender(room, "sender", {"--to", receiver.place(), "--soak", "30", "--slot", "64kb", "--json"});
  ASSERT_EQ(sender.wait(), 0) << sender.err();
  EXPECT_EQ(receiver.wait(), 0) << receiver.err();
  expect_flat(nlohmann::json::parse(sender.out()), 30);
}
TEST(ship, a_short_soak_within_one_process_stays_flat) {
  const scratch room;
  process both(room, "both", {"--transport", "loopback", "--soak", "30", "--slot", "64kb", "--json"});
  ASSERT_EQ(both.wait(), 0) << both.err();
  expect_flat(nlohmann::json::parse(both.out()), 30);
}
TEST(ship, a_soak_of_a_second_ends_by_itself) {
  const scratch room;
  process both(room, "both", {"--transport", "loopback", "--soak", "1s", "--slot", "64kb"});
  ASSERT_EQ(both.wait(), 0) << both.err();
  EXPECT_THAT(both.out(), AllOf(HasSubstr("sender    memory"), HasSubstr("receiver  memory")));
}

/// Sends raw bytes to a receiver, and returns what it answers until it ends the connection; nothing where it does not within 10 s.
std::optional<std::string> say_raw(const std::string& place, const std::string& bytes) {
  const ship::descriptor socket = ship::connect_to(ship::place::parse(place, "test"), 5s);
  if (::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) return std::nullopt;
  std::string answer;
  for (const auto until = std::chrono::steady_clock::now() + 10s; std::chrono::steady_clock::now() < until; std::this_thread::sleep_for(1ms)) {
    char chunk[4096];
    const ssize_t got = ::recv(socket.get(), chunk, sizeof chunk, MSG_DONTWAIT);
    if (got > 0) answer.append(chunk, static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EAGAIN)) return answer;
  }
  return std::nullopt;
}

/// The bytes of a message, as a control sends them.
template <class Message>
std::string raw_message(const Message& message) {
  auto [here, there] = ship::connected_pair();
  ship::control line(std::move(here), "nobody", 1s);
  line.say(message);
  std::string bytes(1 << 16, '\0');
  bytes.resize(static_cast<std::size_t>(::recv(there.get(), bytes.data(), bytes.size(), 0)));
  return bytes;
}

ship::hello good_hello() {
  return {.transport = "ucx",
          .part_schema = lading::schema_of<ship::file_part>(),
          .sample_schema = lading::schema_of<ship::sample>(),
          .slot_bytes = 65'536,
          .slots = 4,
          .generated = true,
          .address = std::vector<std::byte>(40)};
}

TEST(ship, a_bad_handshake_is_refused_with_a_line_and_a_good_one_taken_after_it) {
  SKIP_WITHOUT_UCX();
  const scratch room;
  process receiver(room, "receiver", {"--listen", "0"});
  const std::string place = receiver.place();
  const std::string good = raw_message(good_hello());
  const auto changed = [&](std::size_t at, int by) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ by);
    return bytes;
  };
  const auto with = [&](auto&& change) {
    ship::hello made = good_hello();
    change(made);
    return raw_message(made);
  };
  const std::string large = std::string("SHIP\1\0\1\0", 8) + std::string(7, '\xff') + '\0';
  const struct {
    const char* what;
    std::string bytes, said;
  } cases[] = {
      {"another program", "GET / HTTP/1.1\r\n\r\n", "its first bytes are others"},
      {"zeros", std::string(16, '\0'), "its first bytes are others"},
      {"another version", changed(4, 3), "version 2 of ship's messages, this program version 1: use the same release"},
      {"a size of all bits", large, "a message of "},
      {"another kind", changed(6, 3), "does not belong here"},
      {"one bit of the packed value", changed(good.size() - 1, 16), "checksum_mismatch"},
      {"one bit of its header", changed(16 + 24, 1), "does not speak as ship does"},
      {"another transport", with([](auto& hello) { hello.transport = "verbs\x1b[2J"; }), "start both with the same --transport"},
      {"another schema", with([](auto& hello) { hello.sample_schema ^= 1; }), "use the same release on both sides"},
      {"too many slots", with([](auto& hello) { hello.slots = 1'000'000; }), "pass a smaller --slot"},
      {"a size that wraps", with([](auto& hello) { hello.slots = hello.slot_bytes = std::uint64_t{1} << 32; }), "pass a smaller --slot"},
  };
  for (const auto& each : cases) {
    const auto answer = say_raw(place, each.bytes);
    ASSERT_TRUE(answer.has_value()) << each.what << ": the connection stays open";
    EXPECT_THAT(*answer, HasSubstr("SHIP")) << each.what << ": is not told why";
    EXPECT_TRUE(receiver.has_said(each.said, 5s)) << each.what << ": " << receiver.err();
  }
  EXPECT_THAT(receiver.err(), Not(HasSubstr("\x1b"))) << "a peer's bytes reached the terminal";
  {
    const ship::descriptor hesitating = ship::connect_to(ship::place::parse(place, "test"), 5s);  // keeps nobody from being served
    process sender(room, "sender", {"--to", place, "--slot", "64kb", "--generate", "1"});
    EXPECT_EQ(sender.wait(), 0) << sender.err();
    EXPECT_EQ(receiver.wait(), 0) << receiver.err();
  }
}

/// A listener that answers the first caller with these bytes.
void answer_sender(const std::string& bytes, const std::string& expected) {
  const scratch room;
  const ship::descriptor listening = ship::listen_at({"127.0.0.1", "0"});
  process sender(room, "sender", {"--to", ship::local_place(listening).text, "--slot", "64kb", "--generate", "1", "--timeout", "1"});
  ship::descriptor caller;
  for (const auto until = std::chrono::steady_clock::now() + 20s; !caller && std::chrono::steady_clock::now() < until;
       std::this_thread::sleep_for(1ms)) {
    caller = ship::accept_from(listening);
  }
  ASSERT_TRUE(caller);
  EXPECT_EQ(::send(caller.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(sender.wait(), 1);
  EXPECT_TRUE(is_one_line(sender.err())) << sender.err();
  EXPECT_THAT(sender.err(), HasSubstr(expected));
}

TEST(ship, a_sender_believes_no_receiver) {
  SKIP_WITHOUT_UCX();
  answer_sender("HTTP/1.1 400 Bad Request\r\n\r\n", "its first bytes are others");
  answer_sender(std::string("SHIP\7\0\2\0", 8), "version 7 of ship's messages");
  answer_sender(raw_message(ship::welcome{std::vector<std::byte>(100), std::vector<std::byte>(100)}), "connecting to the receiver's endpoint");
  answer_sender(raw_message(ship::refusal{"no\x1b[2J\nroom"}), "the receiver says: no?[2J?room");
  answer_sender(raw_message(ship::taken{5}), "does not belong here");
  answer_sender("", "has been silent for 1 s");
}

TEST(ship, what_cannot_be_done_is_told_in_one_line) {
  const scratch room;
  const ship::descriptor bound = ship::listen_at({"127.0.0.1", "0"});  // its port is in use; the one below is not served
  const std::string in_use = ship::local_place(bound).text;
  std::string free_place;
  {
    const ship::descriptor soon_free = ship::listen_at({"127.0.0.1", "0"});
    free_place = ship::local_place(soon_free).text;
  }
  write_file(room / "file", "x");
  fs::create_directories(room / "other");
  write_file(room / "other/file", "y");
  const std::string file = (room / "file").string();
  const struct {
    words given;
    std::string said;
  } cases[] = {
      {{"--to", free_place, file}, "nobody listens there: start \"ship --listen"},
      {{"--to", "127.0.0.1", file}, "--to takes [HOST:]PORT"},
      {{"--to", "::1:5000", file}, "--to takes [HOST:]PORT"},
      {{"--to", "127.0.0.1:70000", file}, "--to takes [HOST:]PORT"},
      {{"--to", "no host:1", file}, "check its name"},
      {{"--to", free_place, (room / "nothing").string()}, "nothing: No such file"},
      {{"--to", free_place, room.folder("folder").string()}, "is a directory"},
      {{"--to", free_place}, "there is nothing to send"},
      {{"--listen", in_use}, "choose another port"},
      {{"--listen", "0", "--into", (room / "nowhere").string()}, "--into takes a folder that exists"},
      {{"--listen", "0", file}, "pass files, --generate and --soak to the sender"},
      {{}, "pass --listen PORT to receive"},
      {{"--transport", "loopback", "--listen", "0"}, "loopback stays in one process"},
      {{"--transport", "loopback", "--to", "1", "--generate"}, "loopback stays in one process: leave out --listen and --to"},
      {{"--transport", "loopback", "--generate", "--lanes", "tcp"}, "leave out --lanes and --device"},
      {{"--transport", "loopback", "--generate", "--device", "eth0"}, "leave out --lanes and --device"},
      {{"--transport", "loopback", "--generate", "--into", room.folder("into").string()}, "leave out --into"},
      {{"--transport", "loopback", "--generate", "--force"}, "pass --into DIR as well"},
      {{"--to", free_place, "--into", room.folder("into").string(), file}, "pass them to the receiver"},
      {{"--to", free_place, "--force", file}, "pass them to the receiver"},
      {{"--listen", "0", "--force"}, "pass --into DIR as well"},
      {{"--transport", "pigeon", "--listen", "0"}, "built without the transport pigeon"},
      {{"--transport", "loopback", file}, "pass --into DIR"},
      {{"--transport", "loopback", "--into", room.folder("into").string(), file, (room / "other/file").string()}, "another file has the same name"},
      {{"--transport", "loopback", "--generate", "--slot", "4kb"}, "pass a larger --slot"},
      {{"--transport", "loopback", "--soak", "3x"}, "--soak takes a number"},
      {{"--transport", "loopback", "--generate", "much"}, "much"},
      {{"--transport", "loopback", "--generate", "0"}, "--generate takes a number of bytes from 1"},
      {{"--transport", "loopback", "--generate=-5"}, "--generate takes a number of bytes from 1"},
      {{"--bogus"}, "--bogus"},
  };
  for (const auto& each : cases) {
    if (each.given.empty() && !has_ucx()) continue;  // loopback alone has another remedy
    if (!has_ucx() && std::find(each.given.begin(), each.given.end(), "loopback") == each.given.end()) continue;
    process one(room, "one", each.given);
    const int status = one.wait();
    EXPECT_TRUE(status == 1 || status == 2) << status << each.said;
    EXPECT_TRUE(is_one_line(one.err())) << one.err();
    EXPECT_THAT(one.err(), HasSubstr(each.said));
    EXPECT_THAT(one.out(), IsEmpty());
  }
  process help(room, "help", {"--help"});
  EXPECT_EQ(help.wait(), 0);
  EXPECT_THAT(help.out(), HasSubstr("--soak"));
}

/// A shipment without end, one side of which is disturbed after a while; the other one must end in time, with one line.
void disturb(bool receiver_is_victim, int signal, const words& how, std::chrono::milliseconds limit) {
  const scratch room;
  const fs::path into = room.folder("into");
  process receiver(room, "receiver", words{"--listen", "0", "--timeout", "1", "--into", into.string()} + how);
  process sender(room, "sender", words{"--to", receiver.place(), "--timeout", "1", "--slot", "64kb", "--soak", "1000s"} + how);
  std::this_thread::sleep_for(300ms);
  process& victim = receiver_is_victim ? receiver : sender;
  process& other = receiver_is_victim ? sender : receiver;
  victim.signal(signal);
  EXPECT_EQ(other.wait(limit), 1) << other.err();
  EXPECT_TRUE(is_one_line(other.complaint())) << other.err();
  EXPECT_THAT(other.out(), IsEmpty());
  victim.signal(SIGCONT);
  if (signal == SIGKILL) {
    EXPECT_EQ(victim.wait(), 128 + SIGKILL);
  } else {
    EXPECT_EQ(victim.wait(), 1);  // resumed, it finds that the other side has gone
    EXPECT_TRUE(is_one_line(victim.complaint())) << victim.err();
  }
}

TEST(ship, a_killed_receiver_ends_the_sender) {
  SKIP_WITHOUT_UCX();
  disturb(true, SIGKILL, {}, 10s);
  disturb(true, SIGKILL, {"--lanes", "tcp"}, 10s);
}
TEST(ship, a_killed_sender_ends_the_receiver) {
  SKIP_WITHOUT_UCX();
  disturb(false, SIGKILL, {}, 10s);
}
TEST(ship, a_stopped_receiver_ends_the_sender) {
  SKIP_WITHOUT_UCX();
  disturb(true, SIGSTOP, {}, 10s);
}
TEST(ship, a_stopped_sender_ends_the_receiver) {
  SKIP_WITHOUT_UCX();
  disturb(false, SIGSTOP, {"--lanes", "tcp"}, 10s);
}
TEST(ship, an_interrupted_receiver_tells_why_and_ends_the_sender) {
  SKIP_WITHOUT_UCX();
  disturb(true, SIGTERM, {}, 10s);
}

TEST(ship, a_sender_that_dies_within_a_file_leaves_none) {
  SKIP_WITHOUT_UCX();
  const scratch room;
  const fs::path into = room.folder("into");
  const fs::path file = room / "sparse";
  write_file(file, "");
  fs::resize_file(file, std::uintmax_t{8} << 30);  // longer than anybody waits
  if (ship::folder(into.string()).free_bytes() < std::uint64_t{9} << 30) GTEST_SKIP() << "needs 9 GiB of free disk to promise";
  process receiver(room, "receiver", {"--listen", "0", "--into", into.string()});
  process sender(room, "sender", {"--to", receiver.place(), "--slot", "256kb", file.string()});
  for (int i = 0; i < 5'000 && !receiver.has_open_in(into); ++i) std::this_thread::sleep_for(1ms);
  ASSERT_TRUE(receiver.has_open_in(into)) << "nothing has begun to arrive";
  sender.signal(SIGKILL);
  EXPECT_EQ(receiver.wait(10s), 1);
  EXPECT_TRUE(is_one_line(receiver.complaint())) << receiver.err();
  EXPECT_THAT(names_in(into), IsEmpty());
}

}  // namespace
