# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#
# cmake -D EXPECT=<text> | -D REFUSES=<text> | -D MANIFEST=<file> -D KEY=<key>  -P run_test.cmake -- <program and arguments>
# With EXPECT the program must succeed, print that text, and say nothing on standard error. Otherwise it must fail, print nothing, and say one
# line on standard error that contains the text: REFUSES, or what follows KEY in its line of MANIFEST.

cmake_minimum_required(VERSION 3.24...3.31)

set(command "")
set(rest FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
  if(rest)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif(CMAKE_ARGV${i} STREQUAL "--")
    set(rest TRUE)
  endif()
endforeach()

set(ENV{LC_ALL} C)
execute_process(COMMAND ${command} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE complaint)
set(seen "status ${status}\noutput: ${output}\nstandard error: ${complaint}")

if(EXPECT)
  string(FIND "${output}" "${EXPECT}" at)
  if(NOT status STREQUAL "0" OR at EQUAL -1 OR NOT complaint STREQUAL "")
    message(FATAL_ERROR "should succeed and print \"${EXPECT}\"\n${seen}")
  endif()
  return()
endif()

if(MANIFEST)
  file(READ "${MANIFEST}" lines)
  if(NOT "\n${lines}" MATCHES "\n${KEY} ([^\n]+)\n")
    message(FATAL_ERROR "${MANIFEST} has no line for ${KEY}")
  endif()
  set(REFUSES "${CMAKE_MATCH_1}")
endif()
string(FIND "${complaint}" "${REFUSES}" at)
if(NOT status MATCHES "^[12]$" OR at EQUAL -1 OR NOT output STREQUAL "" OR NOT complaint MATCHES "^demo: [^\n]+\n$")
  message(FATAL_ERROR "should fail and say one line with \"${REFUSES}\"\n${seen}")
endif()
