// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

namespace lading::detail {

/// A node's place in a chain. A node that can be in several chains at once has one for each.
template <class Node>
struct chain_link {
  Node* next = nullptr;
  Node* previous = nullptr;
};

/// Nodes in a row, linked through a member of theirs: chain<Node>::push_back<&Node::link>(node). It owns none, and never allocates.
///
/// Complexity: constant.
template <class Node>
class chain {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] Node* first() const noexcept { return first_; }
  [[nodiscard]] Node* last() const noexcept { return last_; }

  /// `added` is in no chain that is linked through the same member.
  template <auto Link>
  void push_back(Node& added) noexcept {
    (added.*Link) = {nullptr, last_};
    (last_ != nullptr ? (last_->*Link).next : first_) = &added;
    last_ = &added;
  }
  template <auto Link>
  void remove(Node& gone) noexcept {
    const chain_link<Node> between = std::exchange(gone.*Link, {});
    (between.previous != nullptr ? (between.previous->*Link).next : first_) = between.next;
    (between.next != nullptr ? (between.next->*Link).previous : last_) = between.previous;
  }

 private:
  Node* first_ = nullptr;
  Node* last_ = nullptr;
};

}  // namespace lading::detail
