# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#
# cmake -D EXPECT_FILE=<file or empty> -P compile_test.cmake -- <compiler and arguments>
# Without EXPECT_FILE the command must succeed in silence; with it, it must fail and print what follows "// expect:" on lines of that file.

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

set(ENV{LC_ALL} C)  # what is expected is in English
execute_process(COMMAND ${command} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
list(JOIN command " " line)

if(NOT EXPECT_FILE)
  if(NOT status EQUAL 0 OR NOT output STREQUAL "")
    message(FATAL_ERROR "should compile without a word:\n${line}\n${output}")
  endif()
  return()
endif()

if(status EQUAL 0)
  message(FATAL_ERROR "compiled, and should not have:\n${line}\n${output}")
endif()
file(STRINGS "${EXPECT_FILE}" expectations REGEX "^// expect: ")
if(NOT expectations)
  message(FATAL_ERROR "${EXPECT_FILE} has no line that begins with \"// expect: \"")
endif()
foreach(expectation IN LISTS expectations)
  string(REPLACE "// expect: " "" text "${expectation}")
  string(STRIP "${text}" text)
  string(FIND "${output}" "${text}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "the compiler did not print \"${text}\":\n${line}\n${output}")
  endif()
endforeach()
