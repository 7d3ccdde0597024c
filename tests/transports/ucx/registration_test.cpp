// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Registering memory is checked: what is not memory, and what a device refuses.

#if defined(__linux__)

#include <sys/mman.h>

#include "rig.hpp"

namespace registration_test {
using namespace lading;

/// Three pages, of which the middle one can be taken away.
class pages {
 public:
  static constexpr std::size_t size = 4096;
  explicit pages(int protection = PROT_READ | PROT_WRITE)
      // Safety: fresh memory is bytes.
      : base_(static_cast<std::byte*>(::mmap(nullptr, 3 * size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~pages() { ::munmap(base_, 3 * size); }
  pages(const pages&) = delete;
  pages& operator=(const pages&) = delete;
  void make_hole() const { ::munmap(base_ + size, size); }
  [[nodiscard]] bytes_span from(std::size_t offset, std::size_t length) const { return {base_ + offset, length}; }

 private:
  std::byte* base_;
};

template <class Lanes>
class ucx_registrations : public ucx_test::on_lanes<Lanes> {};
using all_lanes = testing::Types<ucx_test::tcp, ucx_test::shared_memory, ucx_test::chosen>;
TYPED_TEST_SUITE(ucx_registrations, all_lanes);

TYPED_TEST(ucx_registrations, of_what_is_not_memory_fail) {
  ucx one = ucx_test::make<TypeParam>().value();
  const pages some;
  EXPECT_TRUE(one.register_region(some.from(0, 3 * pages::size)).has_value());
  EXPECT_TRUE(one.register_region(some.from(100, 2 * pages::size)).has_value());
  some.make_hole();
  for (const bytes_span each : {some.from(0, 3 * pages::size), some.from(0, pages::size + 1), some.from(pages::size, 1),
                                some.from(2 * pages::size - 1, 100), some.from(1, ~std::size_t{0}), some.from(0, ~std::size_t{0} / 2)}) {
    const auto made = one.register_region(each);
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(name_of(made.error().code()), "invalid_argument") << made.error().message();
  }
  EXPECT_TRUE(one.register_region(some.from(0, pages::size)).has_value());
  EXPECT_TRUE(one.register_region(some.from(2 * pages::size + 5, 100)).has_value());
}

TYPED_TEST(ucx_registrations, outlive_their_endpoint) {
  const pages some;
  std::optional<ucx> one = ucx_test::make<TypeParam>().value();
  region registered = one->register_region(some.from(0, 100)).value(), allocated = one->allocate_region(100).value();
  one.reset();
  std::memset(registered.data(), 1, registered.size());
  std::memset(allocated.data(), 1, allocated.size());
}

using ucx_devices = ucx_test::on_lanes<ucx_test::chosen>;

/// Such as RDMA, which pins memory for reading and writing.
TEST_F(ucx_devices, that_refuse_memory_make_registering_fail) {
  if (std::string_view(ucx_test::chosen::lanes).substr(0, 2) != "rc") GTEST_SKIP() << "no lane of LADING_UCX_LANES needs memory to be registered";
  ucx one = ucx_test::make<ucx_test::chosen>().value();
  const pages writable, readable(PROT_READ);
  EXPECT_TRUE(one.register_region(writable.from(0, 3 * pages::size)).has_value());
  const auto made = one.register_region(readable.from(0, 3 * pages::size));
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(name_of(made.error().code()), "backend_failure") << made.error().message();
  EXPECT_NE(made.error().native(), 0);
}

}  // namespace registration_test

#endif
