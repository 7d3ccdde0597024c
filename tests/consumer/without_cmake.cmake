# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#
# Compiles and runs the consumer with nothing but compiler flags: those that pkg-config prints, or -I of the source tree.

cmake_minimum_required(VERSION 3.24...3.31)
set(sources "${CMAKE_CURRENT_LIST_DIR}/../../test_package/package_test.cpp")
set(flags -std=c++20)
if(EXISTS "${DEPS}/usr/include")
  list(APPEND flags -isystem "${DEPS}/usr/include")
endif()

if(WAY STREQUAL "pkg_config")
  find_program(pkg_config NAMES pkg-config pkgconf)
  if(NOT pkg_config)
    message(STATUS "no pkg-config here")
    execute_process(COMMAND "${CMAKE_COMMAND}" -E echo "skipped: pkg-config is not installed")
    return()
  endif()
  file(GLOB unpacked "${DEPS}/usr/lib/*/pkgconfig")
  list(JOIN unpacked ":" unpacked)
  set(ENV{PKG_CONFIG_PATH} "${PREFIX}/share/pkgconfig:${unpacked}")
  execute_process(COMMAND "${pkg_config}" --cflags --libs lading OUTPUT_VARIABLE printed OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(printed UNIX_COMMAND "${printed}")
  if("-lxxhash" IN_LIST printed)
    message(FATAL_ERROR "pkg-config asks for a library that header-only code does not link: ${printed}")
  endif()
  list(APPEND flags ${printed})
else()
  list(APPEND flags "-I${SOURCE}/include" "-I${SOURCE}/transports/loopback" -pthread)
endif()

execute_process(COMMAND "${COMPILER}" ${sources} ${flags} -o "${OUTPUT}" COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${OUTPUT}" COMMAND_ERROR_IS_FATAL ANY)
