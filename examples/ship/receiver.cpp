// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "receiver.hpp"

#include <utility>

#include <lading/transport/descriptor.hpp>
#include <support/meter.hpp>
#include <support/problem.hpp>
#include <support/units.hpp>

#include "endpoints.hpp"
#include "use.hpp"

namespace ship {

using support::expect;
using support::problem;

namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point start) { return std::chrono::duration<double>(clock::now() - start).count(); }

class receiver {
 public:
  receiver(control& line, lading::endpoint& far, sink& into, const hello& announced, const receive_options& options)
      : line_(line),
        far_(far),
        into_(into),
        options_(options),
        slot_bytes_(announced.slot_bytes),
        slots_(announced.slots),
        sender_(expect(lading::decode_address(announced.address), "reading the sender's address").identity.endpoint),
        slab_(expect(far.allocate_region(slot_bytes_ * slots_), "registering the slots")),
        arrived_(slots_) {}

  done run() {
    line_.keep_alive();
    line_.say(welcome{expect(far_.address(), "asking for the endpoint's address"), expect(far_.export_region(slab_), "exporting the slots")});
    std::uint64_t acknowledged = 0;
    std::optional<end> last;
    for (unsigned idle = 0; !last || verified_ != last->slots;) {
      bool moved = far_.progress() != 0;
      line_.tend();
      moved |= note_arrivals();
      if (const std::uint64_t size = std::exchange(arrived_[verified_ % slots_], 0); size != 0) {
        take(size);
        moved = true;
      }
      if (verified_ != acknowledged) line_.say(taken{acknowledged = verified_});
      if (!last) last = line_.next<end>();
      if (last && last->slots < verified_) throw problem("the sender counts fewer slots than have arrived");
      if (options_.show_progress) meter_.flow(into_.fraction(), into_.bytes());
      idle = moved ? 0 : idle + 1;
      line_.idle(idle, far_.event_fd());
    }
    into_.finish();
    meter_.clear();
    told_.slots = verified_;
    told_.files = into_.files();
    told_.bytes = into_.bytes();
    told_.use = watch_.result();
    line_.say(told_);
    see_off();
    return told_;
  }

 private:
  /// The transport says what has been put; it is the sender's word, and checked.
  bool note_arrivals() {
    bool moved = false;
    for (lading::notification said; far_.next_notification(said); moved = true) {
      const arrival what = arrival_of(said.tag);
      if (said.sender != sender_) continue;  // somebody else's word says nothing about the slots
      if (what.slot >= slots_ || what.size == 0 || what.size > slot_bytes_ || arrived_[what.slot] != 0)
        throw problem("the sender announces a slot that it does not have");
      arrived_[what.slot] = what.size;
    }
    return moved;
  }

  void take(std::uint64_t size) {
    const auto start = clock::now();
    const auto items = lading::unpack_from(slab_.bytes().subspan(verified_ % slots_ * slot_bytes_, size), {.expected_schema = into_.schema()});
    if (!items) throw problem("slot " + std::to_string(verified_) + " is not valid: " + items.error().message());
    told_.validate_seconds += seconds_since(start);
    const auto valid = clock::now();
    into_.take(verified_, *items);
    told_.land_seconds += seconds_since(valid);
    ++verified_;
    watch_.look(into_.batches());
  }

  /// Makes progress until the sender has learned of the end and leaves. Everything is verified: how it leaves does not matter.
  void see_off() noexcept {
    try {
      for (const auto until = clock::now() + options_.timeout; clock::now() < until && !line_.ended();) {
        static_cast<void>(far_.progress());
        line_.tend();
        line_.rest(far_.event_fd(), std::chrono::milliseconds(1));
      }
    } catch (...) {  // silent, or interrupted
    }
  }

  control& line_;
  lading::endpoint& far_;
  sink& into_;
  receive_options options_;
  std::uint64_t slot_bytes_, slots_, sender_;
  lading::region slab_;
  std::vector<std::uint64_t> arrived_;  // bytes of each slot that has been put and not taken
  std::uint64_t verified_ = 0;          // of the stream
  done told_;
  support::meter meter_;
  use_watch watch_;
};

}  // namespace

void check_hello(const hello& announced, const std::string& transport) {
  if (announced.transport != transport) {
    throw problem("the sender uses the transport " + support::one_line(announced.transport, 40) + ", the receiver " + transport +
                  ": start both with the same --transport");
  }
  if (announced.part_schema != lading::schema_of<file_part>() || announced.sample_schema != lading::schema_of<sample>())
    throw problem("sender and receiver have other values in mind: use the same release on both sides");
  if (announced.files > max_files) throw problem("the sender has " + std::to_string(announced.files) + " files: a receiver takes 100,000 at a time");
  const bool fits = announced.slot_bytes != 0 && announced.slot_bytes <= max_slot_bytes && announced.slots != 0 && announced.slots <= max_slots &&
                    announced.slot_bytes * announced.slots <= max_slab_bytes;
  if (!fits) {
    throw problem("the sender asks for " + std::to_string(announced.slots) + " slots of " + std::to_string(announced.slot_bytes) +
                  " bytes: a receiver lends 1 GiB; pass a smaller --slot or --slots to the sender");
  }
}

done receive_all(control& line, lading::endpoint& far, sink& into, const hello& announced, const receive_options& options) {
  return receiver(line, far, into, announced, options).run();
}

}  // namespace ship
