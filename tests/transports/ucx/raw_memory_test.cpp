// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A peer that ignores the protocol, and has UCX itself put, get and add by address: inside a region, past it, after it was deregistered, where nothing
// was ever registered, and where there is no memory. It is a process of its own, for such requests may well crash who makes them.
//
// Its lanes leave out cma: what the kernel lets one process of a user do to another, as a debugger does, no transport can refuse.

#if defined(__linux__)

#include <cinttypes>
#include <fstream>

#include <ucs/config/global_opts.h>

#include "rig.hpp"

namespace raw_memory_test {
using namespace lading;

std::string to_hex(bytes_view bytes) {
  std::string text;
  for (const std::byte each : bytes) text += "0123456789abcdef"[static_cast<int>(each) >> 4], text += "0123456789abcdef"[static_cast<int>(each) & 15];
  return text;
}
std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) bytes.push_back(static_cast<std::byte>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

/// Asks UCX at that worker's for every address; returns how many requests UCX accepted and ended.
int attack(const char* lanes, const std::vector<std::byte>& worker_address, const std::vector<std::uint64_t>& addresses) {
  ucp_config_t* config = nullptr;
  if (ucp_config_read(nullptr, nullptr, &config) != UCS_OK) return 100;
  ucp_config_modify(config, "TLS", lanes);
  ucp_config_modify(config, "MM_ERROR_HANDLING", "y");
  ucp_params_t params{};
  params.field_mask = UCP_PARAM_FIELD_FEATURES;
  params.features = UCP_FEATURE_RMA | UCP_FEATURE_AMO64 | UCP_FEATURE_AM;
  ucp_context_h context = nullptr;
  ucp_worker_h worker = nullptr;
  const ucp_worker_params_t single{};
  if (ucp_init(&params, config, &context) != UCS_OK || ucp_worker_create(context, &single, &worker) != UCS_OK) return 101;
  ucp_ep_params_t target{};
  target.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
  // Safety: these are the bytes of a worker's address.
  target.address = reinterpret_cast<const ucp_address_t*>(worker_address.data());
  target.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  target.err_handler.cb = [](void*, ucp_ep_h, ucs_status_t) {};
  ucp_ep_h ep = nullptr;
  if (ucp_ep_create(worker, &target, &ep) != UCS_OK) return 102;
  // A key of its own memory: the target gave it none.
  std::vector<std::byte> own(1 << 20, std::byte{0x66});
  ucp_mem_map_params_t mapped{};
  mapped.field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH;
  mapped.address = own.data();
  mapped.length = own.size();
  ucp_mem_h memory = nullptr;
  void* packed = nullptr;
  std::size_t packed_size = 0;
  ucp_rkey_h key = nullptr;
  if (ucp_mem_map(context, &mapped, &memory) != UCS_OK || ucp_rkey_pack(context, memory, &packed, &packed_size) != UCS_OK ||
      ucp_ep_rkey_unpack(ep, packed, &key) != UCS_OK) {
    return 0;
  }
  const ucp_request_param_t plain{};
  std::vector<ucs_status_ptr_t> requests;
  for (const std::uint64_t address : addresses) {
    for (const std::size_t size : {std::size_t{8}, std::size_t{5000}, own.size()}) {
      requests.push_back(ucp_put_nbx(ep, own.data(), size, address, key, &plain));
      requests.push_back(ucp_get_nbx(ep, own.data(), size, address, key, &plain));
    }
    requests.push_back(ucp_atomic_op_nbx(ep, UCP_ATOMIC_OP_ADD, own.data(), 1, address & ~std::uint64_t{7}, key, &plain));
  }
  requests.push_back(ucp_ep_flush_nbx(ep, &plain));
  for (const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(500); std::chrono::steady_clock::now() < until;)
    ucp_worker_progress(worker);
  int ended = 0;
  for (const ucs_status_ptr_t each : requests) ended += UCS_PTR_IS_PTR(each) && ucp_request_check_status(each) == UCS_OK;
  return std::min(ended, 99);
}

/// Started as the attacker, this program is one, and runs no test.
[[maybe_unused]] const bool is_no_attacker = [] {
  std::ifstream file("/proc/self/cmdline");
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  if (words.size() < 5 || words[1] != "--ucx-attacker") return true;
  ucs_global_opts_set_value("LOG_LEVEL", "fatal");
  ucs_global_opts_set_value("HANDLE_ERRORS", "none");
  std::vector<std::uint64_t> addresses;
  for (std::size_t i = 4; i < words.size(); ++i) addresses.push_back(std::stoull(words[i], nullptr, 16));
  std::_Exit(attack(words[2].c_str(), from_hex(words[3]), addresses));
}();

struct messages_lane : ucx_test::shared_memory {
  static constexpr const char* attack_lanes = "posix,sysv,self";
};
struct tcp_lane : ucx_test::tcp {
  static constexpr const char* attack_lanes = "tcp";
};

template <class Lanes>
class ucx_raw_memory : public ucx_test::on_lanes<Lanes> {};
using all_lanes = testing::Types<tcp_lane, messages_lane>;
TYPED_TEST_SUITE(ucx_raw_memory, all_lanes);

TYPED_TEST(ucx_raw_memory, is_out_of_reach) {
  ucs_global_opts_set_value("LOG_LEVEL", "fatal");
  constexpr std::size_t size = std::size_t{1} << 20;
  ucx target = ucx_test::make<TypeParam>().value();
  ucx_test::rig<TypeParam> rig;
  auto honest = rig.make({}).value();
  conformance::guarded_memory registered(size), unregistered(size), former(size);
  const region here = target.register_region(registered.bytes()).value(), allocated = target.allocate_region(size).value();
  ASSERT_TRUE(target.register_region(former.bytes()).value().deregister().has_value());
  const peer_id peer = conformance::connect(honest, target);

  const auto address = target.address().value();
  const std::string native = to_hex(decode_address(address).value().native.subspan(lading::detail::ucx_greeting::wire_size));
  std::vector<std::string> words{"/proc/self/exe", "--ucx-attacker", TypeParam::attack_lanes, native};
  const auto name_address = [&](std::uintptr_t number) {
    char text[32];
    std::snprintf(text, sizeof text, "%" PRIxPTR, number);
    words.emplace_back(text);
  };
  for (const std::byte* const each :
       {registered.bytes().data(), registered.bytes().data() + size - 4, unregistered.bytes().data(), former.bytes().data(), allocated.data()}) {
    // Safety: the attacker is told the number only.
    name_address(reinterpret_cast<std::uintptr_t>(each));
  }
  name_address(0x10);
  std::vector<char*> arguments;
  for (std::string& each : words) arguments.push_back(each.data());
  arguments.push_back(nullptr);
  ::pid_t pid = -1;
  ASSERT_EQ(::posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, arguments.data(), ::environ), 0);
  int status = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    target.progress();
    if (std::chrono::steady_clock::now() > until) ::kill(pid, SIGKILL);
  }
  // It may have crashed, or been refused from the first; but it has got as far as asking.
  EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) >= 100) << WEXITSTATUS(status);
  for (int i = 0; i < 1000; ++i) target.progress();

  const auto zero = [](bytes_view bytes) { return std::all_of(bytes.begin(), bytes.end(), [](std::byte one) { return one == std::byte{0}; }); };
  for (auto* const each : {&registered, &unregistered, &former}) EXPECT_TRUE(each->intact() && zero(each->bytes()));
  EXPECT_TRUE(zero(allocated.bytes()));
  // The target is alive, and serves who asks rightly.
  const region source = honest.allocate_region(size).value();
  conformance::fill(source.bytes(), 4);
  const slice all{source.id(), honest.import_region(peer, target.export_region(here).value()).value(), 0, 0, size};
  transfer running = honest.submit(peer, op::put, std::span(&all, 1)).value();
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!running.ready() && std::chrono::steady_clock::now() < patience) honest.progress(), target.progress();
  ASSERT_TRUE(running.ready() && running.how().ok());
  EXPECT_TRUE(conformance::same(registered.bytes(), source.bytes()));
}

}  // namespace raw_memory_test

#endif
