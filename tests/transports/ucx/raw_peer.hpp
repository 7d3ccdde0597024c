// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// A peer that speaks the ucx transport's protocol by hand, so that tests can say what no honest one does.

#include <functional>

#include "rig.hpp"

namespace ucx_test {
using lading::detail::ucx_greeting;
using lading::detail::ucx_head;
using lading::detail::ucx_kind;
using lading::detail::ucx_record;

/// A bare UCX worker that keeps the messages it receives.
class raw_peer {
 public:
  struct message {
    ucx_head head;
    std::vector<std::byte> payload;
  };

  /// Connects to the endpoint at `target`; drive_target() makes progress there, where that is this process's to do.
  raw_peer(const char* lanes, bytes_view target, std::function<void()> drive_target) : drive_target_(std::move(drive_target)) {
    const auto opened = worker_.open({lanes, {}, {}}, &raw_peer::keep, this);
    EXPECT_TRUE(opened.has_value()) << opened.error().message();
    const auto decoded = decode_address(target).value();
    wanted_ = decoded.identity.endpoint;
    const auto native = decoded.native.subspan(ucx_greeting::wire_size);
    ucp_ep_params_t params{};
    params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
    // Safety: these are the bytes of a worker's address.
    params.address = reinterpret_cast<const ucp_address_t*>(native.data());
    params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
    params.err_handler.cb = [](void*, ucp_ep_h, ucs_status_t) {};
    EXPECT_EQ(ucp_ep_create(worker_.get(), &params, &ep_), UCS_OK);
    say_hello(2, number, address());
    const auto welcome = next();
    EXPECT_EQ(welcome.head.kind, ucx_kind::welcome);
    wire_ = welcome.head.request;
  }
  raw_peer(const raw_peer&) = delete;
  raw_peer& operator=(const raw_peer&) = delete;
  ~raw_peer() {
    ucp_request_param_t params{};
    params.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
    params.flags = UCP_EP_CLOSE_FLAG_FORCE;
    finish(ucp_ep_close_nbx(ep_, &params));
    if (forged_) worker_.abandon();  // what the target tries to say to a forged address may have left UCX here in a state in which it cannot end
  }

  [[nodiscard]] std::vector<std::byte> address() const { return worker_.address().value(); }

  /// Says hello as the endpoint of that identity, whose number of the wire is `request`, with this for its worker's address.
  void say_hello(std::uint64_t endpoint, std::uint64_t request, bytes_view worker_address) {
    const auto own = address();
    forged_ = forged_ || !std::equal(worker_address.begin(), worker_address.end(), own.begin(), own.end());
    std::vector<std::byte> hello(ucx_greeting::wire_size + worker_address.size());
    ucx_greeting{.process = 1, .endpoint = endpoint, .wanted = wanted_}.store(hello.data());
    if (!worker_address.empty()) std::memcpy(hello.data() + ucx_greeting::wire_size, worker_address.data(), worker_address.size());
    send({.kind = ucx_kind::hello, .request = request}, hello);
  }
  void send(ucx_head head, bytes_view payload = {}, std::size_t cut = ucx_head::wire_size, unsigned char flip = 0) {
    if (head.wire == 0 && head.kind != ucx_kind::hello) head.wire = wire_;
    ucx_head::raw raw;
    head.store(raw);
    raw[0] ^= std::byte{flip};
    ucp_request_param_t params{};
    finish(ucp_am_send_nbx(ep_, lading::detail::ucx_worker::message_id, raw.data(), cut, payload.data(), payload.size(), &params));
  }
  /// The next message; one of kind `hello` where none comes.
  message next(std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    for (const auto until = std::chrono::steady_clock::now() + patience; got_.empty() && std::chrono::steady_clock::now() < until;) drive();
    if (got_.empty()) return {};
    message first = std::move(got_.front());
    got_.erase(got_.begin());
    return first;
  }
  errc ask(const ucx_head& head, bytes_view payload = {}) {
    send(head, payload);
    message came = next();
    while (came.head.kind == ucx_kind::welcome) came = next();  // to hellos that were said since
    EXPECT_EQ(came.head.kind, ucx_kind::answer);
    return static_cast<errc>(came.head.size);
  }

  static constexpr std::uint64_t number = 77;

 private:
  static ucs_status_t keep(void* self, const void* head, std::size_t head_size, void* data, std::size_t size, const ucp_am_recv_param_t* how) {
    const auto parsed = ucx_head::load({static_cast<const std::byte*>(head), head_size});
    const auto* bytes = static_cast<const std::byte*>(data);
    const bool here = (how->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0 && size != 0;
    if (parsed)
      static_cast<raw_peer*>(self)->got_.push_back({*parsed, here ? std::vector<std::byte>(bytes, bytes + size) : std::vector<std::byte>()});
    return UCS_OK;
  }
  void drive() {
    worker_.progress();
    if (drive_target_) drive_target_();
  }
  void finish(ucs_status_ptr_t request) {
    if (!UCS_PTR_IS_PTR(request)) return;
    while (ucp_request_check_status(request) == UCS_INPROGRESS) drive();
    ucp_request_free(request);
  }

  std::function<void()> drive_target_;
  lading::detail::ucx_worker worker_;
  ucp_ep_h ep_ = nullptr;
  std::uint64_t wanted_ = 0, wire_ = 0;
  bool forged_ = false;
  std::vector<message> got_;
};

}  // namespace ucx_test
