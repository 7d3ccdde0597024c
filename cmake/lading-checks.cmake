# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#
# What the tests, examples, benchmarks and fuzz targets share.

# Warnings of the project's own sources; private to them.
if(NOT TARGET lading_warnings)
  set(LADING_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow CACHE INTERNAL "")
  add_library(lading_warnings INTERFACE)
  target_compile_options(lading_warnings INTERFACE ${LADING_WARNINGS} -Wno-sign-conversion)  # which clang++ counts as conversion; headers are held to it
  if(CMAKE_UNITY_BUILD)  # where sources share a unit, one's names shadow another's
    target_compile_options(lading_warnings INTERFACE -Wno-shadow)
  endif()
  if(LADING_WERROR)
    target_compile_options(lading_warnings INTERFACE -Werror)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # these look through inlined standard containers and are often wrong in g++ 12 and 13
      target_compile_options(lading_warnings INTERFACE -Wno-error=array-bounds -Wno-error=stringop-overflow -Wno-error=stringop-overread -Wno-error=maybe-uninitialized
                             -Wno-error=restrict -Wno-error=free-nonheap-object -Wno-error=dangling-pointer)
    endif()
  endif()
endif()

# The transports that can be linked here.
set(LADING_TRANSPORTS "")
foreach(name IN ITEMS loopback ucx verbs)
  string(TOUPPER ${name} upper)
  if(LADING_HAS_${upper})
    list(APPEND LADING_TRANSPORTS lading::${name})
  endif()
endforeach()

# Whether a program whose name begins with a transport's, such as ucx_bench, can be built here.
function(lading_has_transport_of result name)
  set(${result} TRUE PARENT_SCOPE)
  if(name MATCHES "^(loopback|ucx|verbs)_")
    string(TOUPPER ${CMAKE_MATCH_1} upper)
    set(${result} ${LADING_HAS_${upper}} PARENT_SCOPE)
  endif()
endfunction()

# The compiler with the includes of a target, for commands that are run as tests.
function(lading_compile_command result target)
  if(NOT CMAKE_CXX_STANDARD)
    set(CMAKE_CXX_STANDARD 20)
  endif()
  set(includes "$<TARGET_PROPERTY:${target},INTERFACE_INCLUDE_DIRECTORIES>")
  set(own "$<FILTER:${includes},INCLUDE,^${PROJECT_SOURCE_DIR}/(include|transports|stores|tests)>")
  set(foreign "$<FILTER:${includes},EXCLUDE,^(${PROJECT_SOURCE_DIR}/(include|transports|stores|tests)|/usr/include$|/usr/local/include$)>")
  set(${result} ${CMAKE_CXX_COMPILER} ${CMAKE_CXX${CMAKE_CXX_STANDARD}_STANDARD_COMPILE_OPTION} "$<$<BOOL:${own}>:-I$<JOIN:${own},$<SEMICOLON>-I>>"
                "$<$<BOOL:${foreign}>:-isystem$<SEMICOLON>$<JOIN:${foreign},$<SEMICOLON>-isystem$<SEMICOLON>>>" PARENT_SCOPE)
endfunction()

# A CTest that compiles one source without keeping anything, and looks at what the compiler said.
#   lading_add_compile_test(<name> SOURCE <file> [OPTIONS <flags>] [EXPECT_FILE <file>] [LABELS <labels>] [LINK <target>] [AFTER <header>])
# With EXPECT_FILE the compilation must fail and print the text after "// expect:" of each such line of that file. AFTER names a header that is
# included first, and which lading_add_precompiled_header has compiled once for all.
function(lading_add_compile_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SOURCE;EXPECT_FILE;LINK;AFTER" "OPTIONS;LABELS")
  if(NOT arg_LINK)
    set(arg_LINK lading)
  endif()
  if(arg_AFTER)
    list(APPEND arg_OPTIONS -include "${arg_AFTER}")
  endif()
  lading_compile_command(compiler ${arg_LINK})
  set(test ${LADING_TEST_PREFIX}${name})
  add_test(
    NAME ${test}
    COMMAND ${CMAKE_COMMAND} -D "EXPECT_FILE=${arg_EXPECT_FILE}" -P "${PROJECT_SOURCE_DIR}/cmake/compile_test.cmake" -- ${compiler} -fsyntax-only ${arg_OPTIONS} "${arg_SOURCE}"
    COMMAND_EXPAND_LISTS)
  set_tests_properties(${test} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 300)
  if(arg_AFTER)
    set_tests_properties(${test} PROPERTIES FIXTURES_REQUIRED "${LADING_TEST_PREFIX}${arg_AFTER}")
  endif()
endfunction()

# lading_add_precompiled_header(<name> <header> <labels>): a CTest that precompiles a header, before those that compile AFTER it.
function(lading_add_precompiled_header name header labels)
  lading_compile_command(compiler lading)
  set(extension pch)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set(extension gch)
  endif()
  set(test ${LADING_TEST_PREFIX}${name})
  add_test(NAME ${test} COMMAND ${compiler} -x c++-header "${header}" -o "${header}.${extension}" COMMAND_EXPAND_LISTS)
  set_tests_properties(${test} PROPERTIES LABELS "${labels}" TIMEOUT 300 FIXTURES_SETUP "${LADING_TEST_PREFIX}${header}")
endfunction()
