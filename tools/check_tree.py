#!/usr/bin/env python3
# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
"""Checks the files that git tracks for what a compiler does not see: licence lines, paths of somebody's machine, unexplained casts, long headers.

Prints one line for each finding and exits with 1 where there is any.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

LICENSED = {".hpp", ".cpp", ".h", ".py", ".cmake", ".sh"}
LICENSED_NAMES = {"CMakeLists.txt", "dev", "run", ".clang-format", ".clang-tidy"}
LICENCE = "Copyright the lading authors. SPDX-License-Identifier: Apache-2.0"

# A folder of one machine: it works for nobody else. Temporary files are asked for, not named.
MACHINE_PATH = re.compile(r"(?<![\w./}*-])/(?:home|root|tmp|work|mnt|srv|Users)/\w")
HEADER_LINES = 450
CAST = re.compile(r"reinterpret_cast<(?!(?:std::)?uintptr_t>)")  # an address as a number is no access


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=False, capture_output=True, text=True)
    return [pathlib.Path(name) for name in listed.stdout.split("\0") if name]


def findings_in(name, text):
    lines = text.split("\n")
    if (name.suffix in LICENSED or name.name in LICENSED_NAMES) and LICENCE not in "\n".join(lines[:3]):
        yield f"{name}:1: does not begin with the licence line"
    if text and not text.endswith("\n"):
        yield f"{name}:{len(lines)}: the last line does not end"
    for number, line in enumerate(lines, 1):
        if name != pathlib.Path("tools/check_tree.py") and MACHINE_PATH.search(line):
            yield f"{name}:{number}: a path of one machine: {line.strip()}"
        if line.endswith((" ", "\t", "\r")) and name.suffix != ".md" and name.name != "LICENSE":
            yield f"{name}:{number}: ends in white space"
    if name.suffix != ".hpp" or name.parts[0] not in ("include", "transports"):
        return
    if "#pragma once" not in lines:
        yield f"{name}:1: has no #pragma once"
    if len(lines) > HEADER_LINES:
        print(f"note: {name}:{len(lines)}: longer than {HEADER_LINES} lines; is there a second idea in it?")
    for number, line in enumerate(lines, 1):
        if CAST.search(line) and "// Safety:" not in "\n".join(lines[max(0, number - 5):number]):
            yield f"{name}:{number}: a reinterpret_cast without its // Safety: line"


def main():
    names = tracked() if (ROOT / ".git").exists() else []
    if not names:
        print("skipped: not a checkout of git")
        return 0
    found = []
    for name in names:
        path = ROOT / name
        if not path.is_file() or path.is_symlink() or name.parts[:2] == ("tests", "data") or name.parts[:2] == ("fuzz", "corpus"):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found.extend(findings_in(name, text))
    for line in found:
        print(line)
    print(f"{len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
