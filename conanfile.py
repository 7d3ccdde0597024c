# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load

required_conan_version = ">=2.4"


class LadingConan(ConanFile):
    name = "lading"
    description = "Typed values and tensors in one validated buffer, shipped and opened without copying"
    license = "Apache-2.0"
    topics = ("serialization", "tensors", "rdma", "zero-copy", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"with_ucx": [True, False], "with_rdma": [True, False]}
    default_options = {
        "with_ucx": False,
        "with_rdma": False,
        "boost/*:header_only": True,
        "xxhash/*:utility": False,
        "rdma-core/*:build_librdmacm": True,
    }
    exports_sources = "CMakeLists.txt", "LICENSE", "README.md", "CHANGELOG.md", "cmake/*", "include/*", "transports/*", "stores/*", "tests/*", "tools/*"
    no_copy_source = True

    def set_version(self):
        text = load(self, os.path.join(self.recipe_folder, "include", "lading", "version.hpp"))
        parts = dict(re.findall(r"#define LADING_VERSION_(MAJOR|MINOR|PATCH) (\d+)", text))
        self.version = f"{parts['MAJOR']}.{parts['MINOR']}.{parts['PATCH']}"

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        self.requires("boost/[>=1.81 <2]", transitive_headers=True)
        self.requires("xxhash/[>=0.8.1 <1]", transitive_headers=True)
        self.requires("tl-expected/[>=1.0.0 <2]", transitive_headers=True)
        if self.options.with_ucx:
            self.requires("openucx/[>=1.13 <2]", transitive_headers=True, transitive_libs=True)
        if self.options.with_rdma:
            self.requires("rdma-core/[>=44]", transitive_headers=True, transitive_libs=True)

    def build_requirements(self):
        self.test_requires("gtest/[>=1.12 <2]")

    def package_id(self):
        self.info.clear()

    def validate(self):
        check_min_cppstd(self, 20)

    def _tested(self):
        return not self.conf.get("tools.build:skip_test", default=False, check_type=bool)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["LADING_BUILD_TESTS"] = self._tested()
        # Enough to see that the requirements fit; the whole suite is the repository's matter.
        toolchain.cache_variables["LADING_TEST_PROGRAMS"] = "core;memory;pack;lading"
        toolchain.cache_variables["LADING_TEST_PACKAGING"] = False
        toolchain.cache_variables["LADING_TEST_SOURCES"] = False
        toolchain.cache_variables["LADING_TEST_HEADERS"] = False
        toolchain.cache_variables["LADING_TEST_LARGE"] = False
        toolchain.cache_variables["LADING_BUILD_EXAMPLES"] = False
        toolchain.cache_variables["LADING_BUILD_FUZZ"] = False
        toolchain.cache_variables["LADING_INSTALL"] = True
        toolchain.cache_variables["LADING_WITH_UCX"] = "ON" if self.options.with_ucx else "OFF"
        toolchain.cache_variables["LADING_WITH_VERBS"] = "ON" if self.options.with_rdma else "OFF"
        toolchain.cache_variables["LADING_WITH_REDIS"] = "OFF"
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()
        if self._tested():
            cmake.ctest(cli_args=["--output-on-failure", "--no-tests=error"])

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()

    def package_info(self):
        # The project's own CMake config is used: it finds what a platform provides as well as what Conan built.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("share", "cmake", "lading")]
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
