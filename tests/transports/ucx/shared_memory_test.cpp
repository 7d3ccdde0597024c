// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// What a peer's key may name, and must not make this side map.

#include <lading/transports/ucx/shared_memory.hpp>

#include <gtest/gtest.h>

#include <lading/transports/ucx.hpp>

#if defined(__linux__) && defined(MFD_ALLOW_SEALING)
#include <sys/resource.h>

namespace lading::detail {
namespace shared_memory_test {

constexpr std::uint64_t owner = 42;
constexpr std::size_t size = 10'000;

shared_view open_own(const shared_key& key, std::uint64_t endpoint = owner, std::uint64_t bytes = size) {
  return shared_view::open(static_cast<std::uint64_t>(::getpid()), key, endpoint, bytes);
}

TEST(shared_memory, both_sides_see_the_same_bytes) {
  auto made = shared_memory::create(size, owner).value();
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->bytes().size(), size);
  for (const std::byte each : made->bytes()) ASSERT_EQ(each, std::byte{0});
  shared_view view = open_own(shared_key::decode(made->key().encode()));
  ASSERT_TRUE(view);
  view.data()[size - 1] = std::byte{9};
  EXPECT_EQ(made->bytes()[size - 1], std::byte{9});
  EXPECT_EQ(view.state(), shared_head::condition::live);
  made->revoke(shared_head::condition::closed);
  EXPECT_EQ(view.state(), shared_head::condition::closed);
  made.reset();
  EXPECT_EQ(view.state(), shared_head::condition::deregistered);
  view.data()[0] = std::byte{1};  // late, but nobody's memory is hit
}

TEST(shared_memory, a_key_that_does_not_fit_maps_nothing) {
  const auto made = shared_memory::create(size, owner).value(), other = shared_memory::create(size, owner + 1).value();
  const shared_key good = made->key();
  EXPECT_TRUE(open_own(good));
  shared_key wrong = good;
  wrong.cookie ^= 1;
  EXPECT_FALSE(open_own(wrong));
  wrong.cookie = 0;
  EXPECT_FALSE(open_own(wrong));
  EXPECT_FALSE(open_own(good, owner + 1)) << "another endpoint's";
  EXPECT_FALSE(open_own(other->key())) << "another endpoint's";
  for (const std::uint64_t bytes : {std::uint64_t{size} - 1, std::uint64_t{size} + 1, std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0} - 4096})
    EXPECT_FALSE(open_own(good, owner, bytes)) << bytes;
  EXPECT_FALSE(shared_view::open(1, good, owner, size));
  EXPECT_FALSE(shared_view::open(0, good, owner, size));
  EXPECT_FALSE(shared_view::open(~std::uint64_t{0}, good, owner, size));
  for (const std::uint32_t fd : {0u, 1u, 2u, 99999u, 0xffffffffu, static_cast<std::uint32_t>(good.fd + 1)}) {
    wrong = good;
    wrong.fd = fd;
    EXPECT_FALSE(open_own(wrong)) << fd;
  }
  std::vector<std::byte> bytes = good.encode();
  bytes[13] = std::byte{1};
  EXPECT_EQ(shared_key::decode(bytes).cookie, 0u);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) EXPECT_EQ(shared_key::decode(bytes_view(bytes).first(cut)).cookie, 0u);
}

TEST(shared_memory, memory_that_could_be_cut_short_is_not_mapped) {
  const auto made = shared_memory::create(size, owner).value();
  for (const bool sealed : {false, true}) {
    const int fd = ::memfd_create("lading", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ASSERT_EQ(::ftruncate(fd, static_cast<::off_t>(shared_head::page + size)), 0);
    shared_head forged;
    forged.magic = shared_head::wanted_magic;
    forged.cookie = 77;
    forged.endpoint = owner;
    ASSERT_EQ(::pwrite(fd, static_cast<const void*>(&forged), sizeof forged, 0), static_cast<::ssize_t>(sizeof forged));
    ASSERT_EQ(sealed ? ::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) : 0, 0);
    EXPECT_EQ(static_cast<bool>(open_own({.cookie = 77, .fd = static_cast<std::uint32_t>(fd)})), sealed);
    ::close(fd);
  }
}

TEST(shared_memory, more_than_the_host_has_is_refused) {
  EXPECT_EQ(shared_memory::create(std::size_t{1} << 60, owner).error(), errc::no_memory);
  EXPECT_EQ(shared_memory::create(~std::size_t{0}, owner).error(), errc::no_memory);
  EXPECT_NE(shared_memory::create(1, owner).value(), nullptr);
}

/// Leaves no file descriptor to be had while it lives.
struct no_descriptors {
  no_descriptors() {
    const int next = ::dup(0);
    ::close(next);
    ::getrlimit(RLIMIT_NOFILE, &before);
    ::rlimit none = before;
    none.rlim_cur = static_cast<::rlim_t>(next);
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  no_descriptors(const no_descriptors&) = delete;
  no_descriptors& operator=(const no_descriptors&) = delete;
  ~no_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before); }
  ::rlimit before{};
};

// A region that peers cannot map works, but at a third of the speed: who asked for a shared one is told.
TEST(shared_memory, without_a_descriptor_there_is_no_region) {
  ucx_options options;
  options.lanes = "posix,sysv,self";
  auto made = ucx::create(options);
  if (!made) GTEST_SKIP() << made.error().message();
  if (host_number() == 0) GTEST_SKIP() << "this host's processes cannot be told apart, so that no region is shared";
  ASSERT_TRUE(made->allocate_region(size).has_value()) << "the control";  // also lets sanitizers look at types, for which they need descriptors
  {
    const no_descriptors left;
    const auto refused = made->allocate_region(size);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), errc::no_memory);
    EXPECT_EQ(refused.error().native(), EMFILE);
  }
  const auto allocated = made->allocate_region(size);
  ASSERT_TRUE(allocated.has_value());
  const auto exported = made->export_region(*allocated).value();
  EXPECT_EQ(decode_descriptor(exported)->kind, memory_kind::host_shared);
}

}  // namespace shared_memory_test
}  // namespace lading::detail

#endif
