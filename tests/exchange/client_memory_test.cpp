// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

#include <lading/exchange/detail/client_memory.hpp>

#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include <lading/exchange/submitter.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace client_memory_test {

using memory_type = detail::client_memory<loopback, submitter<loopback>>;
using detail::registered_bytes;

struct client_memories : ::testing::Test {
  /// Bytes of their own, larger than the slab; their owner tells whether they were registered when it went.
  [[nodiscard]] registered_bytes own_bytes() {
    registered_bytes made = memory.room(1 << 16).value();
    EXPECT_NE(made.owner, nullptr);
    EXPECT_FALSE(memory.if_registered(made.bytes).bytes.empty());
    made.owner = std::shared_ptr<void>(made.owner.get(), [this, bytes = made.bytes, kept = made.owner](void*) {
      ++gone;
      still_registered += memory.if_registered(bytes).bytes.empty() ? 0 : 1;
    });
    return made;
  }
  void expect_gone(int count) {
    EXPECT_EQ(gone, count);
    EXPECT_EQ(still_registered, 0);
  }

  loopback transport = loopback::create().value();
  exchange_meter<> meter;
  submitter<loopback> sender = submitter<loopback>::create(transport, meter).value();
  memory_type memory{slab_pool<submitter<loopback>>::create(transport, sender, {.capacity = 4096, .slab_size = 4096}).value(), transport, sender};
  int gone = 0, still_registered = 0;
};

TEST_F(client_memories, what_fits_is_of_the_slab) {
  const registered_bytes made = memory.room(4096).value();
  EXPECT_EQ(made.owner, nullptr);
  EXPECT_EQ(made.lease.size(), 4096u);
}

TEST_F(client_memories, a_registration_ends_before_its_memory_goes) {
  { const registered_bytes dropped = own_bytes(); }
  expect_gone(1);
  registered_bytes replaced = own_bytes();
  replaced = own_bytes();
  expect_gone(2);
  replaced = registered_bytes();
  expect_gone(3);
  std::vector<registered_bytes> several(3);
  for (registered_bytes& each : several) each = own_bytes();
  several.erase(several.begin());
  expect_gone(4);
  several.clear();
  expect_gone(6);
  std::shared_ptr<void> kept = std::make_shared<registered_bytes>(own_bytes());
  kept.reset();
  expect_gone(7);
}

TEST_F(client_memories, the_owner_is_asked_while_it_is_registered) {
  registered_bytes made = own_bytes();
  made.owner.reset();
  EXPECT_EQ(still_registered, 1) << "the control: a wrong order is seen";
}

}  // namespace client_memory_test
}  // namespace lading
