# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#
# Only when lading is the top-level project: compiler cache, warnings and sanitizers of its own programs.

set_property(GLOBAL PROPERTY USE_FOLDERS TRUE)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(LADING_CCACHE ccache)
  mark_as_advanced(LADING_CCACHE)
  if(LADING_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND};-E;env;CCACHE_SLOPPINESS=pch_defines,time_macros;${LADING_CCACHE}")
  endif()
endif()

if(LADING_SANITIZE)
  add_compile_options(-fsanitize=${LADING_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${LADING_SANITIZE})
endif()
