// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Whose turn it is, when many batches are running: under a driver that counts how often it is asked.

#include <lading/transport/endpoint.hpp>

#include <map>

#include <gtest/gtest.h>

#include <lading/transport/concept.hpp>

namespace core_running_test {
using namespace lading;
using namespace std::chrono_literals;

/// Takes slices while its window has room, for each peer its own; those of 1,000 bytes in rounds that all batches share, at most two of a batch.
class counting_driver final : public driver {
 public:
  std::string_view name() const noexcept override { return "counting"; }
  lading::capabilities capabilities() const noexcept override { return {.notifies = true}; }
  result<void> start(driver_host& host) override {
    host_ = &host;
    return {};
  }
  void stop() noexcept override {}
  result<std::unique_ptr<driver_connection>> connect(const endpoint_address&) override {
    auto made = std::make_unique<driver_connection>();
    newest = made.get();
    return made;
  }
  result<std::unique_ptr<driver_remote>> import_key(driver_connection&, const region_descriptor&) override {
    return std::make_unique<driver_remote>();
  }
  std::size_t post(batch& slices, std::size_t first) noexcept override {
    ++posts;
    const std::size_t left = slices.size() - first;
    if (slices.raw(first).size == 1000) {
      const std::size_t taken = std::min({left, round, std::size_t{2}});
      round -= taken;
      if (taken != left) slices.again(taken != 0);
      if (taken != 0) slices.token().succeeded(taken, taken * 1000);
      return taken;
    }
    std::size_t& room = rooms[slices.connection().id];
    const std::size_t taken = std::min(room, left);
    room -= taken;
    for (std::size_t i = 0; i < taken; ++i) out.push_back(&slices.token());
    return taken;
  }
  bool notify(driver_connection& peer, std::uint64_t, operation& token) noexcept override {
    ++notifies;
    if (rooms[peer.id] == 0) return false;
    --rooms[peer.id];
    token.notified();
    return true;
  }
  std::size_t progress() noexcept override {
    round = round_size;
    return 0;
  }
  void lose_newest() noexcept { host_->lost(*newest, errc::peer_lost); }

  std::map<peer_id, std::size_t> rooms;
  std::vector<operation*> out;
  driver_connection* newest = nullptr;
  std::size_t posts = 0, notifies = 0, round = 0, round_size = 4;

 private:
  driver_host* host_ = nullptr;
};

class turns : public ::testing::Test {
 protected:
  struct peer_of {
    explicit peer_of(endpoint& near)
        : far(endpoint::create(std::make_unique<counting_driver>()).value()),
          memory(far.allocate_region(1 << 20).value()),
          id(near.connect(far.address().value()).value()),
          imported(near.import_region(id, far.export_region(memory).value()).value()) {}
    endpoint far;
    region memory;
    peer_id id;
    remote_region_id imported;
  };
  turns() {
    auto made = std::make_unique<counting_driver>();
    strings = made.get();
    near.emplace(endpoint::create(std::move(made), {.default_deadline = 1s, .close_limit = 1ms, .clock = clock.source()}).value());
    here = near->allocate_region(1 << 20).value();
    one.emplace(*near);
    other.emplace(*near);
  }
  [[nodiscard]] transfer put(const peer_of& to, std::size_t count = 1, std::uint64_t size = 64, const submit_options& options = {}) {
    const std::vector<slice> slices(count, slice{here.id(), to.imported, 0, 0, size});
    return near->submit(to.id, op::put, slices, options).value();
  }
  /// How often the driver is asked to post in one round.
  [[nodiscard]] std::size_t posts_of_a_round() {
    const std::size_t before = strings->posts;
    near->progress();
    return strings->posts - before;
  }
  void end_all() {
    for (operation* each : std::exchange(strings->out, {})) each->succeeded(1, 64);
  }

  manual_clock clock;
  counting_driver* strings = nullptr;
  std::optional<endpoint> near;
  region here;
  std::optional<peer_of> one, other;
};

TEST_F(turns, who_waits_behind_another_is_not_tried) {
  constexpr std::size_t count = 1000;
  std::vector<transfer> running;
  for (std::size_t i = 0; i < count; ++i) running.push_back(put(*one));
  near->progress();
  EXPECT_LE(strings->posts, 2 * count) << "by submit, and once when it has come";
  EXPECT_EQ(posts_of_a_round(), 1u);
  for (std::size_t ended = 0; ended < count; ended += 10) {
    strings->rooms[one->id] = 10;
    EXPECT_LE(posts_of_a_round(), 11u);
    ASSERT_EQ(strings->out.size(), 10u);
    end_all();
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(running[i].ready(), i < ended + 10) << "the oldest come first";
  }
  near->progress();
  EXPECT_EQ(posts_of_a_round(), 0u);
}

TEST_F(turns, a_peer_without_room_does_not_hold_up_another) {
  transfer stuck = put(*one), runs = put(*other);
  near->progress();
  EXPECT_TRUE(strings->out.empty());
  strings->rooms[other->id] = 1;
  near->progress();
  end_all();
  EXPECT_TRUE(runs.ready());
  EXPECT_FALSE(stuck.ready());
  strings->rooms[one->id] = 1;
  near->progress();
  end_all();
  EXPECT_TRUE(stuck.ready());
}

TEST_F(turns, notifications_wait_in_line_too) {
  std::vector<transfer> running;
  for (std::size_t i = 0; i < 100; ++i) running.push_back(put(*one, 0, 0, {.notify_tag = i, .notify = true}));
  near->progress();
  near->progress();
  const std::size_t before = strings->notifies;
  near->progress();
  EXPECT_EQ(strings->notifies, before + 1);
  strings->rooms[one->id] = 60;
  near->progress();
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(running[i].ready(), i < 60) << i;
  running[70].cancel();
  near->progress();
  ASSERT_TRUE(running[70].ready()) << "though others before it wait";
  EXPECT_EQ(running[70].how().status.error(), errc::cancelled);
  clock.advance(1s);
  near->progress();
  for (const transfer& each : running) EXPECT_TRUE(each.ready());
}

TEST_F(turns, are_had_by_all_who_go_on) {
  strings->round_size = 4;
  std::vector<transfer> large;
  for (int i = 0; i < 4; ++i) large.push_back(put(*one, 100, 1000));
  transfer small = put(*one, 1, 1000);
  // Two of a batch, four in a round: each of five has its turn within three rounds, and a fourth sees that the last has come.
  for (int i = 0; i < 4; ++i) near->progress();
  EXPECT_TRUE(small.ready()) << "behind four large ones";
  for (const transfer& each : large) EXPECT_FALSE(each.ready());
  int rounds = 0;
  while (!large.back().ready() && rounds < 200) near->progress(), ++rounds;
  EXPECT_LE(rounds, 101);
  near->progress();
  for (const transfer& each : large) EXPECT_TRUE(each.ready() && each.how().ok());
}

TEST_F(turns, are_had_beside_a_batch_without_room) {
  transfer stuck = put(*one);
  transfer large = put(*one, 10, 1000);
  for (int i = 0; i < 6; ++i) near->progress();
  EXPECT_TRUE(large.ready());
  EXPECT_FALSE(stuck.ready());
}

TEST_F(turns, end_wherever_a_batch_waits) {
  enum class how { cancelled, late, lost, disconnected, closed };
  for (const how it_ends : {how::cancelled, how::late, how::lost, how::disconnected, how::closed}) {
    const peer_of far(*near);
    std::vector<transfer> waiting;
    waiting.push_back(put(far));
    waiting.push_back(put(far));                                           // behind the first
    waiting.push_back(put(far, 100, 1000));                                // takes turns
    waiting.push_back(put(far, 0, 0, {.notify_tag = 1, .notify = true}));  // waits to notify
    for (int i = 0; i < 2; ++i) near->progress();
    waiting.push_back(put(far));  // has just come
    for (const transfer& each : waiting) ASSERT_FALSE(each.ready());
    transfer control = put(*other, 1, 64, {.deadline = 1h});
    if (it_ends == how::cancelled) {
      for (transfer& each : waiting) each.cancel();
    } else if (it_ends == how::late) {
      clock.advance(1s);
    } else if (it_ends == how::disconnected) {
      near->disconnect(far.id);
    } else if (it_ends == how::closed) {
      near.reset();
    } else {
      strings->lose_newest();
    }
    if (near) near->progress();
    const errc expected = it_ends == how::cancelled ? errc::cancelled
                          : it_ends == how::late    ? errc::timed_out
                          : it_ends == how::lost    ? errc::peer_lost
                                                    : errc::closed;
    for (const transfer& each : waiting) {
      ASSERT_TRUE(each.ready());
      EXPECT_EQ(name_of(each.how().status.error().code()), name_of(expected));
    }
    if (!near) break;
    EXPECT_FALSE(control.ready());
    strings->rooms[other->id] = 1;
    near->progress();
    end_all();
    EXPECT_TRUE(control.ready() && control.how().ok());
    near->progress();
    EXPECT_EQ(posts_of_a_round(), 0u);
  }
}

}  // namespace core_running_test
