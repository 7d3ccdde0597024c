// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Files or generated values from one process to another: packed into slots of a registered slab, put into the other side's slots, validated there.

#include <cstdio>
#include <exception>
#include <iostream>
#include <list>
#include <new>
#include <string>
#include <thread>

#include <poll.h>

#include <support/problem.hpp>
#include <support/units.hpp>

#include "arguments.hpp"
#include "control.hpp"
#include "endpoints.hpp"
#include "receiver.hpp"
#include "sender.hpp"
#include "summary.hpp"
#include "use.hpp"

namespace ship {
namespace {

using support::problem;

void tell(const std::string& line) { std::fprintf(stderr, "ship: %s\n", support::one_line(line).c_str()); }

/// Runs one side of a conversation; what goes wrong on this side is told to the other one.
template <class Work>
auto converse(control& line, Work&& work) {
  try {
    return work();
  } catch (const told_by_peer&) {
    throw;
  } catch (const std::bad_alloc&) {
    line.refuse("not enough memory");
    throw;
  } catch (const std::exception& wrong) {
    line.refuse(wrong.what());
    throw;
  }
}

hello announcement(const arguments& given) {
  return {.transport = given.transport,
          .part_schema = lading::schema_of<file_part>(),
          .sample_schema = lading::schema_of<sample>(),
          .slot_bytes = given.slot_bytes,
          .slots = given.slots,
          .address = {}};
}

shipment send_over(control& line, lading::endpoint& near, const arguments& given) {
  return converse(line, [&] {
    hello announced = announcement(given);
    const auto from = given.files.empty() ? generate_samples(given.limits, announced) : open_files(given.files, announced);
    return send_all(line, near, *from, std::move(announced), {.timeout = given.timeout, .watch_use = given.soak});
  });
}

done receive_over(control& line, lading::endpoint& far, const hello& announced, const arguments& given, bool show_progress) {
  return converse(line, [&] {
    std::optional<folder> into;
    if (!announced.generated) {
      if (given.into.empty()) throw problem("the receiver was started without --into DIR, and so takes generated values only");
      into.emplace(given.into);
    }
    const auto to = announced.generated ? compare_samples(announced) : land_files(*into, announced, given.force);
    return receive_all(line, far, *to, announced, {.timeout = given.timeout, .show_progress = show_progress});
  });
}

int finish(const arguments& given, const std::string& to, const shipment& told) {
  print_shipment(std::cout, given, to, told);
  if (given.soak) {
    check_flat(told.use, "the sender's");
    check_flat(told.receiver.use, "the receiver's");
  }
  return std::cout.flush() ? 0 : 1;
}

int run_sender(const arguments& given) {
  for (const std::string& path : given.files) static_cast<void>(support::mapped_file(path));  // what cannot be read is told before anybody is called
  descriptor socket = connect_to(place::parse(given.to, "--to"), given.timeout);
  const socket_place to = remote_place(socket);
  control line(std::move(socket), "the receiver", given.timeout);
  lading::endpoint near = converse(line, [&] {
    return make_endpoint(
        {.transport = given.transport, .lanes = given.lanes, .device = given.device, .this_host = to.this_host, .timeout = given.timeout});
  });
  return finish(given, to.text, send_over(line, near, given));
}

/// Somebody who has connected and has not said what he wants yet.
struct caller {
  control line;
  std::string where;
};

/// Waits for a sender. Whoever says something else is refused, told of, and forgotten.
std::pair<caller, hello> wait_for_sender(const descriptor& listening, const arguments& given) {
  constexpr std::size_t most = 16;
  std::list<caller> callers;
  for (;;) {
    ::pollfd watched[most + 1] = {{.fd = listening.get(), .events = POLLIN, .revents = 0}};
    nfds_t count = 1;
    for (const caller& each : callers) watched[count++] = {.fd = each.line.fd(), .events = POLLIN, .revents = 0};
    ::poll(watched, count, callers.empty() ? 500 : 50);
    if (interrupted()) throw problem("interrupted");
    while (descriptor fresh = accept_from(listening)) {
      const std::string where = remote_place(fresh).text;
      if (callers.size() == most) callers.pop_front();  // the one who has hesitated longest
      callers.push_back({control(std::move(fresh), "the sender", given.timeout), where});
    }
    for (auto each = callers.begin(); each != callers.end();) {
      try {
        each->line.tend();
        if (auto announced = each->line.next<hello>()) {
          check_hello(*announced, given.transport);
          return {std::move(*each), std::move(*announced)};
        }
        ++each;
      } catch (const problem& why) {
        if (interrupted()) throw;
        tell("refused " + each->where + ": " + why.what());
        each->line.refuse(why.what());
        each = callers.erase(each);
      }
    }
  }
}

int run_receiver(const arguments& given) {
  if (!given.into.empty()) static_cast<void>(folder(given.into));
  descriptor listening = listen_at(place::parse(given.listen, "--listen"));
  const socket_place here = local_place(listening);
  // Made before anybody calls, so that what is missing is told at once.
  lading::endpoint far = make_endpoint(
      {.transport = given.transport, .lanes = given.lanes, .device = given.device, .this_host = here.this_host, .timeout = given.timeout});
  std::fprintf(stderr, "ship: listening on %s\n", here.text.c_str());
  auto [from, announced] = wait_for_sender(listening, given);
  listening = descriptor();  // one shipment: others are refused by the system
  const done told = receive_over(from.line, far, announced, given, true);
  print_received(std::cout, given, from.where, announced.generated, told);
  return std::cout.flush() ? 0 : 1;
}

/// Both sides, each with an endpoint of its own, in two threads.
int run_both(const arguments& given) {
  lading::endpoint near = make_endpoint({.transport = given.transport}), far = make_endpoint({.transport = given.transport});
  auto [here, there] = connected_pair();
  std::exception_ptr failed;
  control line(std::move(here), "the receiver", given.timeout);
  std::thread receiving([&, socket = std::move(there)]() mutable {
    try {
      control other(std::move(socket), "the sender", given.timeout);
      const auto announced = other.wait<hello>();
      converse(other, [&] { check_hello(announced, given.transport); });
      static_cast<void>(receive_over(other, far, announced, given, false));
    } catch (...) {
      failed = std::current_exception();
    }
  });
  std::optional<shipment> told;
  std::exception_ptr sending_failed;
  try {
    told = send_over(line, near, given);
  } catch (...) {
    sending_failed = std::current_exception();
  }
  line = control(descriptor(), "nobody", given.timeout);  // the receiver sees it off
  receiving.join();
  if (sending_failed) std::rethrow_exception(sending_failed);
  if (failed) std::rethrow_exception(failed);
  return finish(given, "this process", *told);
}

int run(int count, char** words) {
  arguments given;
  if (const auto ended = parse(given, count, words)) return *ended;
  catch_interrupts();
  if (given.loopback()) return run_both(given);
  return given.listen.empty() ? run_sender(given) : run_receiver(given);
}

}  // namespace
}  // namespace ship

int main(int count, char** words) {
  try {
    return ship::run(count, words);
  } catch (const std::bad_alloc&) {
    ship::tell("not enough memory");
  } catch (const std::exception& wrong) {
    ship::tell(wrong.what());
  }
  return 1;
}
