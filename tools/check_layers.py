#!/usr/bin/env python3
# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
"""Checks that includes run one way: each layer sees the layers its row names, none includes an umbrella, and lading.hpp reaches nothing heavy.

Prints one line for each violation and exits with 1 where there is any. Headers of one layer that include each other are noted, not refused.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

SEES = {
    "core": set(),
    "memory": {"core"},
    "reflect": {"core"},
    "codec": {"core", "memory", "reflect"},
    "pack": {"core", "memory"},
    "batch": {"core", "memory", "reflect", "codec", "pack"},
    "transport": {"core"},
    "exchange": {"core", "memory", "reflect", "codec", "pack", "batch", "transport"},
    "interop": {"core", "memory", "reflect", "codec", "pack", "batch"},
}
TRANSPORT_SEES = {"core", "memory", "transport"}  # a folder under transports/ also sees itself
STORE_SEES = set(SEES)  # and so does one under stores/

UMBRELLAS = {"lading/lading.hpp"}
OPEN_TO_ALL = {"lading/fwd.hpp", "lading/version.hpp"}

# What would more than double the time a user's translation unit takes, for what lading.hpp reaches.
TOO_HEAVY = {"algorithm", "chrono", "filesystem", "future", "iomanip", "iostream", "map", "mutex", "ranges", "regex", "sstream", "thread"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.MULTILINE)


def headers():
    """Each header as (include name, path)."""
    roots = [ROOT / "include", *sorted((ROOT / "transports").glob("*")), *sorted((ROOT / "stores").glob("*"))]
    for root in roots:
        for path in sorted(root.rglob("*.hpp")):
            yield path.relative_to(root).as_posix(), path


def layer_of(name):
    parts = name.split("/")
    if parts[:2] in (["lading", "transports"], ["lading", "stores"]):
        return parts[1] + "/" + parts[2].removesuffix(".hpp")
    return parts[1] if len(parts) > 2 else ""


def violations_of_layers(files, includes):
    for name, found in includes.items():
        where = files[name].relative_to(ROOT)
        layer = layer_of(name)
        for kind, target in found:
            if kind == '"':
                yield f'{where}: "{target}" should be written <{target}>, from its include root'
            if not target.startswith("lading/"):
                continue
            if target in UMBRELLAS:
                yield f"{where}: includes the umbrella {target}, which is for users"
            elif target not in files:
                yield f"{where}: includes {target}, which is not there"
            elif target not in OPEN_TO_ALL and name not in UMBRELLAS | OPEN_TO_ALL:
                sees = TRANSPORT_SEES if layer.startswith("transports/") else STORE_SEES if layer.startswith("stores/") else SEES.get(layer)
                if sees is None:
                    yield f"{where}: {layer or 'the top folder'} is no layer"
                elif layer_of(target) != layer and layer_of(target) not in sees:
                    yield f"{where}: {layer} does not see {layer_of(target)} ({target})"
            elif name in UMBRELLAS and layer_of(target).startswith("transport"):
                yield f"{where}: the umbrella includes {target}; transports are included by those who use them"


def circles(includes):
    done, path = set(), []

    def visit(name):
        if name in path:
            yield " -> ".join([*path[path.index(name):], name])
            return
        if name in done:
            return
        path.append(name)
        for _, target in includes.get(name, ()):
            yield from visit(target)
        path.pop()
        done.add(name)

    for name in includes:
        yield from visit(name)


# What a header includes only where the light way is missing.
FALLBACKS = {"lading/memory/thread.hpp": {"condition_variable", "mutex", "thread"}}


def heavy_includes(files, includes):
    reached, waiting = set(), [name for name in UMBRELLAS if name in files]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for _, target in includes[name]:
            if target in files:
                waiting.append(target)
            elif target in TOO_HEAVY and target not in FALLBACKS.get(name, ()):
                yield f"{files[name].relative_to(ROOT)}: lading.hpp reaches <{target}>, which is heavy: recognise its types by shape, or give it a header of its own"


def main():
    files = dict(headers())
    includes = {name: INCLUDE.findall(path.read_text(encoding="utf-8")) for name, path in files.items()}
    found = [*violations_of_layers(files, includes), *heavy_includes(files, includes)]
    for circle in circles(includes):
        print(f"note: a circle: {circle}")
    for line in found:
        print(line)
    print(f"{len(files)} headers, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
