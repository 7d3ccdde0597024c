// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include <lading/codec/tensor/tensor.hpp>
#include <lading/codec/tensor/tensor_view.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>

namespace lading {

/// Tensors of one dtype and one rank, each of its own shape and in its own memory: torch's nested tensors of layout strided.
///
/// Read it like a const vector; what changes it keeps the components alike, so that it always converts to a nested tensor. Where dtypes or
/// ranks may differ, use a std::vector of tensors.
template <class Tensor>
class basic_strided_list {
 public:
  using value_type = Tensor;
  using const_iterator = typename std::vector<Tensor>::const_iterator;

  basic_strided_list() noexcept = default;

  /// Takes the components.
  ///
  /// Errors: invalid_value, naming the first component that differs from component 0 in dtype or rank.
  [[nodiscard]] static result<basic_strided_list> from(std::vector<Tensor> components) {
    result<basic_strided_list> list;
    for (std::size_t i = 1; i < components.size(); ++i) {
      if (!alike(components[0], components[i])) return fail_unlike(i);
    }
    list->components_ = std::move(components);
    return list;
  }

  /// Adds a component. Errors: as from(), and no_memory; then nothing has changed.
  [[nodiscard]] result<void> push_back(Tensor component) {
    if (!components_.empty() && !alike(components_[0], component)) return fail_unlike(components_.size());
    LADING_TRY { components_.push_back(std::move(component)); }
    LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory, {.what = "the list of tensors could not grow"}))
    return {};
  }

  [[nodiscard]] std::size_t size() const noexcept { return components_.size(); }
  [[nodiscard]] bool empty() const noexcept { return components_.empty(); }
  [[nodiscard]] const Tensor& operator[](std::size_t index) const& noexcept { return components_[index]; }
  [[nodiscard]] const_iterator begin() const noexcept { return components_.begin(); }
  [[nodiscard]] const_iterator end() const noexcept { return components_.end(); }
  void clear() noexcept { components_.clear(); }

  /// The components as a vector, to read or, from a temporary, to take.
  [[nodiscard]] const std::vector<Tensor>& components() const& noexcept { return components_; }
  [[nodiscard]] std::vector<Tensor> components() && noexcept { return std::move(components_); }

  friend bool operator==(const basic_strided_list& left, const basic_strided_list& right) noexcept { return left.components_ == right.components_; }

 private:
  static bool alike(const Tensor& left, const Tensor& right) noexcept { return left.dtype() == right.dtype() && left.rank() == right.rank(); }
  LADING_COLD static failure fail_unlike(std::size_t index) noexcept {
    return fail(errc::invalid_value, {.item = index, .what = "the components of a nested tensor agree in dtype and rank"});
  }

  std::vector<Tensor> components_;
};

using strided_list = basic_strided_list<tensor>;
using strided_list_view = basic_strided_list<tensor_view>;

/// Views of all components. Errors: no_memory. Lifetime: borrows from `list`, so a temporary does not compile.
[[nodiscard]] inline result<strided_list_view> view_of(const strided_list& list) {
  LADING_TRY { return strided_list_view::from(std::vector<tensor_view>(list.begin(), list.end())); }
  LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory, {.what = "the list of views could not be made"}))
}
void view_of(const strided_list&&) = delete;

}  // namespace lading
