// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Memory of a region that other processes of this host map, and copy to and from by themselves. It is lading's own and not UCX's, because UCX's keys
// are unpacked without a length, its segments can be cut short by whoever maps them (then touching them is a SIGBUS), and nothing in them can be revoked.

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <lading/transport/driver.hpp>

#if defined(__linux__)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace lading::detail {

/// The first page of such memory; the region's bytes follow. Its owner writes it, and peers only ever read it.
struct shared_head {
  enum class condition : std::uint32_t { live, deregistered, closed };

  std::uint64_t magic = 0, cookie = 0, endpoint = 0;
  std::atomic<condition> state{condition::live};

  static constexpr std::uint64_t wanted_magic = 0x31676572'676e646cu;
  static constexpr std::size_t page = 4096;
};
static_assert(std::atomic<shared_head::condition>::is_always_lock_free);

/// What a descriptor says about it: 16 bytes, little-endian.
struct shared_key {
  std::uint64_t cookie = 0;  ///< drawn at random; 0 = the region is not shared
  std::uint32_t fd = 0;      ///< at its owner

  static constexpr std::size_t wire_size = 16;

  [[nodiscard]] std::vector<std::byte> encode() const {
    std::vector<std::byte> out(wire_size);
    store_little(out.data(), cookie);
    store_little(out.data() + 8, fd);
    return out;
  }
  /// Whatever is not such a key is that of a region that is not shared.
  [[nodiscard]] static shared_key decode(bytes_view in) noexcept {
    if (in.size() != wire_size || load_little<std::uint32_t>(in.data() + 12) != 0) return {};
    return {load_little<std::uint64_t>(in.data()), load_little<std::uint32_t>(in.data() + 8)};
  }
};

/// The owner's side. Deregistering is immediate, for the memory is never used for anything else: who still writes it writes what nobody reads.
class shared_memory final : public driver_memory {
 public:
  shared_memory() = default;
  shared_memory(const shared_memory&) = delete;
  shared_memory& operator=(const shared_memory&) = delete;
  ~shared_memory() override {
#if defined(__linux__)
    if (head_ != nullptr) {
      revoke(shared_head::condition::deregistered);
      registration.reset();
      ::munmap(head_, shared_head::page + size_);
    }
    if (fd_ >= 0) ::close(fd_);
#endif
  }

  /// nullptr where the host has no such memory.
  ///
  /// Errors: no_memory where it has, but no bytes or descriptors are left; backend_failure.
  [[nodiscard]] static result<std::unique_ptr<shared_memory>> create([[maybe_unused]] std::size_t size, [[maybe_unused]] std::uint64_t endpoint) {
#if defined(__linux__) && defined(MFD_ALLOW_SEALING)
    const auto pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page <= 0) return nullptr;
    if (size / static_cast<std::size_t>(page) >= static_cast<std::size_t>(pages)) {
      const auto all = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page);
      return fail(errc::no_memory, {.needed = size, .available = all, .what = "the host has less memory than that"});
    }
    auto made = std::make_unique<shared_memory>();
    made->fd_ = ::memfd_create("lading", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made->fd_ < 0 && (errno == ENOSYS || errno == EPERM || errno == EACCES)) return nullptr;
    if (made->fd_ < 0) return fail(refused(errno, size));
    const auto length = static_cast<::off_t>(shared_head::page + size);
    if (::ftruncate(made->fd_, length) != 0) return fail(refused(errno, size));
    // All pages now, and none ever taken away: touching one is then no SIGBUS.
    int number = 0;
    while ((number = ::posix_fallocate(made->fd_, 0, length)) == EINTR) {}
    if (number != 0) return fail(refused(number, size));
    if (::fcntl(made->fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return fail(refused(errno, size));
    void* const base = ::mmap(nullptr, static_cast<std::size_t>(length), PROT_READ | PROT_WRITE, MAP_SHARED, made->fd_, 0);
    if (base == MAP_FAILED) return fail(refused(errno, size));
    made->head_ = new (base) shared_head;
    made->size_ = size;
    made->head_->endpoint = endpoint;
    made->head_->cookie = made->cookie_ = random_number();
    made->head_->magic = shared_head::wanted_magic;
    return made;
#else
    return nullptr;
#endif
  }

  [[nodiscard]] bytes_span bytes() const noexcept {
    // Safety: the bytes lie behind the first page of the mapping.
    return {reinterpret_cast<std::byte*>(head_) + shared_head::page, size_};
  }
  [[nodiscard]] shared_key key() const noexcept { return {cookie_, static_cast<std::uint32_t>(fd_)}; }
  /// With the devices, for peers of other hosts.
  std::unique_ptr<driver_memory> registration;

  void revoke(shared_head::condition why) noexcept { head_->state.store(why, std::memory_order_release); }

 private:
  [[nodiscard]] static error refused(int number, std::size_t size) noexcept {
    if (number == EMFILE || number == ENFILE)
      return error(errc::no_memory, {.size = size, .native = number, .what = "a shared region needs a file descriptor: raise the limit (ulimit -n)"});
    if (number == ENOMEM || number == ENOSPC || number == EFBIG)
      return error(errc::no_memory, {.size = size, .native = number, .what = "the host has not as much shared memory left"});
    return error(errc::backend_failure, {.size = size, .native = number, .what = "the system refuses shared memory"});
  }

  int fd_ = -1;
  shared_head* head_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t cookie_ = 0;
};

/// A peer's side: another process's shared_memory, mapped here. Nothing in it is trusted but that it exists, which its seals make sure of.
class shared_view {
 public:
  shared_view() noexcept = default;
  shared_view(shared_view&& other) noexcept : head_(std::exchange(other.head_, nullptr)), size_(other.size_) {}
  shared_view& operator=(shared_view&& other) noexcept {
    std::swap(head_, other.head_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~shared_view() {
#if defined(__linux__)
    if (head_ != nullptr) ::munmap(head_, shared_head::page + size_);
#endif
  }

  /// Maps `size` bytes of that process's memory; empty where that is not what the key says, or not allowed.
  [[nodiscard]] static shared_view open([[maybe_unused]] std::uint64_t pid, [[maybe_unused]] const shared_key& key,
                                        [[maybe_unused]] std::uint64_t endpoint, [[maybe_unused]] std::uint64_t size) noexcept {
    shared_view made;
#if defined(__linux__) && defined(F_GET_SEALS)
    if (key.cookie == 0 || pid == 0 || size > ~std::size_t{0} - shared_head::page) return made;
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%llu/fd/%u", static_cast<unsigned long long>(pid), key.fd);
    // Looked at before it is opened: the peer may name anything, and opening some things has effects.
    char target[32] = {};
    if (::readlink(path, target, sizeof target - 1) <= 0 || std::strncmp(target, "/memfd:lading", 13) != 0) return made;
    const int fd = ::open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return made;
    const std::size_t length = shared_head::page + static_cast<std::size_t>(size);
    struct ::stat seen {};
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && ::fstat(fd, &seen) == 0 && S_ISREG(seen.st_mode) && seen.st_size >= 0 &&
        static_cast<std::uint64_t>(seen.st_size) == length) {
      void* const base = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (base != MAP_FAILED) {
        made.head_ = static_cast<shared_head*>(base);
        made.size_ = static_cast<std::size_t>(size);
        if (made.head_->magic != shared_head::wanted_magic || made.head_->cookie != key.cookie || made.head_->endpoint != endpoint)
          made = shared_view();
      }
    }
    ::close(fd);
#endif
    return made;
  }

  [[nodiscard]] explicit operator bool() const noexcept { return head_ != nullptr; }
  [[nodiscard]] std::byte* data() const noexcept {
    // Safety: the bytes lie behind the first page of the mapping.
    return reinterpret_cast<std::byte*>(head_) + shared_head::page;
  }
  [[nodiscard]] shared_head::condition state() const noexcept { return head_->state.load(std::memory_order_acquire); }

 private:
  shared_head* head_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lading::detail
