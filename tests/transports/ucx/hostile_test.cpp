// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A peer that speaks the protocol by hand, and asks for what it must not have. Each refusal has a control that is served.

#include <ucs/config/global_opts.h>

#include "raw_peer.hpp"

namespace hostile_test {
using namespace lading;
using lading::detail::ucx_greeting;
using lading::detail::ucx_head;
using lading::detail::ucx_kind;
using lading::detail::ucx_record;

using ucx_test::raw_peer;

template <class Lanes>
class ucx_hostile : public ucx_test::on_lanes<Lanes> {
 protected:
  static constexpr std::size_t size = std::size_t{1} << 18;

  void SetUp() override {
    ucx_test::on_lanes<Lanes>::SetUp();
    if (this->IsSkipped()) return;
    ucs_global_opts_set_value("LOG_LEVEL", "fatal");
    target.emplace(ucx_test::make<Lanes>().value());
    here = target->register_region(memory.bytes()).value();
    described = target->export_region(here).value();
    const auto seen = decode_descriptor(described).value();
    good = {.kind = ucx_kind::put, .count = 1, .request = 5, .region = static_cast<std::uint32_t>(seen.id), .generation = seen.generation};
    peer.emplace(Lanes::lanes, target->address().value(), [this] { target->progress(); });
  }
  void TearDown() override {
    if (this->IsSkipped()) return;
    EXPECT_TRUE(memory.intact());
    EXPECT_TRUE(untouched());
    // The target is alive, and serves who asks rightly.
    const std::vector<std::byte> bytes(100, std::byte{7});
    if (!here) here = target->register_region(memory.bytes()).value();
    const auto seen = decode_descriptor(target->export_region(here).value()).value();
    ucx_head control = good;
    control.region = static_cast<std::uint32_t>(seen.id);
    control.generation = seen.generation;
    control.offset = 11;
    control.size = 100;
    EXPECT_EQ(peer->ask(control, bytes), errc{});
    EXPECT_TRUE(conformance::same(memory.bytes().subspan(11, 100), bytes));
    peer.reset();
  }
  bool untouched() {
    const bytes_span all = memory.bytes();
    return std::all_of(all.begin(), all.end(), [](std::byte one) { return one == std::byte{0}; });
  }
  /// Refused over there, and counted here.
  void refused(const ucx_head& head, std::size_t bytes, errc code) {
    const auto before = target->refusals().count;
    const std::vector<std::byte> payload(bytes, std::byte{0x66});
    EXPECT_EQ(name_of(peer->ask(head, payload)), name_of(code));
    EXPECT_EQ(target->refusals().count, before + 1);
    ASSERT_FALSE(target->refusals().last.has_value());
    EXPECT_EQ(name_of(target->refusals().last.error().code()), name_of(code));
    EXPECT_TRUE(untouched());
  }
  [[nodiscard]] ucx_head with(std::uint64_t offset, std::uint64_t bytes) const {
    ucx_head head = good;
    head.offset = offset;
    head.size = bytes;
    return head;
  }

  conformance::guarded_memory memory{size};
  std::optional<ucx> target;
  region here;
  std::vector<std::byte> described;
  ucx_head good;
  std::optional<raw_peer> peer;
};
using all_lanes = testing::Types<ucx_test::tcp, ucx_test::shared_memory>;
TYPED_TEST_SUITE(ucx_hostile, all_lanes);

TYPED_TEST(ucx_hostile, puts_outside_the_region) {
  constexpr std::uint64_t top = ~std::uint64_t{0};
  for (const std::size_t bytes : {std::size_t{16}, std::size_t{100'000}}) {  // eager, rendezvous
    for (const std::uint64_t offset :
         {this->size - bytes + 1, this->size, std::uint64_t{this->size} + 1, top - bytes + 1, top, top / 2 + 1, std::uint64_t{0x10} - top}) {
      if (offset <= this->size - bytes) continue;
      this->refused(this->with(offset, bytes), bytes, errc::out_of_range);
    }
  }
}

TYPED_TEST(ucx_hostile, regions_that_are_not_there) {
  for (const std::size_t bytes : {std::size_t{16}, std::size_t{100'000}}) {
    for (const std::uint32_t region : {0u, 1u, 0xffffffffu, this->good.region + 1, this->good.region ^ 0x80000000u}) {
      ucx_head head = this->with(0, bytes);
      head.region = region;
      if (region == this->good.region) continue;
      this->refused(head, bytes, errc::not_registered);
    }
    ucx_head stale = this->with(0, bytes);
    stale.generation += 1;
    this->refused(stale, bytes, errc::not_registered);
  }
  ASSERT_TRUE(this->here.deregister().has_value());
  this->refused(this->with(0, 16), 16, errc::not_registered);
  this->refused(this->with(0, 100'000), 100'000, errc::not_registered);
  ucx_head get = this->with(0, 16);
  get.kind = ucx_kind::get;
  this->refused(get, 0, errc::not_registered);
}

TYPED_TEST(ucx_hostile, lengths_that_contradict_each_other) {
  this->refused(this->with(0, 17), 16, errc::bad_header);
  this->refused(this->with(0, 99'999), 100'000, errc::bad_header);
  this->refused(this->with(0, ~std::uint64_t{0}), 16, errc::bad_header);
  ucx_head many = this->with(0, 16);
  many.kind = ucx_kind::put_many;
  for (const std::uint32_t count : {1u, 2u, 0x08000000u, 0xffffffffu}) {
    many.count = count;
    this->refused(many, 16, errc::bad_header);
  }
  many.count = 1;
  this->refused(many, 64, errc::bad_header);  // a record whose size is nonsense
  ucx_head get = this->with(0, 64);
  get.kind = ucx_kind::get_many;
  this->refused(get, 31, errc::bad_header);
  get.size = ~std::uint64_t{0};
  this->refused(get, 32, errc::bad_header);
  ucx_head outside = this->with(this->size - 1, 4096);
  outside.kind = ucx_kind::get;
  this->refused(outside, 0, errc::out_of_range);
}

TYPED_TEST(ucx_hostile, records_are_checked_one_by_one) {
  std::vector<std::byte> payload(3 * ucx_record::wire_size + 3 * 8, std::byte{0x55});
  const auto put_record = [&](std::size_t index, std::uint64_t offset) {
    ucx_record{this->good.region, this->good.generation, offset, 8}.store(payload.data() + index * ucx_record::wire_size);
  };
  put_record(0, 0);
  put_record(1, this->size - 7);
  put_record(2, 64);
  ucx_head many = this->with(0, 24);
  many.kind = ucx_kind::put_many;
  many.count = 3;
  this->peer->send(many, payload);
  const auto came = this->peer->next();
  ASSERT_EQ(came.head.kind, ucx_kind::answer);
  ASSERT_EQ(came.payload.size(), 6u);
  EXPECT_EQ(came.payload[0], std::byte{0});
  EXPECT_EQ(static_cast<errc>(lading::detail::load_little<std::uint16_t>(came.payload.data() + 2)), errc::out_of_range);
  EXPECT_EQ(came.payload[4], std::byte{0});
  EXPECT_EQ(this->memory.bytes()[7], std::byte{0x55});
  EXPECT_EQ(this->memory.bytes()[71], std::byte{0x55});
  EXPECT_EQ(this->memory.bytes()[this->size - 1], std::byte{0});
  std::memset(this->memory.bytes().data(), 0, this->size);
}

TYPED_TEST(ucx_hostile, records_of_another_generation_are_refused_beside_good_ones) {
  constexpr std::size_t each = 8, count = 3;
  const ucx_record good{this->good.region, this->good.generation, 0, each};
  ucx_record stale = good;
  stale.generation += 1;
  for (const bool put : {true, false}) {
    std::vector<std::byte> payload(count * ucx_record::wire_size + (put ? count * each : 0), std::byte{0x55});
    good.store(payload.data());
    stale.store(payload.data() + ucx_record::wire_size);  // of the region that has just been looked up
    good.store(payload.data() + 2 * ucx_record::wire_size);
    ucx_head many = this->with(0, count * each);
    many.kind = put ? ucx_kind::put_many : ucx_kind::get_many;
    many.count = count;
    this->peer->send(many, payload);
    const auto came = this->peer->next();
    ASSERT_EQ(came.head.kind, ucx_kind::answer);
    ASSERT_EQ(came.payload.size(), 2 * count + (put ? 0 : count * each));
    for (std::size_t i = 0; i < count; ++i) {
      const auto code = static_cast<errc>(lading::detail::load_little<std::uint16_t>(came.payload.data() + 2 * i));
      EXPECT_EQ(name_of(code), name_of(i == 1 ? errc::not_registered : errc{})) << i;
    }
  }
  std::memset(this->memory.bytes().data(), 0, this->size);
}

TYPED_TEST(ucx_hostile, messages_of_no_sense_are_dropped) {
  const std::vector<std::byte> junk(500, std::byte{0xee});
  for (std::size_t cut = 0; cut < ucx_head::wire_size; cut += 5) this->peer->send(this->with(0, 16), junk, cut);
  for (int bit = 0; bit < 8; ++bit) this->peer->send(this->with(0, 16), junk, ucx_head::wire_size, static_cast<unsigned char>(1 << bit));
  for (const ucx_kind kind : {ucx_kind::answer, ucx_kind::data, ucx_kind::welcome, ucx_kind::pong, ucx_kind::hello, ucx_kind::detach}) {
    for (const std::uint64_t request : {std::uint64_t{1}, std::uint64_t{0x10000}, ~std::uint64_t{0}}) {
      ucx_head head = this->with(0, 500);
      head.kind = kind;
      head.request = kind == ucx_kind::hello ? 0 : request;  // a hello that names itself would be another wire's
      this->peer->send(head, junk);
    }
  }
  ucx_head astray = this->with(0, 16);
  astray.wire = 12345;
  this->peer->send(astray, bytes_view(junk).first(16));
  EXPECT_EQ(this->peer->next(std::chrono::milliseconds(50)).head.kind, ucx_kind::hello) << "something was answered";
}

TYPED_TEST(ucx_hostile, answers_to_many_requests) {
  // What ended well in one round is told at once.
  const std::vector<std::byte> bytes(16, std::byte{0x55});
  std::vector<std::uint64_t> asked, answered;
  for (std::uint64_t i = 0; i < 70; ++i) {
    ucx_head head = this->with(16 * i, 16);
    head.request = 1000 + i;
    asked.push_back(head.request);
    this->peer->send(head, bytes);
  }
  while (answered.size() < asked.size()) {
    const auto came = this->peer->next();
    ASSERT_EQ(came.head.kind, ucx_kind::answer);
    ASSERT_EQ(came.head.size, 0u);
    ASSERT_EQ(came.payload.size(), came.head.count * sizeof(std::uint64_t));
    if (came.head.count == 0) answered.push_back(came.head.request);
    for (std::size_t i = 0; i < came.head.count; ++i) answered.push_back(lading::detail::load_little<std::uint64_t>(came.payload.data() + 8 * i));
  }
  std::sort(answered.begin(), answered.end());
  EXPECT_EQ(answered, asked);
  std::memset(this->memory.bytes().data(), 0, this->size);
  // Such an answer to what was never asked is dropped.
  std::vector<std::byte> ids(24);
  lading::detail::store_little(ids.data() + 8, std::uint64_t{0x10000});
  ucx_head many = this->with(0, 0);
  many.kind = ucx_kind::answer;
  many.count = 3;
  this->peer->send(many, ids);
  EXPECT_EQ(name_of(this->peer->ask(this->with(0, 16), bytes)), name_of(errc{})) << "the control";
  std::memset(this->memory.bytes().data(), 0, this->size);
}

TYPED_TEST(ucx_hostile, hellos_whose_answers_nobody_takes) {
  std::size_t answers = 0;
  const auto count = [](void* all, const void*, std::size_t, void*, std::size_t, const ucp_am_recv_param_t*) {
    ++*static_cast<std::size_t*>(all);
    return UCS_OK;
  };
  lading::detail::ucx_worker silent;
  ASSERT_TRUE(silent.open({TypeParam::lanes, {}, {}}, count, &answers).has_value());
  const auto address = silent.address().value();
  std::vector<std::byte> hello(ucx_greeting::wire_size + address.size());
  ucx_greeting{.process = 1, .endpoint = 3, .wanted = decode_address(this->target->address().value()).value().identity.endpoint}.store(hello.data());
  std::memcpy(hello.data() + ucx_greeting::wire_size, address.data(), address.size());
  constexpr std::size_t hellos = lading::detail::ucx_max_outstanding + 300;
  for (std::size_t i = 0; i < hellos; ++i) {
    this->peer->send({.kind = ucx_kind::hello, .request = 78}, hello);
    this->target->progress();
  }
  EXPECT_EQ(name_of(this->peer->ask(this->with(0, 0))), name_of(errc{})) << "all hellos have come before it";
  const auto refusals = this->target->refusals();
  ASSERT_GT(refusals.count, 0u);
  EXPECT_EQ(name_of(refusals.last.error().code()), "limit_exceeded");
  // The others are answered once somebody listens.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (answers + refusals.count < hellos && std::chrono::steady_clock::now() < until) silent.progress(), this->target->progress();
  EXPECT_EQ(answers + refusals.count, hellos);
}

TYPED_TEST(ucx_hostile, a_refused_slice_of_a_packed_batch_fails_alone) {
  const auto messages = [](ucx_options& all) { all.share_regions = false; };
  auto near = ucx_test::make<TypeParam>({}, messages).value();
  const peer_id to = conformance::connect(near, *this->target);
  const region source = near.allocate_region(4096).value();
  std::vector<std::byte> elsewhere(4096);
  region gone = this->target->register_region(elsewhere).value();
  const auto good_one = near.import_region(to, this->described).value();
  const auto bad_one = near.import_region(to, this->target->export_region(gone).value()).value();
  ASSERT_TRUE(gone.deregister().has_value());
  std::vector<slice> slices;
  for (std::uint64_t i = 0; i < 10; ++i) slices.push_back({source.id(), i == 7 ? bad_one : good_one, i * 16, i * 16, 16});
  for (const op direction : {op::put, op::get}) {
    const auto before = this->target->refusals().count;
    std::memset(source.data(), direction == op::put ? 0x77 : 0x11, source.size());
    const transfer running = near.submit(to, direction, slices).value();
    while (!running.ready()) near.progress(), this->target->progress();
    const completion how = running.how();
    ASSERT_FALSE(how.ok());
    EXPECT_EQ(name_of(how.status.error().code()), "not_registered");
    EXPECT_EQ(how.done, 9u);
    EXPECT_EQ(how.failed, 1u);
    EXPECT_EQ(how.first_failed, 7u);
    EXPECT_EQ(how.bytes, 9u * 16);
    EXPECT_EQ(this->target->refusals().count, before + 1);
    const bytes_view there = direction == op::put ? bytes_view(this->memory.bytes()) : source.bytes();
    const std::byte old = direction == op::put ? std::byte{0} : std::byte{0x11};
    for (std::size_t i = 0; i < 160; ++i) EXPECT_EQ(there[i], i / 16 == 7 ? old : std::byte{0x77}) << i;
  }
  std::memset(this->memory.bytes().data(), 0, this->size);
}

/// Descriptors that their owner never made, sent to an honest sender: what they claim is refused where the memory is, and both sides learn why.
TYPED_TEST(ucx_hostile, descriptors_that_claim_more) {
  for (const bool shared : {false, true}) {
    auto near = ucx_test::make<TypeParam>().value();
    const peer_id to = conformance::connect(near, *this->target);
    const region source = near.allocate_region(2 * this->size).value();
    std::memset(source.data(), 0x33, source.size());
    const region allocated = this->target->allocate_region(this->size).value();
    const auto exported = this->target->export_region(shared ? allocated : this->here).value();
    const region_descriptor honest = decode_descriptor(exported).value();
    const auto put = [&](const region_descriptor& forged, std::uint64_t offset, std::uint64_t bytes) {
      const auto there = near.import_region(to, encode_descriptor(forged)).value();
      const slice each{source.id(), there, 0, offset, bytes};
      transfer running = near.submit(to, op::put, std::span(&each, 1)).value();
      while (!running.ready()) near.progress(), this->target->progress();
      return running.how().ok() ? errc{} : running.how().status.error().code();
    };
    const auto before = this->target->refusals().count;
    region_descriptor larger = honest, older = honest, other = honest;
    larger.size = 2 * this->size;
    older.generation += 1;
    other.id = region_id{static_cast<std::uint32_t>(honest.id) + 1000};
    std::vector<std::byte> key(honest.key.begin(), honest.key.end());
    if (!key.empty()) key[0] ^= std::byte{1};
    older.key = other.key = key;
    EXPECT_EQ(name_of(put(larger, this->size - 8, 16)), "out_of_range");
    EXPECT_EQ(name_of(put(larger, this->size, 100'000)), "out_of_range");
    EXPECT_EQ(name_of(put(older, 0, 16)), "not_registered");
    EXPECT_EQ(name_of(put(other, 0, 16)), "not_registered");
    EXPECT_EQ(this->target->refusals().count, before + 4);
    EXPECT_TRUE(this->untouched());
    EXPECT_TRUE(std::all_of(allocated.bytes().begin(), allocated.bytes().end(), [](std::byte one) { return one == std::byte{0}; }));
    EXPECT_EQ(shared ? put(honest, 0, this->size) : errc{}, errc{});
  }
}

}  // namespace hostile_test
