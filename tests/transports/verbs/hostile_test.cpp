// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Peers that speak to the hardware by hand: they ask for what they must not have, say what makes no sense, and go without a word. Each refusal has a
// control that is served.

#include <lading/transport/progress_thread.hpp>

#include "rig.hpp"

namespace {
using namespace lading;
using lading::detail::verbs_address;
using lading::detail::verbs_greeting;
using lading::detail::verbs_key;
using lading::detail::verbs_kind;
using lading::detail::verbs_message;

/// A queue pair with one registered buffer.
struct bare_side {
  static constexpr std::size_t size = 4096;

  bool open(lading::detail::verbs_id made) {
    id = std::move(made);
    domain.reset(ibv_alloc_pd(id->verbs));
    if (domain == nullptr) return false;
    registration.reset(
        ibv_reg_mr(domain.get(), bytes.data(), size, int{IBV_ACCESS_LOCAL_WRITE} | int{IBV_ACCESS_REMOTE_WRITE} | int{IBV_ACCESS_REMOTE_READ}));
    queue.reset(ibv_create_cq(id->verbs, 64, nullptr, nullptr, 0));
    ibv_qp_init_attr wanted{};
    wanted.send_cq = wanted.recv_cq = queue.get();
    wanted.qp_type = IBV_QPT_RC;
    wanted.cap = {.max_send_wr = 32, .max_recv_wr = 16, .max_send_sge = 1, .max_recv_sge = 1, .max_inline_data = 0};
    if (registration == nullptr || queue == nullptr || rdma_create_qp(id.get(), domain.get(), &wanted) != 0) return false;
    for (int i = 0; i < 16; ++i) {
      ibv_sge part{address() + 2048, 64, registration->lkey};
      ibv_recv_wr receive{}, *bad = nullptr;
      receive.wr_id = 1000;
      receive.sg_list = &part;
      receive.num_sge = 1;
      if (ibv_post_recv(id->qp, &receive, &bad) != 0) return false;
    }
    return true;
  }
  ~bare_side() { close_queues(); }
  /// Without a word to the other side.
  void close_queues() {
    if (id != nullptr && id->qp != nullptr) rdma_destroy_qp(id.get());
  }
  // Safety: the hardware takes addresses as numbers.
  [[nodiscard]] std::uint64_t address() const { return reinterpret_cast<std::uintptr_t>(bytes.data()); }

  /// Posts one request and waits for what becomes of it.
  ibv_wc_status run(ibv_wr_opcode what, std::uint64_t remote, std::uint32_t rkey, std::uint32_t length) {
    ibv_sge part{address(), length, registration->lkey};
    ibv_send_wr wanted{}, *bad = nullptr;
    wanted.sg_list = &part;
    wanted.num_sge = length != 0;
    wanted.opcode = what;
    wanted.send_flags = IBV_SEND_SIGNALED;
    wanted.wr.rdma.remote_addr = remote;
    wanted.wr.rdma.rkey = rkey;
    EXPECT_EQ(ibv_post_send(id->qp, &wanted, &bad), 0);
    ibv_wc over{};
    for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20); std::chrono::steady_clock::now() < until;) {
      if (ibv_poll_cq(queue.get(), 1, &over) == 1 && over.wr_id == 0) return over.status;
    }
    ADD_FAILURE() << "the request never ended";
    return IBV_WC_GENERAL_ERR;
  }
  ibv_wc_status say(bytes_view message) {
    std::memcpy(bytes.data(), message.data(), message.size());
    return run(IBV_WR_SEND, 0, 0, static_cast<std::uint32_t>(message.size()));
  }

  alignas(64) std::array<std::byte, size> bytes{};
  lading::detail::verbs_id id;
  lading::detail::verbs_domain domain;
  lading::detail::verbs_registration registration;
  lading::detail::verbs_queue queue;
};

rdma_conn_param parameters(const verbs_greeting::raw& greeting) {
  rdma_conn_param all{};
  all.private_data = greeting.data();
  all.private_data_len = static_cast<std::uint8_t>(greeting.size());
  all.responder_resources = all.initiator_depth = 1;
  all.retry_count = 3;
  return all;
}

/// Connects to an endpoint by hand, saying hello with these bytes.
std::unique_ptr<bare_side> dial(bytes_view address, const verbs_greeting::raw& greeting) {
  sockaddr_storage to = verbs_address::load(decode_address(address).value().native).value().socket_address();
  rdma_cm_id* raw = nullptr;
  if (rdma_create_id(nullptr, &raw, nullptr, RDMA_PS_TCP) != 0) return nullptr;
  lading::detail::verbs_id id(raw);
  auto side = std::make_unique<bare_side>();
  // Safety: a sockaddr_storage is made to be passed as any sockaddr.
  if (rdma_resolve_addr(raw, nullptr, reinterpret_cast<sockaddr*>(&to), 2000) != 0 || rdma_resolve_route(raw, 2000) != 0) return nullptr;
  rdma_conn_param all = parameters(greeting);
  if (!side->open(std::move(id)) || rdma_connect(raw, &all) != 0) return nullptr;
  return side;
}

class verbs_hostile : public verbs_test::on_device {
 protected:
  static constexpr std::size_t size = std::size_t{1} << 16;

  void SetUp() override {
    on_device::SetUp();
    if (IsSkipped()) return;
    target.emplace(verbs::create().value());
    here = target->register_region(memory.bytes()).value();
    key = exported();
    driving.emplace(*target);
  }
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_TRUE(memory.intact());
    EXPECT_TRUE(untouched());
    // The target is alive, and serves who asks rightly.
    if (!here) here = target->register_region(memory.bytes()).value();
    key = exported();
    const auto control = friendly();
    ASSERT_NE(control, nullptr);
    control->bytes.fill(std::byte{7});
    EXPECT_EQ(control->run(IBV_WR_RDMA_WRITE, key.base + 11, key.rkey, 100), IBV_WC_SUCCESS);
    EXPECT_TRUE(std::all_of(memory.bytes().begin() + 11, memory.bytes().begin() + 111, [](std::byte one) { return one == std::byte{7}; }));
  }
  [[nodiscard]] verbs_key exported() {
    const auto descriptor = target->export_region(here).value();
    const auto described = decode_descriptor(descriptor).value();
    return verbs_key::load(described.key, described.size).value();
  }
  [[nodiscard]] verbs_greeting greeting() const { return {.process = 1, .endpoint = 2, .wanted = target->identity().endpoint}; }
  [[nodiscard]] std::unique_ptr<bare_side> friendly() const { return dial(target->address().value(), greeting().store()); }
  bool untouched() {
    const bytes_span all = memory.bytes();
    return std::all_of(all.begin(), all.end(), [](std::byte one) { return one == std::byte{0}; });
  }
  /// Both directions of one access are refused, each over a connection of its own, and the target notices.
  void refused(std::uint64_t address, std::uint32_t rkey, std::uint32_t length) {
    for (const ibv_wr_opcode what : {IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ}) {
      const auto before = target->refusals().count;
      const auto peer = friendly();
      ASSERT_NE(peer, nullptr);
      peer->bytes.fill(std::byte{0x66});
      EXPECT_EQ(peer->run(what, address, rkey, length), IBV_WC_REM_ACCESS_ERR);
      EXPECT_TRUE(untouched());
      EXPECT_EQ(peer->bytes[0], std::byte{0x66});
      for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
           target->refusals().count == before && std::chrono::steady_clock::now() < until;)
        std::this_thread::yield();
      EXPECT_EQ(target->refusals().count, before + 1);
      ASSERT_FALSE(target->refusals().last.has_value());
      EXPECT_EQ(target->refusals().last.error(), errc::not_registered);
    }
  }

  conformance::guarded_memory memory{size};
  std::optional<verbs> target;
  region here;
  verbs_key key;
  std::optional<progress_thread<verbs>> driving;
};

TEST_F(verbs_hostile, beside_the_registered_range) {
  refused(key.base + size - 8, key.rkey, 9);
  refused(key.base + size, key.rkey, 1);
  refused(key.base - 1, key.rkey, 8);
  refused(key.base + size + (1 << 20), key.rkey, 8);
  refused(~std::uint64_t{0} - 3, key.rkey, 8);
}

TEST_F(verbs_hostile, unregistered_addresses) {
  refused(0x10, key.rkey, 8);
  // Safety: what a peer might guess: the memory's address in its process.
  refused(reinterpret_cast<std::uintptr_t>(memory.bytes().data()), key.rkey, 8);
  refused(key.base, key.rkey ^ 1u, 8);
  refused(key.base, key.rkey + 0x100u, 8);
  refused(key.base, 0, 8);
  refused(key.base, ~0u, 8);
}

TEST_F(verbs_hostile, after_deregistration) {
  const auto peer = friendly();
  ASSERT_NE(peer, nullptr);
  EXPECT_EQ(peer->run(IBV_WR_RDMA_READ, key.base, key.rkey, 64), IBV_WC_SUCCESS) << "the control";
  ASSERT_TRUE(here.deregister().has_value());
  refused(key.base, key.rkey, 64);
}

TEST_F(verbs_hostile, messages_of_no_sense) {
  verbs_message::raw good;
  verbs_message{.kind = verbs_kind::pong}.store(good);
  {
    const auto peer = friendly();
    ASSERT_NE(peer, nullptr);
    EXPECT_EQ(peer->say(good), IBV_WC_SUCCESS);
    for (std::size_t cut = 0; cut < good.size(); cut += 5) EXPECT_EQ(peer->say(bytes_view(good).first(cut)), IBV_WC_SUCCESS);
    for (std::size_t bit = 0; bit < 64; bit += 3) {
      auto changed = good;
      changed[bit / 8] ^= std::byte{static_cast<unsigned char>(1u << (bit % 8))};
      EXPECT_EQ(peer->say(changed), IBV_WC_SUCCESS);
    }
    for (const std::uint64_t request : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
      verbs_message{.kind = verbs_kind::answer, .request = request}.store(good);
      EXPECT_EQ(peer->say(good), IBV_WC_SUCCESS);
    }
  }
  const auto peer = friendly();
  ASSERT_NE(peer, nullptr);
  const std::vector<std::byte> long_one(3000, std::byte{0xee});
  EXPECT_NE(peer->say(long_one), IBV_WC_SUCCESS) << "no buffer takes a message of that size";
}

TEST_F(verbs_hostile, notifications_without_end_are_bounded) {
  driving.reset();
  target.reset();
  here = region{};
  target.emplace(verbs::create({.endpoint = {.max_notifications = 4}}).value());
  driving.emplace(*target);
  const auto peer = friendly();
  ASSERT_NE(peer, nullptr);
  verbs_message::raw raw;
  std::size_t taken = 0;
  for (std::uint64_t i = 1; i <= 200; ++i) {
    verbs_message{.kind = verbs_kind::notify, .request = i, .value = i}.store(raw);
    if (peer->say(raw) != IBV_WC_SUCCESS) break;
    ++taken;
  }
  EXPECT_GT(target->refusals().count, 0u) << taken << " were taken";
  std::size_t arrived = 0;
  for (int quiet = 0; quiet < 1000; ++quiet) {
    for (notification one; target->next_notification(one); quiet = 0) ++arrived;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  EXPECT_LE(arrived, 24u) << "more waited than one connection may have";
  EXPECT_GE(arrived, 4u);
}

TEST_F(verbs_hostile, strangers_are_turned_away) {
  const auto address = target->address().value();
  for (std::size_t bit = 0; bit < 64; bit += 7) {  // magic, version, reserved
    auto changed = greeting().store();
    changed[bit / 8] ^= std::byte{static_cast<unsigned char>(1u << (bit % 8))};
    EXPECT_EQ(dial(address, changed), nullptr) << bit;
  }
  auto other = greeting();
  other.wanted ^= 1;
  EXPECT_EQ(dial(address, other.store()), nullptr) << "another endpoint was asked for";
  EXPECT_NE(dial(address, greeting().store()), nullptr);
}

/// One that listens by hand, and whose region is described by hand.
struct bare_listener {
  bool open(const verbs& like) {
    verbs_address where = verbs_address::load(decode_address(like.address().value()).value().native).value();
    where.port = 0;
    sockaddr_storage own = where.socket_address();
    rdma_cm_id* raw = nullptr;
    if (rdma_create_id(nullptr, &raw, nullptr, RDMA_PS_TCP) != 0) return false;
    listener.reset(raw);
    // Safety: a sockaddr_storage is made to be passed as any sockaddr.
    if (rdma_bind_addr(raw, reinterpret_cast<sockaddr*>(&own)) != 0 || rdma_listen(raw, 4) != 0) return false;
    where.port = ntohs(rdma_get_src_port(raw));
    const auto native = where.store();
    address = encode_address({.transport = transport_tag("verbs"), .identity = {.process = 5, .endpoint = number}, .native = native});
    return true;
  }
  /// Takes one connection, answering with this greeting.
  bool accept(const verbs_greeting& greeting) {
    rdma_cm_id* asking = nullptr;
    if (rdma_get_request(listener.get(), &asking) != 0 || !side.open(lading::detail::verbs_id(asking))) return false;
    const auto raw = greeting.store();
    rdma_conn_param all = parameters(raw);
    return rdma_accept(asking, &all) == 0;
  }
  [[nodiscard]] std::vector<std::byte> descriptor(std::uint64_t claimed) const {
    const auto raw = verbs_key{.base = side.address(), .rkey = side.registration->rkey}.store();
    return encode_descriptor(
        {.transport = transport_tag("verbs"), .endpoint = number, .generation = 1, .size = claimed, .id = region_id{1}, .key = raw});
  }

  static constexpr std::uint64_t number = 77;
  lading::detail::verbs_id listener;
  bare_side side;
  std::vector<std::byte> address;
};

TEST_F(verbs_hostile, a_listener_that_is_someone_else) {
  bare_listener liar;
  ASSERT_TRUE(liar.open(*target));
  std::thread accepting([&] { EXPECT_TRUE(liar.accept({.process = 5, .endpoint = 78, .wanted = 1})); });
  auto near = verbs::create().value();
  const auto peer = near.connect(liar.address);
  accepting.join();
  ASSERT_FALSE(peer.has_value());
  EXPECT_EQ(peer.error(), errc::peer_lost);
}

TEST_F(verbs_hostile, a_peer_that_goes_without_a_word_is_lost_by_the_hardwares_timeout) {
  bare_listener far;
  ASSERT_TRUE(far.open(*target));
  std::thread accepting([&] { EXPECT_TRUE(far.accept({.process = 5, .endpoint = far.number, .wanted = 1})); });
  auto near = verbs::create({.ack_timeout = 12, .retry_count = 3}).value();
  const auto peer = near.connect(far.address);
  accepting.join();
  ASSERT_TRUE(peer.has_value()) << peer.error().message();
  const region local = near.allocate_region(4096).value();
  conformance::fill(local.bytes(), 3);
  const auto there = near.import_region(*peer, far.descriptor(1024)).value();
  const slice each{local.id(), there, 0, 0, 1024};
  ASSERT_TRUE(near.submit(*peer, op::put, std::span(&each, 1)).value().wait().ok()) << "the control";
  EXPECT_TRUE(conformance::same(local.bytes().first(1024), bytes_view(far.side.bytes).first(1024)));
  far.side.close_queues();
  std::vector<transfer> running;
  for (int i = 0; i < 100; ++i) running.push_back(near.submit(*peer, i % 2 == 0 ? op::put : op::get, std::span(&each, 1)).value());
  const auto begin = std::chrono::steady_clock::now();
  for (transfer& one : running) {
    ASSERT_TRUE(one.wait_for(std::chrono::seconds(20))) << "a transfer never ended";
    ASSERT_FALSE(one.how().ok());
    EXPECT_EQ(name_of(one.how().status.error().code()), "peer_lost");
    EXPECT_EQ(one.how().status.error().native(), IBV_WC_RETRY_EXC_ERR);
    EXPECT_FALSE(one.how().quarantined);
  }
  std::printf("figure: silent peer -> every transfer peer_lost (ack_timeout 12, retry_count 3): %.0f ms\n",
              std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
}

TEST_F(verbs_hostile, a_false_descriptor_costs_its_own_slices_only) {
  driving.reset();  // the suite's pair drives both
  conformance::connected_pair pair(conformance::any_rig::of<verbs_test::rig>(), size);
  conformance::fill(pair.near_memory.bytes(), 9);
  const auto honest = pair.far->export_region(pair.far_region).value();
  auto described = decode_descriptor(honest).value();
  described.size = 2 * size;  // and a checksum to match
  const auto longer = pair.near->import_region(pair.to_far, encode_descriptor(described)).value();
  std::vector<slice> slices;
  for (std::size_t i = 0; i < 400; ++i) slices.push_back(pair.one(i * 64, i * 64, 64));
  for (const std::size_t bad : {std::size_t{0}, std::size_t{77}, std::size_t{130}, std::size_t{399}})
    slices[bad].remote = longer, slices[bad].remote_offset = size;
  for (const op direction : {op::put, op::get}) {
    transfer beside = pair.near->submit(pair.to_far, direction, std::span(slices).subspan(1, 50)).value();
    transfer running = pair.near->submit(pair.to_far, direction, slices).value();
    const completion how = pair.finish(running);
    EXPECT_TRUE(pair.finish(beside).ok());
    ASSERT_FALSE(how.ok());
    EXPECT_EQ(name_of(how.status.error().code()), "not_registered");
    EXPECT_EQ(how.status.error().native(), IBV_WC_REM_ACCESS_ERR);
    EXPECT_EQ(how.failed, 4u);
    EXPECT_EQ(how.done, 396u);
    EXPECT_EQ(how.first_failed, 0u);
    EXPECT_EQ(how.bytes, 396u * 64);
    for (std::size_t i = 0; i < slices.size(); ++i) {
      const bool good = i != 0 && i != 77 && i != 130 && i != 399;
      EXPECT_EQ(running.succeeded(i), good) << i;
      if (good) {
        EXPECT_TRUE(conformance::same(pair.near_memory.bytes().subspan(i * 64, 64), pair.far_memory.bytes().subspan(i * 64, 64))) << i;
      }
    }
  }
  driving.emplace(*target);
}

TEST_F(verbs_hostile, a_batch_that_is_refused_takes_one_connection) {
  auto near = verbs::create().value();
  const peer_id to = near.connect(target->address().value()).value();
  const region local = near.allocate_region(size).value();  // of zeros, as the target's: what is put changes nothing
  const auto descriptor = target->export_region(here).value();
  const auto there = near.import_region(to, descriptor).value();
  auto described = decode_descriptor(descriptor).value();
  described.size = 2 * size;
  for (const op direction : {op::put, op::get}) {
    const auto longer = near.import_region(to, encode_descriptor(described)).value();
    std::vector<slice> slices;
    for (std::size_t i = 0; i < 600; ++i) slices.push_back({local.id(), i % 3 == 0 ? there : longer, i * 64, i % 3 == 0 ? i * 64 : size + i, 64});
    const auto before = target->refusals().count;
    transfer running = near.submit(to, direction, slices).value();
    const completion how = running.wait();
    ASSERT_FALSE(how.ok());
    EXPECT_EQ(name_of(how.status.error().code()), "not_registered");
    EXPECT_EQ(how.failed, 400u);
    EXPECT_EQ(how.done, 200u);
    EXPECT_EQ(how.bytes, 200u * 64);
    for (std::size_t i = 0; i < slices.size(); ++i) EXPECT_EQ(running.succeeded(i), i % 3 == 0) << i;
    // The next batch need not ask.
    EXPECT_EQ(near.submit(to, direction, std::span(slices).subspan(1, 2)).value().wait().status.error(), errc::not_registered);
    EXPECT_TRUE(near.submit(to, direction, std::span(slices).first(1)).value().wait().ok());
    for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
         target->refusals().count == before && std::chrono::steady_clock::now() < until;)
      std::this_thread::yield();
    EXPECT_EQ(target->refusals().count, before + 1);
  }
}

}  // namespace
