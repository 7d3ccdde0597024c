// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Floors for what goes over UCX: loops over UCX itself, both sides in one thread.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <lading/transports/ucx/message.hpp>
#include <lading/transports/ucx/worker.hpp>

namespace bare {

using lading::detail::ucx_worker;

/// One side of the floor: takes messages into `memory`, and answers the last of each round.
struct messages {
  /// With memory of its own; `memory` can be set to other.
  explicit messages(std::size_t size) : own(size), memory(own.data()) {
    if (!worker.open({{}, {}, {}}, &messages::take, this)) std::abort();
  }
  void connect(messages& to) {
    const auto address = to.worker.address().value();
    ucp_ep_params_t params{};
    params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
    // Safety: these are the bytes of a worker's address.
    params.address = reinterpret_cast<const ucp_address_t*>(address.data());
    params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
    params.err_handler.cb = [](void*, ucp_ep_h, ucs_status_t) {};
    if (ucp_ep_create(worker.get(), &params, &ep) != UCS_OK) std::abort();
  }
  void send(const std::byte* data, std::size_t size) {
    ucp_request_param_t params{};
    params.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK;
    params.cb.send = [](void* request, ucs_status_t, void*) { ucp_request_free(request); };
    if (UCS_PTR_IS_ERR(ucp_am_send_nbx(ep, ucx_worker::message_id, head, sizeof head, data, size, &params))) std::abort();
  }
  static ucs_status_t take(void* self, const void*, std::size_t, void* data, std::size_t size, const ucp_am_recv_param_t* how) {
    auto& side = *static_cast<messages*>(self);
    std::byte* const to = side.memory + side.at;
    side.at += size;
    if ((how->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0) {
      if (size != 0) std::memcpy(to, data, size);
      side.taken();
      return UCS_OK;
    }
    ucp_request_param_t params{};
    params.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    params.cb.recv_am = [](void* request, ucs_status_t, std::size_t, void* argument) {
      ucp_request_free(request);
      static_cast<messages*>(argument)->taken();
    };
    params.user_data = self;
    const auto posted = ucp_am_recv_data_nbx(side.worker.get(), data, to, size, &params);
    if (!UCS_PTR_IS_PTR(posted)) side.taken();
    return UCS_OK;
  }
  void taken() {
    if (++count == expected) at = 0, count = 0, done = true;
  }

  ucx_worker worker;
  ucp_ep_h ep = nullptr;
  std::vector<std::byte> own;
  std::byte* memory;
  std::size_t at = 0, count = 0, expected = 1;
  bool done = false;
  char head[lading::detail::ucx_head::wire_size] = {};  // what the transport puts before each
};

/// `count` messages of `size` bytes from one side to the other, and an answer to the last.
inline void send_and_wait(messages& near, messages& far, const std::byte* source, std::size_t count, std::size_t size) {
  far.expected = count;
  near.done = far.done = false;
  for (std::size_t i = 0; i < count; ++i) {
    near.send(source + i * size, size);
    if (i % 32 == 31) far.worker.progress();
  }
  while (!far.done) near.worker.progress(), far.worker.progress();
  far.send(nullptr, 0);
  while (!near.done) near.worker.progress(), far.worker.progress();
}

/// Puts into another worker's memory, as UCX itself does it.
class put_loop {
 public:
  explicit put_loop(std::size_t size) {
    for (side* each : {&near_, &far_}) {
      ucp_params_t params{};
      params.field_mask = UCP_PARAM_FIELD_FEATURES;
      params.features = UCP_FEATURE_RMA;
      ucp_worker_params_t worker{};
      if (ucp_init(&params, nullptr, &each->context) != UCS_OK || ucp_worker_create(each->context, &worker, &each->worker) != UCS_OK) std::abort();
    }
    ucp_mem_map_params_t wanted{};
    wanted.field_mask = UCP_MEM_MAP_PARAM_FIELD_LENGTH | UCP_MEM_MAP_PARAM_FIELD_FLAGS;
    wanted.length = size;
    wanted.flags = UCP_MEM_MAP_ALLOCATE;
    ucp_mem_attr_t found{};
    found.field_mask = UCP_MEM_ATTR_FIELD_ADDRESS;
    if (ucp_mem_map(far_.context, &wanted, &memory_) != UCS_OK || ucp_mem_query(memory_, &found) != UCS_OK) std::abort();
    // Safety: the address of memory that UCX allocated here.
    target_ = reinterpret_cast<std::uintptr_t>(found.address);
    std::memset(found.address, 0, size);
    ucp_address_t* address = nullptr;
    std::size_t length = 0;
    void* packed = nullptr;
    if (ucp_worker_get_address(far_.worker, &address, &length) != UCS_OK) std::abort();
    ucp_ep_params_t params{};
    params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS;
    params.address = address;
    if (ucp_ep_create(near_.worker, &params, &ep_) != UCS_OK || ucp_rkey_pack(far_.context, memory_, &packed, &length) != UCS_OK ||
        ucp_ep_rkey_unpack(ep_, packed, &key_) != UCS_OK) {
      std::abort();
    }
    ucp_rkey_buffer_release(packed);
    ucp_worker_release_address(far_.worker, address);
  }
  put_loop(const put_loop&) = delete;
  put_loop& operator=(const put_loop&) = delete;
  ~put_loop() {
    ucp_rkey_destroy(key_);
    finish(ucp_ep_close_nb(ep_, UCP_EP_CLOSE_MODE_FORCE));
    ucp_mem_unmap(far_.context, memory_);
    for (const side* each : {&near_, &far_}) ucp_worker_destroy(each->worker), ucp_cleanup(each->context);
  }
  void put(const std::byte* source, std::size_t count, std::size_t size) {
    const ucp_request_param_t params{};
    for (std::size_t i = 0; i < count; ++i) {
      const auto posted = ucp_put_nbx(ep_, source + i * size, size, target_ + i * size, key_, &params);
      if (UCS_PTR_IS_PTR(posted)) ucp_request_free(posted);
    }
    finish(ucp_ep_flush_nbx(ep_, &params));
  }

 private:
  struct side {
    ucp_context_h context = nullptr;
    ucp_worker_h worker = nullptr;
  };
  void finish(ucs_status_ptr_t request) {
    if (!UCS_PTR_IS_PTR(request)) return;
    while (ucp_request_check_status(request) == UCS_INPROGRESS) ucp_worker_progress(near_.worker), ucp_worker_progress(far_.worker);
    ucp_request_free(request);
  }

  side near_, far_;
  ucp_mem_h memory_ = nullptr;
  ucp_ep_h ep_ = nullptr;
  ucp_rkey_h key_ = nullptr;
  std::uint64_t target_ = 0;
};

}  // namespace bare
