// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The parts of ship: places, names, the two sides within one process, and senders that lie.

#include <functional>
#include <limits>
#include <optional>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <gmock/gmock.h>

#include <support/problem.hpp>
#include <support/units.hpp>

#include "cargo.hpp"
#include "control.hpp"
#include "endpoints.hpp"
#include "file_names.hpp"
#include "landing.hpp"
#include "process.hpp"
#include "receiver.hpp"
#include "sender.hpp"
#include "use.hpp"

namespace {
using namespace ship_test;
using support::problem;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;

/// What a piece of work throws as a problem; empty where it does not.
std::string problem_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const problem& why) {
    return why.what();
  }
  return {};
}

TEST(ship_places, are_read_as_they_are_written) {
  const auto read = [](const std::string& typed) { return ship::place::parse(typed, "--to").text(); };
  EXPECT_EQ(read("5000"), "127.0.0.1:5000");
  EXPECT_EQ(read("host:1"), "host:1");
  EXPECT_EQ(read("[::1]:65535"), "[::1]:65535");
  EXPECT_EQ(read("0.0.0.0:0"), "0.0.0.0:0");
  for (const char* wrong : {"", ":", "host:", ":5", "host", "1:2:3", "::1:5", "host:65536", "host:-1", "host:5x", "host:000001", "[]:"})
    EXPECT_THAT(problem_of([&] { static_cast<void>(read(wrong)); }), HasSubstr("--to takes [HOST:]PORT")) << wrong;
}

TEST(ship_names, are_plain_or_refused) {
  for (const char* good : {"a", "a b", "..a", ".hidden", "größe", "a..b", "-rf"}) EXPECT_EQ(problem_of([&] { ship::check_name(good); }), "") << good;
  const std::string long_name(256, 'x');
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("../a"), std::string("/etc/passwd"), std::string("a/b"), std::string("a/"),
        std::string("a\\b"), std::string("a\nb"), std::string("a\0b", 3), std::string("\x1b[2J"), std::string("\x7f"), long_name})
    EXPECT_THAT(problem_of([&] { ship::check_name(bad); }), HasSubstr("only plain names are taken")) << bad;
  EXPECT_EQ(ship::name_of_path("/a/b.c"), "b.c");
  EXPECT_EQ(ship::name_of_path("b.c"), "b.c");
  EXPECT_EQ(ship::name_of_path("a/b/"), "b");
}

TEST(ship_tags, hold_slot_and_size) {
  const ship::arrival one{ship::max_slots - 1, ship::max_slot_bytes};
  const ship::arrival back = ship::arrival_of(ship::tag_of(one));
  EXPECT_EQ(back.slot, one.slot);
  EXPECT_EQ(back.size, one.size);
}

TEST(ship_use, growth_is_a_problem_and_flatness_is_none) {
  constexpr std::uint64_t mib = 1 << 20;
  const auto after = [&](std::uint64_t batches, auto&& memory, auto&& descriptors) {
    ship::use_watch watch;
    for (std::uint64_t i = 0; i <= batches; ++i) watch.look(i, {memory(i), descriptors(i)});
    return watch.result();
  };
  const auto flat = [](std::uint64_t) { return 100 * mib; };
  const auto ten = [](std::uint64_t) { return std::uint64_t{10}; };
  EXPECT_EQ(problem_of([&] { ship::check_flat(after(100, flat, ten), "the"); }), "");
  // What settles in the first eighth is no leak.
  EXPECT_EQ(problem_of([&] {
              ship::check_flat(after(
                                   100, [](std::uint64_t i) { return (i < 8 ? 10 : 100) * mib; }, ten),
                               "the");
            }),
            "");
  EXPECT_THAT(problem_of([&] {
                ship::check_flat(after(
                                     100, [](std::uint64_t i) { return (100 + i) * mib; }, ten),
                                 "the");
              }),
              HasSubstr("the memory has grown from"));
  EXPECT_THAT(problem_of([&] { ship::check_flat(after(100, flat, [](std::uint64_t i) { return 10 + i / 90; }), "the"); }),
              HasSubstr("the descriptors have grown from 10 to 11"));
  EXPECT_EQ(after(0, flat, ten).late_memory, 0u) << "nothing was looked at";
  const ship::use now = ship::use_now();
  EXPECT_GT(now.descriptors, 3u);
  EXPECT_GT(now.memory, mib);
}

TEST(ship_control, messages_arrive_whole_and_in_order_and_silence_is_noticed) {
  auto [here, there] = ship::connected_pair();
  ship::control one(std::move(here), "one", std::chrono::milliseconds(100)), other(std::move(there), "other", std::chrono::milliseconds(100));
  for (std::uint64_t i = 1; i <= 50; ++i) one.say(ship::taken{i});
  other.tend();
  for (std::uint64_t i = 1; i <= 50; ++i) EXPECT_EQ(other.next<ship::taken>().value().slots, i);
  EXPECT_FALSE(other.next<ship::taken>().has_value());
  one.say(ship::end{7});
  other.tend();
  EXPECT_THAT(problem_of([&] { static_cast<void>(other.next<ship::taken>()); }), HasSubstr("does not belong here"));
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  one.say(ship::beat{});  // the control: who speaks is not silent
  EXPECT_EQ(problem_of([&] { other.tend(); }), "");
  EXPECT_THAT(problem_of([&] { one.tend(); }), HasSubstr("has been silent for 0.1 s"));
  one.refuse("enough");
  other.tend();
  EXPECT_EQ(problem_of([&] { static_cast<void>(other.next<ship::taken>()); }), "other says: enough");
}

TEST(ship_control, who_never_reads_is_given_up_with_bounded_memory) {
  auto [here, there] = ship::connected_pair();
  ship::control one(std::move(here), "the peer", std::chrono::seconds(1));
  const std::string text(1 << 16, 'x');
  std::string why;
  for (int i = 0; i < 1000 && why.empty(); ++i) why = problem_of([&] { one.say(ship::refusal{text}); });
  EXPECT_THAT(why, HasSubstr("does not read"));
}

/// A landing, left before the end, leaves nothing; finished, its name; and no file is replaced by two who come at once.
TEST(ship_landing, is_whole_or_nothing) {
  const scratch room;
  const ship::folder into(room.folder("into").string());
  const auto bytes = [](const std::string& text) { return std::as_bytes(std::span(text)); };
  {
    ship::landing left(into, "a", 5, false);
    left.append(bytes("abc"));
    EXPECT_THAT(problem_of([&] { left.finish(); }), HasSubstr("is not whole"));
    EXPECT_THAT(problem_of([&] { left.append(bytes("defg")); }), HasSubstr("more bytes came"));
  }
  EXPECT_THAT(names_in(into.path()), IsEmpty());
  {
    ship::landing first(into, "a", 1, false), second(into, "a", 1, false);
    first.append(bytes("1"));
    second.append(bytes("2"));
    first.finish();
    EXPECT_THAT(problem_of([&] { second.finish(); }), HasSubstr("exists"));
  }
  EXPECT_EQ(read_file(room / "into/a"), "1");
  EXPECT_EQ(names_in(into.path()).size(), 1u);
  fs::create_symlink(room / "elsewhere", room / "into/link");
  EXPECT_THAT(problem_of([&] { ship::landing(into, "link", 0, false); }), HasSubstr("exists"));
  {
    ship::landing over(into, "link", 1, true);
    over.append(bytes("3"));
    over.finish();
  }
  EXPECT_FALSE(fs::exists(room / "elsewhere")) << "a link was followed";
  EXPECT_EQ(read_file(room / "into/link"), "3");
}

TEST(ship_landing, of_a_process_that_is_killed_leaves_nothing) {
  const scratch room;
  const std::string path = room.folder("into").string();
  const int probe = ::open(path.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  if (probe < 0) GTEST_SKIP() << "this file system has no files without a name";
  ::close(probe);
  const ::pid_t child = ::fork();
  if (child == 0) {
    const ship::folder into(path);
    ship::landing one(into, "a", 100, false), two(into, "b", 100, true);
    const std::string text = "some of it";
    one.append(std::as_bytes(std::span(text)));
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_THAT(names_in(path), IsEmpty());
}

ship::hello hello_for_files(std::uint64_t files, std::uint64_t bytes) {
  return {.transport = "loopback",
          .part_schema = lading::schema_of<ship::file_part>(),
          .sample_schema = lading::schema_of<ship::sample>(),
          .slot_bytes = 65'536,
          .slots = 3,
          .files = files,
          .bytes = bytes,
          .address = {}};
}

/// A sender of whatever it is told to.
class lying_source final : public ship::source {
 public:
  explicit lying_source(std::vector<std::function<std::size_t(lading::bytes_span)>> slots) : slots_(std::move(slots)) {}
  std::size_t pack(std::uint64_t sequence, lading::bytes_span slot) override { return sequence < slots_.size() ? slots_[sequence](slot) : 0; }
  std::uint64_t bytes() const override { return 0; }
  double fraction() const override { return 0; }

 private:
  std::vector<std::function<std::size_t(lading::bytes_span)>> slots_;
};

/// A slot that holds this part.
auto part(std::uint64_t sequence, std::uint64_t file, std::string name, std::uint64_t size, std::uint64_t offset, std::string data) {
  return [=](lading::bytes_span slot) {
    const ship::file_part value{sequence, file, name, size, offset, std::as_bytes(std::span(data))};
    return lading::pack_into(slot, lading::encode(value).value(), {.schema = lading::schema_of<ship::file_part>()}).value();
  };
}

/// What either side says when `from` is sent to a receiver that writes into the folder.
std::pair<std::string, std::string> ship_here(const ship::hello& announced, ship::source& from, const ship::folder& into) {
  auto near = ship::make_endpoint({.transport = "loopback"}), far = ship::make_endpoint({.transport = "loopback"});
  auto [here, there] = ship::connected_pair();
  ship::control line(std::move(here), "the receiver", 5s);
  std::string received;
  std::thread receiving([&, socket = std::move(there)]() mutable {
    ship::control other(std::move(socket), "the sender", 5s);
    received = problem_of([&] {
      const auto hello = other.wait<ship::hello>();
      ship::check_hello(hello, "loopback");
      const auto to = ship::land_files(into, hello, false);
      static_cast<void>(ship::receive_all(other, far, *to, hello, {.timeout = 5s, .show_progress = false}));
    });
    if (!received.empty()) other.refuse(received);
  });
  const std::string sent =
      problem_of([&] { static_cast<void>(ship::send_all(line, near, from, announced, {.timeout = 5s, .show_progress = false})); });
  if (!sent.empty()) line.refuse(sent);
  line = ship::control(ship::descriptor(), "nobody", 5s);
  receiving.join();
  return {sent, received};
}

TEST(ship_receiver, takes_what_is_honest) {
  const scratch room;
  const ship::folder into(room.folder("into").string());
  lying_source from({part(0, 0, "a", 3, 0, "ab"), part(1, 0, "a", 3, 2, "c"), part(2, 1, "b", 0, 0, "")});
  const auto [sent, received] = ship_here(hello_for_files(2, 3), from, into);
  EXPECT_EQ(sent, "");
  EXPECT_EQ(received, "");
  EXPECT_EQ(read_file(room / "into/a"), "abc");
  EXPECT_EQ(names_in(into.path()).size(), 2u);
}

TEST(ship_receiver, refuses_what_is_not) {
  using slots = std::vector<std::function<std::size_t(lading::bytes_span)>>;
  const auto flipped = [](std::size_t from_end) {
    return [from_end](lading::bytes_span slot) {
      const std::size_t size = part(0, 0, "a", 3, 0, "abc")(slot);
      slot[size - from_end] ^= std::byte{1};
      return size;
    };
  };
  const struct {
    const char* what;
    slots sent;
    std::string said;
  } cases[] = {
      {"out of the folder", {part(0, 0, "../evil", 3, 0, "abc")}, "only plain names are taken"},
      {"an absolute path", {part(0, 0, "/evil", 3, 0, "abc")}, "only plain names are taken"},
      {"a deeper folder", {part(0, 0, "a/evil", 3, 0, "abc")}, "only plain names are taken"},
      {"dots", {part(0, 0, "..", 3, 0, "abc")}, "only plain names are taken"},
      {"no name", {part(0, 0, "", 3, 0, "abc")}, "only plain names are taken"},
      {"a terminal's words", {part(0, 0, "\x1b[2J", 3, 0, "abc")}, "only plain names are taken"},
      {"another slot's number", {part(1, 0, "a", 3, 0, "abc")}, "does not continue"},
      {"another file's number", {part(0, 1, "a", 3, 0, "abc")}, "does not continue"},
      {"more than announced", {part(0, 0, "a", 4, 0, "abcd")}, "more bytes than were announced"},
      {"a size of all bits", {part(0, 0, "a", ~std::uint64_t{0}, 0, "abc")}, "more bytes than were announced"},
      {"more than its size", {part(0, 0, "a", 2, 0, "abc")}, "more bytes came"},
      {"a later place", {part(0, 0, "a", 3, 1, "bc")}, "its place"},
      {"nothing of something", {part(0, 0, "a", 3, 0, "")}, "its place"},
      {"a name that changes", {part(0, 0, "a", 3, 0, "a"), part(1, 0, "b", 3, 1, "bc")}, "another name or size"},
      {"a size that changes", {part(0, 0, "a", 3, 0, "a"), part(1, 0, "a", 2, 1, "b")}, "another name or size"},
      {"a file too many", {part(0, 0, "a", 3, 0, "abc"), part(1, 1, "b", 0, 0, "")}, "does not continue"},
      {"the same again", {part(0, 0, "a", 3, 0, "abc"), part(0, 0, "a", 3, 0, "abc")}, "does not continue"},
      {"too little", {part(0, 0, "a", 3, 0, "ab")}, "before all of its files were here"},
      {"nothing at all", {}, "before all of its files were here"},
      {"a flipped bit of the data", {flipped(1)}, "checksum_mismatch"},
      {"no packed value",
       {[](lading::bytes_span slot) { return std::fill_n(slot.begin(), 100, std::byte{7}), std::size_t{100}; }},
       "slot 0 is not valid"},
      {"a value of another schema",
       {[](lading::bytes_span slot) {
         return lading::pack_into(slot, lading::encode(ship::end{1}).value(), {.schema = lading::schema_of<ship::end>()}).value();
       }},
       "schema_mismatch"},
  };
  for (const auto& each : cases) {
    const scratch room;
    const ship::folder into(room.folder("into").string());
    lying_source from(each.sent);
    const auto [sent, received] = ship_here(hello_for_files(1, 3), from, into);
    EXPECT_THAT(received, HasSubstr(each.said)) << each.what;
    EXPECT_THAT(sent, HasSubstr("the receiver says: ")) << each.what;
    for (const std::string& name : names_in(into.path())) EXPECT_EQ(name, "a") << each.what;  // where it was whole before the lie
    EXPECT_FALSE(fs::exists(room / "evil")) << each.what;
  }
}

TEST(ship_receiver, refuses_announcements_that_it_cannot_keep) {
  const auto refused = [](auto&& change) {
    ship::hello announced = hello_for_files(1, 1);
    change(announced);
    return problem_of([&] { ship::check_hello(announced, "loopback"); });
  };
  EXPECT_EQ(refused([](ship::hello&) {}), "");
  EXPECT_THAT(refused([](ship::hello& it) { it.slots = 0; }), HasSubstr("pass a smaller --slot"));
  EXPECT_THAT(refused([](ship::hello& it) { it.slot_bytes = 0; }), HasSubstr("pass a smaller --slot"));
  EXPECT_THAT(refused([](ship::hello& it) { it.slot_bytes = ship::max_slot_bytes, it.slots = 5; }), HasSubstr("pass a smaller --slot"));
  EXPECT_THAT(refused([](ship::hello& it) { it.files = ship::max_files + 1; }), HasSubstr("100,000 at a time"));
  const scratch room;
  const ship::folder into(room.folder("into").string());
  const std::uint64_t huge = std::uint64_t{1} << 60;
  EXPECT_THAT(problem_of([&] { static_cast<void>(ship::land_files(into, hello_for_files(1, huge), false)); }),
              HasSubstr(" free, and the files need"));
}

TEST(ship_sender, notices_that_a_file_changes_under_it) {
  const scratch room;
  write_file(room / "file", std::string(100'000, 'x'));
  ship::hello announced = hello_for_files(0, 0);
  const auto from = ship::open_files({(room / "file").string()}, announced);
  EXPECT_EQ(announced.bytes, 100'000u);
  std::vector<std::byte> slot(8192);
  EXPECT_GT(from->pack(0, slot), 4096u);
  fs::resize_file(room / "file", 10);
  EXPECT_THAT(problem_of([&] { static_cast<void>(from->pack(1, slot)); }), HasSubstr("was changed while it was read"));
}

TEST(ship_samples, fit_their_slots_and_arrive_bit_for_bit) {
  for (const std::uint64_t size : {std::uint64_t{64} << 10, std::uint64_t{1} << 20}) {
    ship::hello announced = hello_for_files(0, 0);
    announced.slot_bytes = size;
    const auto from = ship::generate_samples({.batches = 2}, announced);
    const auto to = ship::compare_samples(announced);
    std::vector<std::byte> slot(size), wrong;
    std::uint64_t sequence = 0;
    for (;; ++sequence) {
      const std::size_t used = from->pack(sequence, slot);
      if (used == 0) break;
      const auto items = lading::unpack_from(lading::bytes_view(slot).first(used), {.expected_schema = to->schema()});
      ASSERT_TRUE(items.has_value());
      EXPECT_EQ(problem_of([&] { to->take(sequence, *items); }), "");
      if (sequence == 5) {
        EXPECT_THAT(problem_of([&] { to->take(sequence + 1, *items); }), HasSubstr("does not hold the value"));
        wrong.assign(slot.begin(), slot.begin() + static_cast<std::ptrdiff_t>(used));
        wrong.back() ^= std::byte{1};
        const auto other = lading::unpack_from(wrong, {.verify_checksum = false});
        EXPECT_THAT(problem_of([&] { to->take(sequence, *other); }), AnyOf(HasSubstr("does not hold the value"), HasSubstr("decoding slot"))) << size;
      }
    }
    EXPECT_EQ(sequence, 32u);
    EXPECT_EQ(from->batches(), 2u);
    EXPECT_EQ(to->batches(), 2u);
    EXPECT_EQ(from->bytes(), to->bytes());
    EXPECT_EQ(problem_of([&] { to->finish(); }), "");
  }
}

}  // namespace
