// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include <lading/codec/cursor.hpp>
#include <lading/memory/copy.hpp>
#include <lading/memory/thread.hpp>
#include <lading/pack/checksum.hpp>

namespace lading::detail {

/// Bytes that are gathered before they are hashed: they stay in a second-level cache, and finding the first costs little beside them.
inline constexpr std::size_t gathering_block = std::size_t{64} << 10;

/// Writes the bytes [begin, end) of a payload to their places from `target` on, and passes them to `hasher` where there is one.
inline void write_range(const payload& item, std::byte* target, std::size_t begin, std::size_t end, copy_mode mode,
                        checksum_hasher* hasher) noexcept {
  if (item.contiguous()) {
    if (hasher != nullptr)
      copy_hashing(target + begin, item.data + begin, end - begin, *hasher, mode);
    else
      copy_bytes(target + begin, item.data + begin, end - begin, mode);
    return;
  }
  while (begin < end) {
    const std::size_t size = hasher != nullptr && end - begin > gathering_block ? gathering_block : end - begin;
    item.gather(item.source, target + begin, begin, begin + size);
    if (hasher != nullptr) hasher->update(target + begin, size);
    begin += size;
  }
}

/// Writes a whole payload and returns its checksum, 0 where none is asked for.
[[nodiscard]] inline std::uint64_t write_payload(const payload& item, std::byte* target, copy_mode mode, bool checked) noexcept {
  if (checked && item.contiguous()) return copy_with_checksum(target, item.data, item.size, mode);
  if (checked && item.size <= gathering_block) {
    item.gather(item.source, target, 0, item.size);
    return checksum_of(target, item.size);
  }
  if (!checked) {
    write_range(item, target, 0, item.size, mode, nullptr);
    return 0;
  }
  checksum_hasher hasher;
  write_range(item, target, 0, item.size, mode, &hasher);
  return hasher.digest();
}

/// A payload that several threads write. Its checksum is sequential, so one of them, the owner, goes from the front and hashes as it writes,
/// while the others take blocks from the back; where they meet, the owner goes on hashing.
///
/// Threads: write_front() is called once, write_back() by any number of threads at any time; when all have returned, the payload is written.
class shared_payload {
 public:
  shared_payload() noexcept = default;

  void assign(const payload& item, std::byte* target, copy_mode mode, bool checked) noexcept {
    item_ = &item;
    target_ = target;
    mode_ = mode;
    checked_ = checked;
    block_ = least_block;
    while (item.size / block_ >= most_blocks) block_ *= 2;
    blocks_ = (item.size + block_ - 1) / block_;
  }

  void write_front() noexcept {
    checksum_hasher* const hasher = checked_ ? &hasher_ : nullptr;
    std::size_t mine = 0;
    while (mine < blocks_ && claim(std::size_t{1} << half)) {
      write_block(mine, hasher);
      ++mine;
    }
    if (!checked_) return;
    front_ = mine * block_;
    if (item_->contiguous()) {
      if (front_ < item_->size) hasher_.update(item_->data + front_, item_->size - front_);
    } else {
      finish_gathered(mine + 1);  // one more than its blocks, so that the last is the last even where it wrote none
    }
  }

  void write_back() noexcept {
    std::size_t mine = 0;
    while (claim(1, mine)) {
      write_block(blocks_ - 1 - mine, nullptr);
      if (checked_ && !item_->contiguous()) finish_gathered(1);
    }
  }

  /// Once all have returned; 0 where no checksum was asked for.
  [[nodiscard]] std::uint64_t hash() const noexcept { return checked_ ? hasher_.digest() : 0; }

 private:
  static constexpr std::size_t least_block = std::size_t{512} << 10;
  static constexpr unsigned half = sizeof(std::size_t) * 4;
  static constexpr std::size_t most_blocks = std::size_t{1} << (half - 2);

  /// Takes one block for `side`, 1 << half for the front and 1 for the back, while any is left. The sides never take the same one, for
  /// both count in one number; once the counts have met, whoever counts on is refused.
  [[nodiscard]] bool claim(std::size_t side) noexcept {
    std::size_t before;
    return claim(side, before);
  }
  [[nodiscard]] bool claim(std::size_t side, std::size_t& taken_behind) noexcept {
    const std::size_t before = claimed_.fetch_add(side);
    taken_behind = before & ((std::size_t{1} << half) - 1);
    return (before >> half) + taken_behind < blocks_;
  }

  void write_block(std::size_t index, checksum_hasher* hasher) const noexcept {
    const std::size_t begin = index * block_;
    const std::size_t end = item_->size - begin < block_ ? item_->size : begin + block_;
    write_range(*item_, target_, begin, end, mode_, hasher);
  }

  /// What was gathered is hashed where it was written to, so the last to have written goes on with that.
  void finish_gathered(std::size_t written) noexcept {
    if (written_.fetch_add(written) + written != blocks_ + 1) return;
    hasher_.update(target_ + front_, item_->size - front_);
  }

  const payload* item_ = nullptr;
  std::byte* target_ = nullptr;
  std::size_t block_ = 0;
  std::size_t blocks_ = 0;
  std::size_t front_ = 0;  ///< bytes that the owner has written, and hashed
  copy_mode mode_ = copy_mode::cached;
  bool checked_ = false;
  shared_counter claimed_{0};
  shared_counter written_{0};
  checksum_hasher hasher_;
};

}  // namespace lading::detail
