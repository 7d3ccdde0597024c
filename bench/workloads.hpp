// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What the codec is measured on: W1 monsters (many small strings and vectors), W2 a flat struct, W5 tensors of 128 MiB, W6 samples of a rollout; a trailing _view
// is the borrowing twin. And the yardstick: what a careful programmer writes by hand for exactly these types, without bounds checks, by memcpy.

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace workload {

enum color : std::uint8_t { red, green, blue };
struct vec3 {
  float x, y, z;
};
struct weapon {
  std::string name;
  std::int16_t damage;
};
struct monster {
  vec3 pos;
  std::int16_t mana, hp;
  std::string name;
  std::vector<std::uint8_t> inventory;
  enum color color;
  std::vector<weapon> weapons;
  weapon equipped;
  std::vector<vec3> path;
};
struct w1 {
  std::vector<monster> items;
};
struct weapon_view {
  std::string_view name;
  std::int16_t damage;
};
struct monster_view {
  vec3 pos;
  std::int16_t mana, hp;
  std::string_view name;
  std::span<const std::uint8_t> inventory;
  enum color color;
  std::vector<weapon_view> weapons;
  weapon_view equipped;
  std::span<const vec3> path;
};
struct w1_view {
  std::vector<monster_view> items;
};

struct w2 {
  std::int64_t a;
  std::uint16_t b;
  double c;
  std::uint8_t d;
  float e;
  std::int32_t f;
  std::int8_t g;
  std::uint64_t h;
  std::int16_t i;
  float j;
  std::uint32_t k;
  bool l;
  double m;
  std::int32_t n;
  std::uint8_t o;
  std::int64_t p;
};

struct tensor_item {
  std::string key;
  std::array<std::int64_t, 4> shape;
  std::uint8_t dtype;
  std::vector<std::uint8_t> data;
};
struct w5 {
  std::vector<tensor_item> items;
};
struct tensor_item_view {
  std::string_view key;
  std::array<std::int64_t, 4> shape;
  std::uint8_t dtype;
  std::span<const std::uint8_t> data;
};
struct w5_view {
  std::vector<tensor_item_view> items;
};

struct sample {
  std::int64_t id;
  std::string uid;
  std::vector<std::int32_t> tokens;
  std::vector<float> logprobs;
  std::vector<std::uint8_t> mask;
  double reward;
};
struct w6 {
  std::vector<sample> items;
};
struct sample_view {
  std::int64_t id;
  std::string_view uid;
  std::span<const std::int32_t> tokens;
  std::span<const float> logprobs;
  std::span<const std::uint8_t> mask;
  double reward;
};
struct w6_view {
  std::vector<sample_view> items;
};

// ---- values -----------------------------------------------------------------------------------------------------------------------------------------

class maker {
 public:
  explicit maker(unsigned seed) : random_(seed) {}

  template <class Number>
  Number between(int low, int high) {
    return static_cast<Number>(low + static_cast<int>(random_() % static_cast<unsigned>(high - low + 1)));
  }
  float fraction() { return static_cast<float>(random_()) / 4294967296.0F * 2 - 1; }
  std::string text(int low, int high) {
    std::string made(between<std::size_t>(low, high), ' ');
    for (char& letter : made) letter = between<char>('A', 'Z');
    return made;
  }
  vec3 point() { return {fraction(), fraction(), fraction()}; }
  weapon arm() { return {text(1, 10), between<std::int16_t>(0, 32767)}; }

 private:
  std::mt19937 random_;
};

inline w1 make_w1() {
  maker make(1);
  w1 made;
  made.items.resize(1024);
  for (monster& item : made.items) {
    item.name = make.text(1, 10);
    item.pos = make.point();
    item.color = make.between<color>(0, 2);
    item.hp = make.between<std::int16_t>(0, 999);
    item.mana = make.between<std::int16_t>(0, 499);
    item.inventory.resize(make.between<std::size_t>(1, 10));
    for (auto& entry : item.inventory) entry = make.between<std::uint8_t>(1, 10);
    item.path.resize(make.between<std::size_t>(1, 10));
    for (auto& point : item.path) point = make.point();
    item.equipped = make.arm();
    item.weapons.resize(make.between<std::size_t>(1, 10));
    for (auto& arm : item.weapons) arm = make.arm();
  }
  return made;
}

inline w2 make_w2() {
  w2 made;
  std::memset(static_cast<void*>(&made), 0, sizeof made);
  made.a = -5, made.b = 700, made.c = 3.5, made.d = 9, made.e = 1.5F, made.f = -100000, made.g = -7, made.h = 1ULL << 60, made.i = -300,
  made.j = 2.25F;
  made.k = 4000000000U, made.l = true, made.m = 1e300, made.n = 77, made.o = 200, made.p = 1LL << 40;
  return made;
}

inline w5 make_w5() {
  w5 made;
  made.items.resize(32);
  std::uint64_t seed = 88172645463325252ULL;
  for (std::size_t i = 0; i < made.items.size(); ++i) {
    tensor_item& item = made.items[i];
    item.key = "model.layers." + std::to_string(i) + ".self_attn.q_proj.weight";
    item.shape = {1, 1, 2048, 1024};
    item.dtype = 11;
    item.data.resize(std::size_t{4} << 20);
    std::uint64_t word = seed++;
    for (std::size_t at = 0; at < item.data.size(); at += 8) {
      word ^= word << 13;
      word ^= word >> 7;
      word ^= word << 17;
      std::memcpy(&item.data[at], &word, 8);
    }
  }
  return made;
}

inline w6 make_w6() {
  maker make(6);
  w6 made;
  made.items.resize(1024);
  std::int64_t id = 1000000;
  for (sample& item : made.items) {
    item.id = id++;
    item.uid = "rollout-" + make.text(24, 24);
    item.tokens.resize(512);
    for (auto& token : item.tokens) token = make.between<std::int32_t>(0, 150000);
    item.logprobs.resize(512);
    for (auto& value : item.logprobs) value = -std::abs(make.fraction());
    item.mask.resize(512);
    for (auto& bit : item.mask) bit = make.between<std::uint8_t>(0, 1);
    item.reward = static_cast<double>(make.fraction());
  }
  return made;
}

// ---- by hand ----------------------------------------------------------------------------------------------------------------------------------------

namespace by_hand {

#define BY_HAND [[gnu::always_inline]] inline

template <class T>
BY_HAND void write(char*& at, const T& value) {
  std::memcpy(at, &value, sizeof value);
  at += sizeof value;
}
BY_HAND void write_bytes(char*& at, const void* source, std::size_t size) {
  std::memcpy(at, source, size);
  at += size;
}
template <class Array>
BY_HAND void write_array(char*& at, const Array& array) {
  write(at, static_cast<std::uint32_t>(array.size()));
  write_bytes(at, array.data(), array.size() * sizeof(*array.data()));
}
template <class T>
BY_HAND void read(const char*& at, T& value) {
  std::memcpy(static_cast<void*>(&value), at, sizeof value);
  at += sizeof value;
}
BY_HAND void read_bytes(const char*& at, void* target, std::size_t size) {
  std::memcpy(target, at, size);
  at += size;
}
BY_HAND std::uint32_t read_count(const char*& at) {
  std::uint32_t count;
  read(at, count);
  return count;
}
template <class Owner>
BY_HAND void read_array(const char*& at, Owner& owner) {
  const std::uint32_t count = read_count(at);
  const auto* items = reinterpret_cast<const typename Owner::value_type*>(at);
  if constexpr (requires { owner.assign(items, items + count); })
    owner.assign(items, items + count);
  else
    owner = Owner(items, count);
  at += count * sizeof(typename Owner::value_type);
}

inline std::size_t encode(const w1& value, char* target) {
  char* at = target;
  write(at, static_cast<std::uint32_t>(value.items.size()));
  for (const monster& item : value.items) {
    write_bytes(at, &item.pos, 16);  // pos, mana and hp lie together
    write_array(at, item.name);
    write_array(at, item.inventory);
    write(at, item.color);
    write(at, static_cast<std::uint32_t>(item.weapons.size()));
    for (const weapon& arm : item.weapons) {
      write_array(at, arm.name);
      write(at, arm.damage);
    }
    write_array(at, item.equipped.name);
    write(at, item.equipped.damage);
    write_array(at, item.path);
  }
  return static_cast<std::size_t>(at - target);
}
template <class W1>
void decode_w1(const char* at, W1& value) {
  value.items.resize(read_count(at));
  for (auto& item : value.items) {
    read_bytes(at, &item.pos, 16);
    read_array(at, item.name);
    read_array(at, item.inventory);
    read(at, item.color);
    item.weapons.resize(read_count(at));
    for (auto& arm : item.weapons) {
      read_array(at, arm.name);
      read(at, arm.damage);
    }
    read_array(at, item.equipped.name);
    read(at, item.equipped.damage);
    read_array(at, item.path);
  }
}
inline void decode(const char* at, w1& value) { decode_w1(at, value); }
inline void decode(const char* at, w1_view& value) { decode_w1(at, value); }

inline std::size_t encode(const w2& value, char* target) {
  std::memcpy(target, &value, sizeof value);
  return sizeof value;
}
inline void decode(const char* at, w2& value) { std::memcpy(static_cast<void*>(&value), at, sizeof value); }

inline std::size_t encode(const w5& value, char* target) {
  char* at = target;
  write(at, static_cast<std::uint32_t>(value.items.size()));
  for (const tensor_item& item : value.items) {
    write_array(at, item.key);
    write_bytes(at, &item.shape, 33);  // shape and dtype lie together
    write_array(at, item.data);
  }
  return static_cast<std::size_t>(at - target);
}
template <class W5>
void decode_w5(const char* at, W5& value) {
  value.items.resize(read_count(at));
  for (auto& item : value.items) {
    read_array(at, item.key);
    read_bytes(at, &item.shape, 33);
    read_array(at, item.data);
  }
}
inline void decode(const char* at, w5& value) { decode_w5(at, value); }
inline void decode(const char* at, w5_view& value) { decode_w5(at, value); }

inline std::size_t encode(const w6& value, char* target) {
  char* at = target;
  write(at, static_cast<std::uint32_t>(value.items.size()));
  for (const sample& item : value.items) {
    write(at, item.id);
    write_array(at, item.uid);
    write_array(at, item.tokens);
    write_array(at, item.logprobs);
    write_array(at, item.mask);
    write(at, item.reward);
  }
  return static_cast<std::size_t>(at - target);
}
template <class W6>
void decode_w6(const char* at, W6& value) {
  value.items.resize(read_count(at));
  for (auto& item : value.items) {
    read(at, item.id);
    read_array(at, item.uid);
    read_array(at, item.tokens);
    read_array(at, item.logprobs);
    read_array(at, item.mask);
    read(at, item.reward);
  }
}
inline void decode(const char* at, w6& value) { decode_w6(at, value); }
inline void decode(const char* at, w6_view& value) { decode_w6(at, value); }

#undef BY_HAND

}  // namespace by_hand
}  // namespace workload
