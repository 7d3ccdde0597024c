// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>

#include <lading/transport/driver.hpp>
#include <lading/transports/ucx/worker.hpp>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace lading::detail {

/// Whether all of these bytes are memory of this process, of whatever protection. True where the system cannot say.
///
/// Complexity: the number of mappings that the bytes lie in; touches none of them.
[[nodiscard]] inline bool is_mapped([[maybe_unused]] bytes_span bytes) noexcept {
#if defined(__linux__)
  if (bytes.size() > ~std::size_t{0} / 2) return false;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  // Safety: the address is only taken modulo a page.
  const std::size_t before = reinterpret_cast<std::uintptr_t>(bytes.data()) % page;
  // Linux writes nothing back for MS_ASYNC: it only looks for gaps.
  return ::msync(bytes.data() - before, before + bytes.size(), MS_ASYNC) == 0 || errno != ENOMEM;
#else
  return true;
#endif
}

/// Memory that UCX has registered with each of its devices that needs that; the others (TCP, shared memory) take any.
class ucx_registration final : public driver_memory {
 public:
  explicit ucx_registration(const std::shared_ptr<ucx_context>& with) : context_(with) {}
  ucx_registration(const ucx_registration&) = delete;
  ucx_registration& operator=(const ucx_registration&) = delete;
  ~ucx_registration() override {
    if (handle_ != nullptr) ucp_mem_unmap(context_->handle, handle_);
  }

  /// Errors: invalid_argument for what is not memory, closed, and backend_failure or no_memory where a device refuses it, with UCX's status.
  [[nodiscard]] static result<std::unique_ptr<driver_memory>> make(const std::shared_ptr<ucx_context>& context, bytes_span bytes) {
    if (context == nullptr) return fail(errc::closed, {.what = "this endpoint is closed"});
    if (!is_mapped(bytes)) return fail(errc::invalid_argument, {.size = bytes.size(), .what = "these bytes are not all memory of this process"});
    auto made = std::make_unique<ucx_registration>(context);
    ucp_mem_map_params_t wanted{};
    wanted.field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH;
    wanted.address = bytes.data();
    wanted.length = bytes.size();
    if (const auto status = ucp_mem_map(context->handle, &wanted, &made->handle_); status != UCS_OK)
      return fail(ucx_error(status, "UCX cannot register the memory with a device: is the limit of locked memory (ulimit -l) reached?"));
    return made;
  }

 private:
  std::shared_ptr<ucx_context> context_;
  ucp_mem_h handle_ = nullptr;
};

}  // namespace lading::detail
