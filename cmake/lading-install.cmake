# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#
# Installs the headers, a CMake config in share/cmake/lading and a pkg-config file. Nothing installed depends on the architecture.

include(CMakePackageConfigHelpers)
set(config_dir "${CMAKE_INSTALL_DATADIR}/cmake/lading")

get_property(header_targets GLOBAL PROPERTY LADING_HEADER_TARGETS)
foreach(target IN LISTS header_targets)
  get_target_property(include_dir ${target} LADING_INSTALL_INCLUDE)
  get_target_property(export_set ${target} LADING_EXPORT_SET)
  if(NOT export_set)
    set(export_set lading)
  endif()
  install(TARGETS ${target} EXPORT ${export_set} FILE_SET HEADERS DESTINATION "${include_dir}")
  list(APPEND export_sets ${export_set})
endforeach()
list(REMOVE_DUPLICATES export_sets)
foreach(export_set IN LISTS export_sets)  # one file each, so that a component is only there where what it needs is
  install(EXPORT ${export_set} NAMESPACE lading:: FILE lading-targets-${export_set}.cmake DESTINATION "${config_dir}")
endforeach()

configure_package_config_file(cmake/lading-config.cmake.in "${PROJECT_BINARY_DIR}/lading-config.cmake" INSTALL_DESTINATION "${config_dir}" NO_SET_AND_CHECK_MACRO
                              NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/lading-config-version.cmake" COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/lading-config.cmake" "${PROJECT_BINARY_DIR}/lading-config-version.cmake" cmake/lading-dependencies.cmake DESTINATION "${config_dir}")

# The prefix is found from the file's own place, so the installed tree can be moved. One file for each export set, as above.
set(pc_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")
file(RELATIVE_PATH pc_to_prefix "/${pc_dir}" "/")
foreach(export_set IN LISTS export_sets)
  set(pc_name lading)
  set(pc_requires "")
  set(pc_requires_private libxxhash)
  if(NOT export_set STREQUAL "lading")
    get_target_property(needs lading_${export_set} LADING_PKG_CONFIG)
    set(pc_name lading-${export_set})
    set(pc_requires lading ${needs})
    set(pc_requires_private "")
  endif()
  list(JOIN pc_requires ", " pc_requires)
  configure_file(cmake/lading.pc.in "${PROJECT_BINARY_DIR}/${pc_name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${pc_name}.pc" DESTINATION "${pc_dir}")
endforeach()
install(FILES LICENSE README.md CHANGELOG.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
