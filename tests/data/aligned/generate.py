#!/usr/bin/env python3
# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
"""Writes the golden buffers of layout::aligned from the description of the format alone; needs the package xxhash."""

import pathlib
import struct

import xxhash

HERE = pathlib.Path(__file__).parent

# name, checksums, schema, payload sizes
BUFFERS = [
    ("no_items", True, 0, []),
    ("no_items_unchecked", False, 0, []),
    ("one_empty_item", True, 0, [0]),
    ("one_item", True, 0, [5]),
    ("one_item_unchecked", False, 0, [5]),
    ("typed", True, 0x0123456789ABCDEF, [16]),
    ("typed_unchecked", False, 0xFEDCBA9876543210, [16]),
    ("gaps", True, 1, [1, 63, 64, 65, 0, 127, 3]),
    ("empty_last", True, 0, [70, 0]),
    ("only_empty", True, 0, [0, 0, 0]),
    ("hash_lengths", True, 2, [3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 1024, 1025]),
    ("head_and_tensors", True, 0xDEADBEEF, [62, 512, 640, 512, 576, 550, 550]),
    ("many_items", True, 3, [i % 7 for i in range(100)]),
    ("larger_than_a_block", True, 4, [40000, 1]),
]


def payload(item: int, size: int) -> bytes:
    return bytes((item * 131 + i * 31 + 7) & 255 for i in range(size))


def up(offset: int) -> int:
    return (offset + 63) // 64 * 64


def pack(checked: bool, schema: int, sizes: list[int]) -> bytes:
    xxh3 = (lambda data: xxhash.xxh3_64_intdigest(data)) if checked else (lambda data: 0)
    end = 64 + 32 * len(sizes)
    table, body = b"", b""
    for item, size in enumerate(sizes):
        data = payload(item, size)
        offset = up(end)
        body += bytes(offset - end) + data
        end = offset + size
        table += struct.pack("<QQQQ", offset, size, xxh3(data), 0)
    header = struct.pack("<4sHHQQQ", b"LADG", 1, 1 if checked else 0, len(sizes), end, schema)
    return header + struct.pack("<Q24x", xxh3(header + table)) + table + body


if __name__ == "__main__":
    lines = ["# name checksums schema sizes; byte i of payload n is (131 n + 31 i + 7) mod 256"]
    for name, checked, schema, sizes in BUFFERS:
        (HERE / f"{name}.bin").write_bytes(pack(checked, schema, sizes))
        lines.append(f"{name} {int(checked)} {schema} {','.join(map(str, sizes)) or 'none'}")
    (HERE / "manifest.txt").write_text("\n".join(lines) + "\n")
