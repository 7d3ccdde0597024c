// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "sender.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <support/meter.hpp>
#include <support/problem.hpp>

#include "use.hpp"

namespace ship {

using support::expect;
using support::problem;

namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point start) { return std::chrono::duration<double>(clock::now() - start).count(); }
double in_seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

/// The slots are a ring on both sides: number n of the stream goes through slot n % slots, once n - slots has been acknowledged.
class sender {
 public:
  sender(control& line, lading::endpoint& near, source& from, const hello& announced, const send_options& options)
      : line_(line), near_(near), from_(from), options_(options), slot_bytes_(announced.slot_bytes), slots_(announced.slots), running_(slots_) {}

  /// Agrees with the receiver on where the slots are.
  void open(hello announced) {
    announced.address = expect(near_.address(), "asking for the endpoint's address");
    line_.say(announced);
    line_.keep_alive();
    const auto answer = line_.wait<welcome>();
    peer_ = expect(near_.connect(answer.address, options_.timeout), "connecting to the receiver's endpoint");
    remote_ = expect(near_.import_region(peer_, answer.descriptor), "importing the receiver's slots");
    slab_ = expect(near_.allocate_region(slot_bytes_ * slots_), "registering the slots");
  }

  shipment run() {
    const auto start = clock::now();
    for (unsigned idle = 0; !told_.receiver_done || reaped_ != posted_;) {
      bool moved = near_.progress() != 0;
      line_.tend();
      moved |= listen();
      moved |= reap();
      moved |= post();
      if (options_.show_progress) meter_.flow(from_.fraction(), from_.bytes());
      idle = moved ? 0 : idle + 1;
      line_.idle(idle, near_.event_fd());
    }
    told_.seconds = seconds_since(start);
    meter_.clear();
    told_.slots = posted_;
    told_.bytes = from_.bytes();
    told_.batches = from_.batches();
    told_.latency_seconds /= static_cast<double>(std::max<std::uint64_t>(posted_, 1));
    told_.use = watch_.result();
    return std::move(told_);
  }

  /// Copies the slots' bytes from memory like theirs to memory like theirs, once; returns the time for all that was sent.
  double time_of_memcpy() {
    std::vector<std::byte> target(slab_.size());
    std::uint64_t copied = 0;
    for (std::uint64_t i = 0; i < slots_; ++i)
      std::memcpy(target.data() + i * slot_bytes_, slab_.data() + i * slot_bytes_, slot_bytes_);  // its pages
    const auto start = clock::now();
    for (std::uint64_t i = 0; i < sizes_.size(); ++i) {
      const std::uint64_t at = i % slots_ * slot_bytes_;
      std::memcpy(target.data() + at, slab_.data() + at, sizes_[i]);
      copied += sizes_[i];
    }
    const double seconds = seconds_since(start);
    return copied == 0 ? 0 : seconds * static_cast<double>(told_packed_) / static_cast<double>(copied);
  }

 private:
  static constexpr std::uint64_t remembered_bytes = std::uint64_t{1} << 30;

  struct progress_told : shipment {
    bool receiver_done = false;
  };

  bool listen() {
    bool moved = false;
    std::optional<taken> more;
    std::optional<done> last;
    while (line_.next(more, last)) {
      moved = true;
      if (more) {
        if (more->slots <= acknowledged_ || more->slots > posted_) throw problem("the receiver acknowledges slots that were not sent");
        acknowledged_ = more->slots;
      }
      if (last) {
        if (!ended_ || last->slots != posted_ || acknowledged_ != posted_) throw problem("the receiver ends before everything was sent");
        told_.receiver = *last;
        told_.receiver_done = true;
      }
      more.reset();
      last.reset();
    }
    return moved;
  }

  bool reap() {
    const std::uint64_t before = reaped_;
    while (reaped_ != posted_ && running_[reaped_ % slots_].ready()) {
      const lading::completion how = std::exchange(running_[reaped_ % slots_], {}).how();
      if (!how.ok()) {
        line_.listen_for_reason();  // the receiver knows better, where it still speaks
        const lading::error why = how.status.error();
        const bool slow = why == lading::errc::timed_out || why == lading::errc::peer_stalled;
        throw problem("slot " + std::to_string(reaped_) + " did not arrive: " + why.message() +
                      (slow ? ": is the receiver stopped? (--timeout sets the limit)" : ""));
      }
      told_.post_seconds += in_seconds(how.posted);
      told_.latency_seconds += in_seconds(how.finished);
      ++reaped_;
    }
    if (reaped_ == before) return false;
    if (reaped_ == posted_) told_.transfer_seconds += seconds_since(busy_since_) - packed_meanwhile_;
    return true;
  }

  bool post() {
    if (ended_ || posted_ - std::min(acknowledged_, reaped_) >= slots_) return false;
    const std::uint64_t at = posted_ % slots_ * slot_bytes_;
    const auto start = clock::now();
    const std::size_t size = from_.pack(posted_, slab_.bytes().subspan(at, slot_bytes_));
    if (options_.watch_use) watch_.look(from_.batches());
    const double packed = seconds_since(start);
    if (size == 0) {
      ended_ = true;
      line_.say(end{posted_});
      return true;
    }
    told_.pack_seconds += packed;
    if (reaped_ != posted_) {
      packed_meanwhile_ += packed;
    } else {
      busy_since_ = clock::now();
      packed_meanwhile_ = 0;
    }
    const lading::slice moved{slab_.id(), remote_, at, at, size};
    auto started = near_.submit(peer_, lading::op::put, std::span(&moved, 1),
                                {.deadline = options_.timeout, .notify_tag = tag_of({posted_ % slots_, size}), .notify = true});
    if (!started) {
      line_.listen_for_reason();
      throw problem("sending slot " + std::to_string(posted_) + ": " + started.error().message());
    }
    running_[posted_ % slots_] = std::move(*started);
    ++posted_;
    told_.packed_bytes += size;
    told_packed_ += size;
    if (told_packed_ <= remembered_bytes) sizes_.push_back(size);
    return true;
  }

  control& line_;
  lading::endpoint& near_;
  source& from_;
  send_options options_;
  std::uint64_t slot_bytes_, slots_;
  lading::peer_id peer_{};
  lading::remote_region_id remote_{};
  lading::region slab_;
  std::vector<lading::transfer> running_;
  std::uint64_t posted_ = 0, reaped_ = 0, acknowledged_ = 0;  // of the stream
  bool ended_ = false;
  clock::time_point busy_since_{};
  double packed_meanwhile_ = 0;
  std::uint64_t told_packed_ = 0;
  std::vector<std::size_t> sizes_;  // of the first slots
  progress_told told_;
  support::meter meter_;
  use_watch watch_;
};

}  // namespace

shipment send_all(control& line, lading::endpoint& near, source& from, hello announced, const send_options& options) {
  sender one(line, near, from, announced, options);
  one.open(std::move(announced));
  shipment told = one.run();
  told.memcpy_seconds = one.time_of_memcpy();
  return told;
}

}  // namespace ship
