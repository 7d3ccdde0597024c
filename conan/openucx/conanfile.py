# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
"""The UCX that the system has, as a Conan package: ConanCenter has none. `conan create conan/openucx` once, then lading's option with_ucx."""

from io import StringIO

from conan import ConanFile
from conan.tools.gnu import PkgConfig

required_conan_version = ">=2.4"


class SystemUcxConan(ConanFile):
    name = "openucx"
    description = "Unified Communication X, as installed on the system"
    license = "BSD-3-Clause"
    package_type = "shared-library"
    settings = "os", "arch"

    def set_version(self):
        version = StringIO()
        self.run("pkg-config --modversion ucx", stdout=version)
        self.version = version.getvalue().strip()

    def package_id(self):
        self.info.clear()

    def package_info(self):
        # find_package and pkg-config find the system's own files.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.includedirs = []
        PkgConfig(self, "ucx").fill_cpp_info(self.cpp_info, is_system=True)
