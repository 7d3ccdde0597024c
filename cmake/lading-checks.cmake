# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#
# What the tests, examples, benchmarks and fuzz targets share.

# Warnings of the project's own sources; private to them.
if(NOT TARGET lading_warnings)
  set(LADING_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow CACHE INTERNAL "")
  add_library(lading_warnings INTERFACE)
  target_compile_options(lading_warnings INTERFACE ${LADING_WARNINGS} -Wno-sign-conversion)  # which clang++ counts as conversion; headers are held to it
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

# A CTest that compiles one source without keeping anything, and looks at what the compiler said.
#   lading_add_compile_test(<name> SOURCE <file> [OPTIONS <flags>] [EXPECT_FILE <file>] [LABELS <labels>] [LINK <target>])
# With EXPECT_FILE the compilation must fail and print the text after "// expect:" of each such line of that file.
function(lading_add_compile_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SOURCE;EXPECT_FILE;LINK" "OPTIONS;LABELS")
  if(NOT arg_LINK)
    set(arg_LINK lading)
  endif()
  if(NOT CMAKE_CXX_STANDARD)
    set(CMAKE_CXX_STANDARD 20)
  endif()
  set(includes "$<TARGET_PROPERTY:${arg_LINK},INTERFACE_INCLUDE_DIRECTORIES>")
  set(own "$<FILTER:${includes},INCLUDE,^${PROJECT_SOURCE_DIR}/(include|transports|stores|tests)>")
  set(foreign "$<FILTER:${includes},EXCLUDE,^(${PROJECT_SOURCE_DIR}/(include|transports|stores|tests)|/usr/include$|/usr/local/include$)>")
  add_test(
    NAME ${LADING_TEST_PREFIX}${name}
    COMMAND
      ${CMAKE_COMMAND} -D "EXPECT_FILE=${arg_EXPECT_FILE}" -P "${PROJECT_SOURCE_DIR}/cmake/compile_test.cmake" -- ${CMAKE_CXX_COMPILER} ${CMAKE_CXX${CMAKE_CXX_STANDARD}_STANDARD_COMPILE_OPTION} -fsyntax-only
      ${arg_OPTIONS} "$<$<BOOL:${own}>:-I$<JOIN:${own},;-I>>" "$<$<BOOL:${foreign}>:-isystem;$<JOIN:${foreign},;-isystem;>>" "${arg_SOURCE}"
    COMMAND_EXPAND_LISTS)
  set_tests_properties(${LADING_TEST_PREFIX}${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 300)
endfunction()
