// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <lading/codec/tensor/dlpack.hpp>

#include <gtest/gtest.h>

#if __has_include(<dlpack/dlpack.h>)
#include <dlpack/dlpack.h>
#endif

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

/// DLPack as another library declares it: enumerations, plain ints, the C style of dlpack.h 0.6, and the versioned struct of 1.0.
namespace foreign {

enum device_type { cpu = 1, cuda = 2, cuda_host = 3, metal = 8 };
struct context {
  foreign::device_type device_type;
  int device_id;
};
struct type {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct tensor {
  void* data;
  context device;
  int ndim;
  type dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};
struct managed {
  tensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(managed* self);
};
struct versioned {
  struct {
    std::uint32_t major;
    std::uint32_t minor;
  } version;
  void* manager_ctx;
  void (*deleter)(versioned* self);
  std::uint64_t flags;
  tensor dl_tensor;
};

}  // namespace foreign

namespace {

using lading::dlpack_owner;
using lading::dtype;
using lading::errc;
using lading::export_dlpack;
using lading::import_dlpack;
using lading::result;
using lading::tensor;
using lading::tensor_view;
using dims = std::vector<std::int64_t>;

static_assert(lading::dlpack_managed<foreign::managed> && !lading::dlpack_versioned<foreign::managed>);
static_assert(lading::dlpack_versioned<foreign::versioned> && lading::dlpack_versioned<lading::dlpack::managed_tensor_versioned>);
static_assert(!lading::dlpack_versioned<lading::dlpack::managed_tensor> && !lading::dlpack_managed<tensor> && !lading::dlpack_managed<int>);
static_assert(std::is_nothrow_move_constructible_v<dlpack_owner<foreign::managed>> && !std::is_copy_constructible_v<dlpack_owner<foreign::managed>>);

#if defined(__x86_64__) || defined(__aarch64__)
using own_tensor = lading::dlpack::dl_tensor;
static_assert(sizeof(own_tensor) == 48 && offsetof(own_tensor, device) == 8 && offsetof(own_tensor, ndim) == 16 &&
              offsetof(own_tensor, dtype) == 20 && offsetof(own_tensor, shape) == 24 && offsetof(own_tensor, strides) == 32 &&
              offsetof(own_tensor, byte_offset) == 40);
static_assert(sizeof(lading::dlpack::managed_tensor) == 64 && offsetof(lading::dlpack::managed_tensor, deleter) == 56);
static_assert(sizeof(lading::dlpack::managed_tensor_versioned) == 80 && offsetof(lading::dlpack::managed_tensor_versioned, flags) == 24 &&
              offsetof(lading::dlpack::managed_tensor_versioned, dl_tensor) == 32);
#endif

#if __has_include(<dlpack/dlpack.h>)
static_assert(lading::dlpack_managed<DLManagedTensor>);
static_assert(sizeof(DLTensor) == sizeof(lading::dlpack::dl_tensor) &&
              offsetof(DLTensor, byte_offset) == offsetof(lading::dlpack::dl_tensor, byte_offset) &&
              offsetof(DLTensor, shape) == offsetof(lading::dlpack::dl_tensor, shape) &&
              offsetof(DLTensor, dtype) == offsetof(lading::dlpack::dl_tensor, dtype));
static_assert(sizeof(DLManagedTensor) == sizeof(lading::dlpack::managed_tensor) &&
              offsetof(DLManagedTensor, deleter) == offsetof(lading::dlpack::managed_tensor, deleter));
#if defined(DLPACK_MAJOR_VERSION)
static_assert(lading::dlpack_versioned<DLManagedTensorVersioned> &&
              sizeof(DLManagedTensorVersioned) == sizeof(lading::dlpack::managed_tensor_versioned) &&
              offsetof(DLManagedTensorVersioned, dl_tensor) == offsetof(lading::dlpack::managed_tensor_versioned, dl_tensor));
#endif
#endif

/// A producer of DLPack tensors that counts how often each is deleted.
template <class Managed>
struct producer {
  std::vector<float> items = std::vector<float>(12);
  dims shape{3, 4};
  dims strides{4, 1};
  int deleted = 0;
  Managed managed{};

  producer() {
    std::iota(items.begin(), items.end(), 0.0F);
    auto& source = managed.dl_tensor;
    source.data = items.data();
    source.device.device_type = static_cast<decltype(source.device.device_type)>(1);
    source.ndim = 2;
    source.dtype.code = 2;
    source.dtype.bits = 32;
    source.dtype.lanes = 1;
    source.shape = shape.data();
    source.strides = strides.data();
    managed.manager_ctx = this;
    managed.deleter = [](Managed* self) { ++static_cast<producer*>(self->manager_ctx)->deleted; };
    if constexpr (lading::dlpack_versioned<Managed>) managed.version.major = 1;
  }
  producer(const producer&) = delete;
  producer& operator=(const producer&) = delete;
};

template <class Managed>
class dlpack : public testing::Test {};

using interfaces = testing::Types<lading::dlpack::managed_tensor, lading::dlpack::managed_tensor_versioned, foreign::managed, foreign::versioned
#if __has_include(<dlpack/dlpack.h>)
                                  ,
                                  DLManagedTensor
#if defined(DLPACK_MAJOR_VERSION)
                                  ,
                                  DLManagedTensorVersioned
#endif
#endif
                                  >;
TYPED_TEST_SUITE(dlpack, interfaces);

TYPED_TEST(dlpack, is_imported_in_place_and_deleted_once) {
  producer<TypeParam> source;
  {
    result<dlpack_owner<TypeParam>> owner = import_dlpack(&source.managed);
    ASSERT_TRUE(owner) << owner.error().message();
    const tensor_view& view = owner->view();
    EXPECT_EQ(view.as<float>()->data(), source.items.data());
    EXPECT_EQ(view.template at<float>(2, 3), 11.0F);
    EXPECT_FALSE(owner->is_read_only());
    EXPECT_EQ(static_cast<void*>(owner->writable_data()), source.items.data());
    dlpack_owner<TypeParam> moved = std::move(*owner);
    EXPECT_EQ(owner->view(), tensor_view());  // NOLINT(bugprone-use-after-move): documented
    EXPECT_EQ(moved.view().template at<float>(0, 1), 1.0F);
    dlpack_owner<TypeParam> assigned;
    assigned = std::move(moved);
    dlpack_owner<TypeParam>& self = assigned;
    assigned = std::move(self);
    EXPECT_EQ(source.deleted, 0);
    EXPECT_EQ(assigned.view().item_count(), 12);
  }
  EXPECT_EQ(source.deleted, 1);
}

TYPED_TEST(dlpack, is_deleted_when_replaced_or_reset_but_not_when_released) {
  producer<TypeParam> first;
  producer<TypeParam> second;
  dlpack_owner<TypeParam> owner = *import_dlpack(&first.managed);
  owner = *import_dlpack(&second.managed);
  EXPECT_EQ(first.deleted, 1);
  EXPECT_EQ(second.deleted, 0);
  EXPECT_EQ(owner.release(), &second.managed);
  owner.reset();
  EXPECT_EQ(second.deleted, 0);
  owner = *import_dlpack(&second.managed);
  owner.reset();
  EXPECT_EQ(second.deleted, 1);
  EXPECT_EQ(owner.view(), tensor_view());
  owner.reset();
  EXPECT_EQ(second.deleted, 1);
  EXPECT_EQ(first.deleted, 1);
}

TYPED_TEST(dlpack, may_have_no_deleter) {
  producer<TypeParam> source;
  source.managed.deleter = nullptr;
  EXPECT_TRUE(import_dlpack(&source.managed));
  EXPECT_EQ(import_dlpack(static_cast<TypeParam*>(nullptr)).error(), errc::invalid_argument);
}

TYPED_TEST(dlpack, minds_offset_and_strides) {
  producer<TypeParam> source;
  source.managed.dl_tensor.strides = nullptr;
  EXPECT_EQ(import_dlpack(&source.managed)->view().template at<float>(2, 3), 11.0F);
  EXPECT_TRUE(import_dlpack(&source.managed)->view().contiguous());
  source.managed.dl_tensor.strides = source.strides.data();
  source.managed.dl_tensor.byte_offset = 8;
  source.shape = {2, 3};
  EXPECT_EQ(import_dlpack(&source.managed)->view().template at<float>(1, 2), 8.0F);
  source.strides = {1, 4};
  source.managed.dl_tensor.byte_offset = 0;
  EXPECT_EQ(import_dlpack(&source.managed)->view().template at<float>(1, 2), 9.0F);
  EXPECT_FALSE(import_dlpack(&source.managed)->view().contiguous());
  source.strides = {0, -1};
  source.managed.dl_tensor.byte_offset = 12;
  EXPECT_EQ(import_dlpack(&source.managed)->view().template at<float>(1, 2), 1.0F);
  source.managed.dl_tensor.ndim = 0;
  source.managed.dl_tensor.shape = nullptr;
  source.managed.dl_tensor.strides = nullptr;
  EXPECT_EQ(import_dlpack(&source.managed)->view().template at<float>(), 3.0F);
  EXPECT_EQ(source.deleted, 7);
}

TYPED_TEST(dlpack, may_be_empty) {
  producer<TypeParam> source;
  source.shape = {0, 4};
  source.managed.dl_tensor.data = nullptr;
  source.managed.dl_tensor.byte_offset = ~std::uint64_t{0};  // says nothing where there are no items
  EXPECT_TRUE(import_dlpack(&source.managed)->view().empty());
  source.managed.dl_tensor.strides = nullptr;
  EXPECT_TRUE(import_dlpack(&source.managed)->view().empty());
}

TYPED_TEST(dlpack, refuses_what_cannot_be_and_deletes_it_once) {
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  const auto code = [](auto&& change) {
    producer<TypeParam> source;
    change(source);
    errc found{};
    {
      const result<dlpack_owner<TypeParam>> owner = import_dlpack(&source.managed);
      if (!owner) {
        found = owner.error().code();
        EXPECT_EQ(source.deleted, 1);
        EXPECT_FALSE(owner.error().message().empty());
      }
    }
    EXPECT_EQ(source.deleted, 1);
    return found;
  };
  using made = producer<TypeParam>;
  EXPECT_EQ(code([](made&) {}), errc{});
  const auto with_device = [&](int number) {
    return code([&](made& source) {
      source.managed.dl_tensor.device.device_type = static_cast<decltype(source.managed.dl_tensor.device.device_type)>(number);
    });
  };
  EXPECT_EQ(with_device(3), errc{});
  for (const int number : {0, 2, 4, 7, 8, 10}) EXPECT_EQ(with_device(number), errc::unsupported) << number;
  const auto with_type = [&](int type, int bits, int lanes) {
    return code([&](made& source) {
      source.managed.dl_tensor.dtype.code = static_cast<std::uint8_t>(type);
      source.managed.dl_tensor.dtype.bits = static_cast<std::uint8_t>(bits);
      source.managed.dl_tensor.dtype.lanes = static_cast<std::uint16_t>(lanes);
    });
  };
  EXPECT_EQ(with_type(2, 32, 1), errc{});
  EXPECT_EQ(with_type(2, 16, 1), errc{});
  EXPECT_EQ(with_type(2, 32, 0), errc::unsupported);
  EXPECT_EQ(with_type(2, 32, 4), errc::unsupported);
  EXPECT_EQ(with_type(2, 8, 1), errc::unsupported);
  EXPECT_EQ(with_type(2, 128, 1), errc::unsupported);
  EXPECT_EQ(with_type(0, 4, 1), errc::unsupported);
  EXPECT_EQ(with_type(3, 64, 1), errc::unsupported);
  EXPECT_EQ(with_type(15, 6, 1), errc::unsupported);
  EXPECT_EQ(with_type(17, 4, 1), errc::unsupported);
  EXPECT_EQ(with_type(255, 32, 1), errc::unsupported);
  EXPECT_EQ(code([](made& source) { source.managed.dl_tensor.ndim = -1; }), errc::invalid_value);
  EXPECT_EQ(code([](made& source) { source.managed.dl_tensor.ndim = 65; }), errc::limit_exceeded);
  EXPECT_EQ(code([](made& source) { source.managed.dl_tensor.ndim = std::numeric_limits<int>::max(); }), errc::limit_exceeded);
  EXPECT_EQ(code([](made& source) { source.managed.dl_tensor.shape = nullptr; }), errc::invalid_value);
  EXPECT_EQ(code([](made& source) { source.managed.dl_tensor.data = nullptr; }), errc::invalid_value);
  EXPECT_EQ(code([](made& source) { source.managed.dl_tensor.byte_offset = ~std::uint64_t{0}; }), errc::size_overflow);
  EXPECT_EQ(code([](made& source) { source.shape[0] = -3; }), errc::invalid_value);
  EXPECT_EQ(code([](made& source) { source.shape = {-3, 0}; }), errc::invalid_value);
  EXPECT_EQ(code([](made& source) { source.shape[0] = huge; }), errc::size_overflow);
  EXPECT_EQ(code([](made& source) { source.shape = {std::int64_t{1} << 32, std::int64_t{1} << 32}; }), errc::size_overflow);
  EXPECT_EQ(code([](made& source) { source.strides[0] = huge; }), errc::size_overflow);
  EXPECT_EQ(code([](made& source) { source.strides[1] = std::numeric_limits<std::int64_t>::min(); }), errc::size_overflow);
  const auto compact = [&](const dims& shape) {
    return code([&](made& source) {
      source.shape = shape;
      source.managed.dl_tensor.shape = source.shape.data();
      source.managed.dl_tensor.strides = nullptr;
    });
  };
  EXPECT_EQ(compact({4, 3}), errc{});
  EXPECT_EQ(compact({4, -3}), errc::invalid_value);
  EXPECT_EQ(compact({huge, huge}), errc::size_overflow);
}

TEST(dlpack_versions, decide_what_is_read) {
  using versioned = lading::dlpack::managed_tensor_versioned;
  producer<versioned> source;
  source.managed.version.minor = 99;
  EXPECT_TRUE(import_dlpack(&source.managed));
  source.managed.flags = lading::dlpack::flag_read_only;
  {
    const dlpack_owner<versioned> owner = *import_dlpack(&source.managed);
    EXPECT_TRUE(owner.is_read_only());
    EXPECT_EQ(owner.writable_data(), nullptr);
    EXPECT_EQ(owner.view().at<float>(0, 1), 1.0F);
  }
  source.managed.flags = lading::dlpack::flag_sub_byte_padded | lading::dlpack::flag_is_copied;
  EXPECT_FALSE(import_dlpack(&source.managed)->is_read_only());  // a float is not less than a byte
  source.managed.dl_tensor.dtype = {17, 4, 2};
  EXPECT_EQ(import_dlpack(&source.managed).error(), errc::unsupported);
  source.managed.flags = 0;
  EXPECT_EQ(import_dlpack(&source.managed)->view().dtype(), dtype::float4_e2m1fn_x2);
  source.managed.version.major = 2;
  source.managed.dl_tensor.shape = reinterpret_cast<std::int64_t*>(8);  // of another version nothing but the deleter may be touched
  source.deleted = 0;
  EXPECT_EQ(import_dlpack(&source.managed).error(), errc::unsupported);
  EXPECT_EQ(source.deleted, 1);
}

TYPED_TEST(dlpack, gives_every_dtype_and_takes_it_back) {
  for (const lading::detail::dtype_row& row : lading::detail::dtype_rows) {
    tensor original = *tensor::zeros(row.type, {2, 3});
    for (std::size_t i = 0; i < original.size_bytes(); ++i) original.data()[i] = static_cast<std::byte>(i % 2);
    const tensor expected = original;
    const std::byte* place = original.data();
    const result<TypeParam*> exported = export_dlpack<TypeParam>(std::move(original));
    ASSERT_TRUE(exported);
    EXPECT_EQ(original, tensor());  // NOLINT(bugprone-use-after-move): the memory has moved
    const auto& handed = (*exported)->dl_tensor;
    EXPECT_EQ(handed.data, place);
    EXPECT_EQ(handed.ndim, 2);
    EXPECT_EQ(static_cast<int>(handed.device.device_type), 1);
    EXPECT_EQ(static_cast<std::size_t>(handed.dtype.bits) * handed.dtype.lanes, row.size * 8);
    EXPECT_EQ(handed.byte_offset, 0U);
    EXPECT_EQ(handed.strides[0], 3);
    const dlpack_owner<TypeParam> back = *import_dlpack(*exported);
    EXPECT_EQ(back.view(), expected) << row.name;
    EXPECT_EQ(back.view().data(), place);
    EXPECT_FALSE(back.is_read_only());
  }
}

TYPED_TEST(dlpack, lends_a_strided_view_and_keeps_its_owner_alive) {
  auto items = std::make_shared<std::vector<float>>(24);
  std::iota(items->begin(), items->end(), 0.0F);
  const std::weak_ptr<std::vector<float>> watch = items;
  const float* place = items->data();
  const tensor_view view = *tensor_view::of(*items, {2, 3, 4})->permute({2, 0, 1})->flip(0);
  TypeParam* managed = *export_dlpack<TypeParam>(view, std::move(items));
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(managed->dl_tensor.data, place + 3);
  EXPECT_EQ(managed->dl_tensor.strides[0], -1);
  {
    const dlpack_owner<TypeParam> owner = *import_dlpack(managed);
    EXPECT_EQ(owner.view(), view);
    EXPECT_EQ(owner.is_read_only(), lading::dlpack_versioned<TypeParam>);
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

TYPED_TEST(dlpack, carries_empty_scalar_and_high_rank_tensors) {
  for (const dims& shape : {dims{}, dims{0}, dims{3, 0, 2}, dims(9, 1), dims(64, 1)}) {
    const tensor original = *tensor::zeros(dtype::int64, shape);
    const dlpack_owner<TypeParam> back = *import_dlpack(*export_dlpack<TypeParam>(tensor(original)));
    EXPECT_EQ(back.view(), original);
    const dlpack_owner<TypeParam> lent = *import_dlpack(*export_dlpack<TypeParam>(original.view(), lading::dlpack::kept_by_caller()));
    EXPECT_EQ(lent.view(), original);
  }
}

/// An import can be lent on: the owner is the keeper.
TYPED_TEST(dlpack, passes_an_import_on) {
  producer<TypeParam> source;
  dlpack_owner<TypeParam> owner = *import_dlpack(&source.managed);
  const tensor_view part = *owner.view().select(0, 1);
  lading::dlpack::managed_tensor_versioned* lent = *export_dlpack(part, std::move(owner));
  EXPECT_EQ(source.deleted, 0);
  EXPECT_EQ(import_dlpack(lent)->view().template at<float>(3), 7.0F);
  EXPECT_EQ(source.deleted, 1);
}

}  // namespace
