// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Puts a text from one endpoint into another over the transport of own_transport.hpp.

#include <cstdio>
#include <cstring>

#include "own_transport.hpp"

#include <lading/transport/progress_thread.hpp>

int main() {
  auto sender = lading::endpoint::create(std::make_unique<socket_driver>());
  auto receiver = lading::endpoint::create(std::make_unique<socket_driver>());
  if (!sender || !receiver) return std::puts((!sender ? sender : receiver).error().message().c_str()), 1;
  const lading::region source = sender->allocate_region(4096).value(), target = receiver->allocate_region(4096).value();
  const lading::progress_thread serving(*receiver);  // the target's side of a transport that is not one-sided

  const lading::peer_id peer = sender->connect(receiver->address().value()).value();
  const auto imported = sender->import_region(peer, receiver->export_region(target).value()).value();
  constexpr char text[] = "shipped over a transport of one's own";
  std::memcpy(source.data(), text, sizeof text);
  const lading::slice moved{source.id(), imported, 0, 100, sizeof text};
  const lading::completion how = sender->submit(peer, lading::op::put, std::span(&moved, 1), {.notify_tag = 7, .notify = true}).value().wait();
  lading::notification arrived;
  const bool told = receiver->next_notification(arrived) && arrived.tag == 7;
  if (!how.ok()) return std::puts(how.status.error().message().c_str()), 1;
  const bool same = std::memcmp(target.data() + 100, text, sizeof text) == 0;
  std::printf("%s: %s, %llu bytes, %s\n", std::string(sender->name()).c_str(), same ? text : "other bytes arrived",
              static_cast<unsigned long long>(how.bytes), told ? "announced" : "not announced");
  return same && told ? 0 : 1;
}
