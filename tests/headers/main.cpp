// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Linked with two translation units that each include every header: a function that is not inline would be defined twice.

#include <cstdio>

int first_unit();
int second_unit();

int main() {
  std::printf("version %d in both units\n", first_unit());
  return first_unit() == second_unit() ? 0 : 1;
}
