#!/usr/bin/env python3
# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
"""Runs test programs in a guest with a RoCE device: Debian's kernel, rdma_rxe, under qemu's own emulation. Nothing of the host is changed.

  run.py --kernel DIR [--log FILE] [--limit SECONDS] [--quick] [--strict] PROGRAM...

DIR holds an unpacked linux-image package. Prints each program's own summary, its failures and figures, then one line. Where the host lacks what this
needs it prints "skipped: " and the reason; with --strict that is a failure. With --quick it runs the parts that programs.sh chooses, and no benchmark.
Cases of the conformance suite that are left out are named and counted.
"""

import argparse
import glob
import lzma
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
# rdma_rxe's dependencies are told by the modules themselves, but for the checksums that it asks for by name.
MODULES = ["crc32_generic", "crc32c_generic", "crc32_pclmul", "dummy", "ib_uverbs", "rdma_ucm", "rdma_rxe"]
TOOLS = ["qemu-system-x86_64", "busybox", "ip", "rdma", "strip", "ldd"]
SUMMARY = re.compile(r"^(\[==========\] \d+ tests? .* ran|\[  (PASSED|FAILED|SKIPPED)|\s*\d+ FAILED)")
COUNTS = {"passed": re.compile(r"^\[  PASSED  \] (\d+) test"), "skipped": re.compile(r"^\[  SKIPPED \] (\d+) test"),
          "failed": re.compile(r"^\[  FAILED  \] (\d+) test")}


class Missing(Exception):
    """What this host lacks."""


def find(tool):
    path = shutil.which(tool, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin:/sbin")
    if path is None:
        raise Missing(f"there is no {tool} on this host")
    return path


def module_files(kernel):
    """The modules to load, in order, as (name, bytes)."""
    there = {}
    for path in pathlib.Path(kernel).glob("lib/modules/*/kernel/**/*.ko*"):
        if path.name.endswith((".ko", ".ko.xz")):
            there[path.name.split(".")[0].replace("-", "_")] = path
    order = {}

    def add(name):
        if name in order or name not in there:
            return
        data = there[name].read_bytes()
        if there[name].suffix == ".xz":
            data = lzma.decompress(data)
        needs = re.search(rb"\0depends=([^\0]*)\0", data)
        for need in needs.group(1).decode().split(",") if needs else []:
            add(need.replace("-", "_"))
        order[name] = data

    for name in MODULES:
        add(name)
    if "rdma_rxe" not in order:
        raise Missing("the kernel has no rdma_rxe")
    return list(order.items())


def libraries(path):
    """The shared libraries that a program or library loads, by their paths."""
    listed = subprocess.run([find("ldd"), path], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", listed)


class Archive:
    """An initramfs: a newc cpio archive, not compressed, because the guest is slow and copying is not."""

    def __init__(self):
        self.parts, self.count, self.known = [], 0, set()

    def _entry(self, name, mode, data=b""):
        self.count += 1
        label = name.encode() + b"\0"
        fields = (self.count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(label), 0)
        for part in (b"070701" + b"".join(b"%08X" % field for field in fields) + label, data):
            self.parts.append(part + b"\0" * (-len(part) % 4))

    def folder(self, path):
        path = path.strip("/")
        if path and path not in self.known:
            self.folder(os.path.dirname(path))
            self.known.add(path)
            self._entry(path, 0o040755)

    def file(self, path, data, mode=0o755):
        path = path.strip("/")
        if path in self.known:
            return
        self.folder(os.path.dirname(path))
        self.known.add(path)
        self._entry(path, 0o100000 | mode, data)

    def program(self, path, source):
        """A program or library of the host, with the libraries that it loads."""
        self.file(path, pathlib.Path(source).read_bytes())
        for library in libraries(source):
            self.file(library, pathlib.Path(library).read_bytes())

    def write(self, target):
        self._entry("TRAILER!!!", 0)
        target.write_bytes(b"".join(self.parts))


def build_archive(kernel, programs, folder, quick):
    archive = Archive()
    for path in ("dev", "proc", "sys", "tmp"):
        archive.folder(path)
    archive.file("init", (HERE / "init.sh").read_bytes())
    archive.file("etc/programs.sh", (HERE / "programs.sh").read_bytes())
    if quick:
        archive.file("etc/quick", b"")
    modules = module_files(kernel)
    archive.file("etc/modules", "".join(name + "\n" for name, _ in modules).encode())
    for name, data in modules:
        archive.file(f"modules/{name}.ko", data)
    for tool in ("busybox", "ip", "rdma"):
        archive.program(f"bin/{tool}", find(tool))
    providers = glob.glob("/usr/lib/*/libibverbs/librxe-rdmav*.so")
    if not providers or not os.path.exists("/etc/libibverbs.d/rxe.driver"):
        raise Missing("rdma-core's providers are not installed (Debian: ibverbs-providers)")
    archive.file("etc/libibverbs.d/rxe.driver", pathlib.Path("/etc/libibverbs.d/rxe.driver").read_bytes())
    plugins = providers + glob.glob("/usr/lib/*/ucx/*.so*") + glob.glob("/lib/*/libgcc_s.so.1")
    for plugin in plugins:
        archive.program(plugin, plugin)
    for program in programs:
        stripped = folder / os.path.basename(program)
        subprocess.run([find("strip"), "-o", stripped, program], check=True)
        archive.program(f"bin/{stripped.name}", stripped)
    archive.write(folder / "initramfs")
    return folder / "initramfs"


def boot(kernel, initramfs, limit, log):
    """Yields the guest's lines."""
    images = glob.glob(os.path.join(kernel, "boot/vmlinuz-*"))
    if not images:
        raise Missing(f"there is no kernel in {kernel}")
    command = [find("qemu-system-x86_64"), "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-smp", "2", "-m", "2048", "-nodefaults",
               "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", images[0], "-initrd", initramfs,
               "-append", "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as guest:
        watch = threading.Timer(limit, guest.kill)
        watch.start()
        try:
            for raw in guest.stdout:
                line = raw.decode(errors="replace").rstrip()
                log.write(line + "\n")
                yield line
        finally:
            watch.cancel()
            guest.kill()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--kernel", required=True)
    arguments.add_argument("--log")
    arguments.add_argument("--limit", type=float, default=540)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--strict", action="store_true")
    arguments.add_argument("programs", nargs="*")
    options = arguments.parse_args()
    start = time.monotonic()
    totals = dict.fromkeys(COUNTS, 0)
    left_out = []
    if options.quick:
        left_out = ["verbs_bench" for each in options.programs if each.endswith("_bench")]
        options.programs = [each for each in options.programs if not each.endswith("_bench")]
    running, since, ended, bad, over, tests, text = None, 0.0, [], [], False, 0, []
    try:
        if platform.machine() != "x86_64":
            raise Missing("the guest is made for x86-64 hosts")
        if not options.programs:
            raise Missing("no program was built that needs a device (Debian: libibverbs-dev librdmacm-dev libucx-dev)")
        for tool in TOOLS:
            find(tool)
        if not glob.glob(os.path.join(options.kernel, "boot/vmlinuz-*")):
            raise Missing(f"there is no kernel in {options.kernel}: ./dev soft-roce gets Debian's")
        with tempfile.TemporaryDirectory() as folder:
            initramfs = build_archive(options.kernel, options.programs, pathlib.Path(folder), options.quick)
            with open(options.log or os.devnull, "w", encoding="utf-8") as log:
                for line in boot(options.kernel, initramfs, options.limit, log):
                    if line.startswith("@@ begin "):
                        running, since, text = line.split()[2], time.monotonic(), []
                        print(f"{running}:", flush=True)
                    elif line.startswith("@@ end ") and running:
                        status = int(line.split()[3])
                        ended.append(running)
                        if status != 0:
                            bad.append(f"{running} ended with {status}")
                            if not any("FAILED" in each for each in text):
                                print("\n".join("  " + each for each in text[-25:]))
                        print(f"  {time.monotonic() - since:.0f} s", flush=True)
                        running = None
                    elif line.startswith("@@ left out "):
                        left_out.append(".".join(line.split()[3:]))
                    elif line.startswith("@@ note "):
                        print("  note:" + line[7:], flush=True)
                        if "kernel:" in line:
                            bad.append("the guest's kernel complained")
                    elif line.startswith("@@ over"):
                        over = True
                    elif running:
                        text.append(line)
                        for name, pattern in COUNTS.items():
                            match = pattern.match(line)
                            totals[name] += int(match.group(1)) if match else 0
                        if SUMMARY.match(line) or line.startswith("figure: ") or ": Failure" in line or running.endswith("_bench"):
                            print("  " + line, flush=True)
    except Missing as missing:
        print(f"skipped: {missing}")
        return 1 if options.strict else 0
    if running:
        print("\n".join("  " + each for each in text[-25:]))
        bad.append(f"{running} did not end")
    elif not over:
        bad.append("the guest did not get to its end")
    wanted = {"lading_verbs_test": "verbs", "lading_ucx_test": "ucx_rc", "lading_verbs_bench": "verbs_bench"}
    bad += [f"{wanted[name]} did not run" for name in map(os.path.basename, options.programs) if name in wanted and wanted[name] not in ended]
    if totals["passed"] == 0:
        bad.append("no test passed")
    if left_out:
        how = "with --quick; ./dev soft-roce runs all it can" if options.quick else "programs.sh says why"
        print(f"left out ({how}): {', '.join(left_out)}")
    totals["left out"] = len(left_out)
    counts = ", ".join(f"{count} {name}" for name, count in totals.items())
    print(f"soft-roce: {'FAILED: ' + '; '.join(bad) if bad or totals['failed'] else 'passed'}: tests {counts}; {time.monotonic() - start:.0f} s")
    return 1 if bad or totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
