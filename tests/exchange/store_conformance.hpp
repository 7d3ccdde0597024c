// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What every store must do, as a GoogleTest suite. A rig is made for each test; client() is a store of its own that is empty.

#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <exchange/store_samples.hpp>
#include <lading/exchange/store.hpp>

namespace lading::store_conformance {

template <class Rig>
class store_conformance : public ::testing::Test {
 protected:
  Rig rig;
};
TYPED_TEST_SUITE_P(store_conformance);

TYPED_TEST_P(store_conformance, tensors_come_back_as_they_were_put) {
  auto& one = this->rig.client();
  const auto names = keys(40);
  std::vector<tensor> values;
  for (std::size_t i = 0; i < names.size(); ++i) values.push_back(numbers(i * i * 7, static_cast<float>(i)));
  values[3] = numbers({2, 3, 4}, 24);
  EXPECT_EQ(count_ok(one.put_batch(names, values)), names.size());
  const auto back = one.template get_batch<tensor>(names);
  ASSERT_EQ(back.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    ASSERT_TRUE(back[i].has_value()) << i << back[i].error().message();
    EXPECT_EQ(*back[i], values[i]) << i;
  }
  const auto views = one.template view_batch<tensor_view>(names);
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(**views[i], values[i].view()) << i;
}

TYPED_TEST_P(store_conformance, records_come_back_as_they_were_put) {
  auto& one = this->rig.client();
  const auto names = keys(100);
  std::vector<record> values;
  for (std::uint32_t i = 0; i < names.size(); ++i) values.push_back(sample(i * 37));
  EXPECT_EQ(count_ok(one.put_batch(names, values)), names.size());
  const auto back = one.template get_batch<record>(names);
  for (std::size_t i = 0; i < names.size(); ++i) {
    ASSERT_TRUE(back[i].has_value()) << i << back[i].error().message();
    EXPECT_EQ(*back[i], values[i]) << i;
  }
}

TYPED_TEST_P(store_conformance, bytes_land_in_the_caller_s_buffers) {
  auto& one = this->rig.client();
  const auto names = keys(3);
  std::vector<std::vector<std::byte>> values{std::vector<std::byte>(10, std::byte{1}), {}, std::vector<std::byte>(100'000, std::byte{3})};
  EXPECT_EQ(count_ok(one.put_batch(names, values)), 3u);
  std::vector<std::vector<std::byte>> memory{std::vector<std::byte>(20, std::byte{9}), std::vector<std::byte>(4), std::vector<std::byte>(100'000)};
  const std::vector<bytes_span> buffers(memory.begin(), memory.end());
  const auto sizes = one.get_batch_into(names, buffers);
  EXPECT_EQ(sizes[0].value(), 10u);
  EXPECT_EQ(sizes[1].value(), 0u);
  EXPECT_EQ(sizes[2].value(), 100'000u);
  EXPECT_EQ(std::memcmp(memory[0].data(), values[0].data(), 10), 0);
  EXPECT_EQ(memory[0][10], std::byte{9}) << "what lies behind stays";
  EXPECT_EQ(memory[2], values[2]);
  const auto owned = one.template get_batch<std::vector<std::byte>>(names);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(owned[i].value(), values[i]);
  const std::vector<bytes_span> small{bytes_span(memory[0]).first(9), buffers[1], buffers[2]};
  const auto refused = one.get_batch_into(names, small);
  EXPECT_EQ(refused[0].error(), errc::buffer_too_small);
  EXPECT_EQ(refused[0].error().details().needed, 10u);
  EXPECT_EQ(refused[2].value(), 100'000u);
}

TYPED_TEST_P(store_conformance, a_missing_key_is_not_a_failure_of_others) {
  auto& one = this->rig.client();
  const std::vector<std::string> put{"a", "c"}, all{"a", "b", "c"};
  const std::vector<tensor> values{numbers(5, 0), numbers(6, 1)};
  EXPECT_EQ(count_ok(one.put_batch(put, values)), 2u);
  const auto back = one.template get_batch<tensor>(all);
  EXPECT_EQ(back[0].value(), values[0]);
  EXPECT_EQ(back[1].error(), errc::not_found);
  EXPECT_EQ(back[1].error().details().item, 1u);
  EXPECT_EQ(back[2].value(), values[1]);
  const auto there = one.exists_batch(all);
  EXPECT_TRUE(there[0].value());
  EXPECT_FALSE(there[1].value());
  EXPECT_TRUE(there[2].value());
  const auto removed = one.remove_batch(all);
  EXPECT_TRUE(removed[0].has_value());
  EXPECT_EQ(removed[1].error(), errc::not_found);
  EXPECT_TRUE(removed[2].has_value());
  EXPECT_EQ(one.template get_batch<tensor>(all)[0].error(), errc::not_found);
  EXPECT_EQ(one.stats().value().values, 0u);
}

TYPED_TEST_P(store_conformance, a_taken_key_keeps_its_value_unless_it_is_to_be_replaced) {
  auto& one = this->rig.client();
  const std::vector<std::string> names{"k"};
  const std::vector<tensor> first{numbers(5, 0)}, second{numbers(50'000, 1)};
  EXPECT_TRUE(one.put_batch(names, first)[0].has_value());
  EXPECT_EQ(one.put_batch(names, second)[0].error(), errc::already_exists);
  EXPECT_EQ(one.template get_batch<tensor>(names)[0].value(), first[0]);
  EXPECT_TRUE(one.put_batch(names, second, {.mode = put_mode::replace})[0].has_value());
  EXPECT_EQ(one.template get_batch<tensor>(names)[0].value(), second[0]);
  EXPECT_EQ(one.stats().value().values, 1u);
  EXPECT_EQ(one.stats().value().bytes, 200'000u);
}

TYPED_TEST_P(store_conformance, equal_keys_in_a_batch_are_done_in_order) {
  auto& one = this->rig.client();
  std::vector<std::string> names;
  std::vector<tensor> values;
  for (std::size_t i = 0; i < 60; ++i) {
    names.push_back(i % 2 == 0 ? "even" : "odd");
    values.push_back(numbers(10, static_cast<float>(i)));
  }
  const auto inserted = one.put_batch(names, values);
  for (std::size_t i = 0; i < 60; ++i) {
    if (i < 2) {
      EXPECT_TRUE(inserted[i].has_value());
    } else {
      EXPECT_EQ(inserted[i].error(), errc::already_exists) << i;
    }
  }
  const auto back = one.template get_batch<tensor>(names);
  for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(back[i].value(), values[i % 2]);
  EXPECT_EQ(count_ok(one.put_batch(names, values, {.mode = put_mode::replace})), 60u);
  EXPECT_EQ(one.template get_batch<tensor>(std::vector<std::string>{"even"})[0].value(), values[58]);
  const auto removed = one.remove_batch(names);
  EXPECT_EQ(count_ok(removed), 2u);
  EXPECT_TRUE(removed[0].has_value() && removed[1].has_value());
}

TYPED_TEST_P(store_conformance, a_value_of_another_type_is_refused) {
  auto& one = this->rig.client();
  const std::vector<std::string> names{"record", "tensor"};
  EXPECT_TRUE(one.put_batch(std::vector<std::string>{"record"}, std::vector<record>{sample(3)})[0].has_value());
  EXPECT_TRUE(one.put_batch(std::vector<std::string>{"tensor"}, std::vector<tensor>{numbers(3, 0)})[0].has_value());
  const auto tensors = one.template get_batch<tensor>(names);
  EXPECT_EQ(tensors[0].error(), errc::schema_mismatch);
  EXPECT_TRUE(tensors[1].has_value());
  const auto records = one.template get_batch<record>(names);
  EXPECT_TRUE(records[0].has_value());
  EXPECT_EQ(records[1].error(), errc::schema_mismatch);
  EXPECT_EQ(one.template get_batch<std::vector<int>>(names)[0].error(), errc::schema_mismatch);
}

TYPED_TEST_P(store_conformance, nothing_is_asked_for_and_counts_must_agree) {
  auto& one = this->rig.client();
  const std::vector<std::string> none;
  EXPECT_TRUE(one.put_batch(none, std::vector<tensor>{}).empty());
  EXPECT_TRUE(one.template get_batch<tensor>(none).empty());
  EXPECT_TRUE(one.exists_batch(none).empty());
  EXPECT_TRUE(one.remove_batch(none).empty());
  const auto refused = one.put_batch(keys(2), std::vector<tensor>(3));
  ASSERT_EQ(refused.size(), 2u);
  EXPECT_EQ(refused[1].error(), errc::invalid_argument);
  EXPECT_EQ(one.get_batch_into(keys(2), std::vector<bytes_span>{})[0].error(), errc::invalid_argument);
}

TYPED_TEST_P(store_conformance, keys_are_any_bytes) {
  auto& one = this->rig.client();
  const std::vector<std::string> names{"", std::string("a\0b", 3), "a", std::string(900, 'x'), "\xff\xfe"};
  std::vector<tensor> values;
  for (std::size_t i = 0; i < names.size(); ++i) values.push_back(numbers(4, static_cast<float>(i)));
  EXPECT_EQ(count_ok(one.put_batch(names, values)), names.size());
  const auto back = one.template get_batch<tensor>(names);
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(back[i].value(), values[i]) << i;
}

TYPED_TEST_P(store_conformance, a_deadline_that_is_over_is_timed_out_at_once) {
  auto& one = this->rig.client();
  const auto names = keys(2);
  const std::vector<tensor> values{numbers(5, 0), numbers(6, 1)};
  constexpr std::chrono::nanoseconds over{-1}, unnamed{0};
  for (const auto& each : one.put_batch(names, values, {.deadline = over})) EXPECT_EQ(each.error(), errc::timed_out);
  EXPECT_FALSE(one.exists_batch(names)[0].value()) << "nothing was sent";
  EXPECT_EQ(count_ok(one.put_batch(names, values, {.deadline = unnamed})), 2u);
  for (const auto& each : one.template get_batch<tensor>(names, {.deadline = over})) EXPECT_EQ(each.error(), errc::timed_out);
  for (const auto& each : one.template view_batch<tensor_view>(names, {.deadline = over})) EXPECT_EQ(each.error(), errc::timed_out);
  std::vector<std::byte> memory(64);
  const std::vector<bytes_span> buffers(2, bytes_span(memory));
  for (const auto& each : one.get_batch_into(names, buffers, {.deadline = over})) EXPECT_EQ(each.error(), errc::timed_out);
  for (const auto& each : one.exists_batch(names, {.deadline = over})) EXPECT_EQ(each.error(), errc::timed_out);
  for (const auto& each : one.remove_batch(names, {.deadline = over})) EXPECT_EQ(each.error(), errc::timed_out);
  EXPECT_EQ(one.stats({.deadline = over}).error(), errc::timed_out);
  EXPECT_EQ(count_ok(one.template get_batch<tensor>(names, {.deadline = unnamed})), 2u);
}

REGISTER_TYPED_TEST_SUITE_P(store_conformance, tensors_come_back_as_they_were_put, records_come_back_as_they_were_put,
                            bytes_land_in_the_caller_s_buffers, a_missing_key_is_not_a_failure_of_others,
                            a_taken_key_keeps_its_value_unless_it_is_to_be_replaced, equal_keys_in_a_batch_are_done_in_order,
                            a_value_of_another_type_is_refused, nothing_is_asked_for_and_counts_must_agree, keys_are_any_bytes,
                            a_deadline_that_is_over_is_timed_out_at_once);

}  // namespace lading::store_conformance
