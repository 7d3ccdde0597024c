#!/usr/bin/env python3
# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/safetensors: one valid file of every kind of tensor, and files that a reader must refuse.

A safetensors file is a little-endian 64-bit length, a header of that length in JSON, and the tensors' bytes. Each file that must be refused is
one edit away from a valid one; manifest.txt gives, for each, a part of the message that is expected.
"""

import json
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "safetensors"


def pattern(size, seed):
    """Bytes that no two tensors share; not random, so that the files stay the same."""
    state, out = seed * 2654435761 % 2**32 | 1, bytearray()
    while len(out) < size:
        state = (state * 1103515245 + 12345) % 2**32
        out += struct.pack("<H", state >> 16)
    return bytes(out[:size])


def floats(count, scale):
    return struct.pack(f"<{count}f", *(scale * (i % 17 - 8) for i in range(count)))


def file_of(tensors, metadata=None, pad=True):
    """tensors: (name, dtype, shape, bytes) in the order of their data."""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    if pad:
        text += b" " * (-len(text) % 8)
    return raw(text, data)


def raw(header, data=b""):
    return struct.pack("<Q", len(header)) + header + data


def entry(dtype="U8", shape=(4,), offsets=(0, 4), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def with_header(header, data=b"abcd"):
    return raw(header.encode() if isinstance(header, str) else json.dumps(header).encode(), data)


def valid_files():
    model = [
        ("model.embed_tokens.weight", "BF16", [64, 32], pattern(64 * 32 * 2, 1)),
        ("model.layers.0.self_attn.q_proj.weight", "F32", [32, 48], floats(32 * 48, 0.125)),
        ("model.layers.0.self_attn.q_proj.bias", "F16", [48], pattern(96, 2)),
        ("model.layers.0.mlp.experts", "F8_E4M3", [2, 3, 4, 5], pattern(120, 3)),
        ("model.layers.0.mlp.experts_scale", "F8_E5M2", [2, 3], pattern(6, 4)),
        ("model.rotary.inv_freq", "F64", [8], pattern(64, 5)),
        ("model.position_ids", "I64", [1, 16], struct.pack("<16q", *range(16))),
        ("model.causal_mask", "BOOL", [4, 4], bytes(int(column <= row) for row in range(4) for column in range(4))),
        ("step", "I32", [], struct.pack("<i", 20_000)),
        ("unused", "F32", [0, 7], b""),
        ("tokens.u8", "U8", [5], b"\x00\x01\x7f\x80\xff"),
        ("tokens.u16", "U16", [2], struct.pack("<2H", 1, 65535)),
        ("tokens.u32", "U32", [2], struct.pack("<2I", 1, 2**32 - 1)),
        ("tokens.u64", "U64", [1], struct.pack("<Q", 2**64 - 1)),
        ("tokens.i8", "I8", [3], struct.pack("<3b", -128, 0, 127)),
        ("tokens.i16", "I16", [2], struct.pack("<2h", -32768, 32767)),
        ("größe ∑", "C64", [2], struct.pack("<4f", 1, -1, 0.5, -0.5)),
    ]
    yield "model", file_of(model, {"format": "pt", "note": "all dtypes"})
    yield "unaligned", file_of([("a", "U8", [3], b"xyz"), ("b", "F64", [2], pattern(16, 6))], pad=False)
    yield "only_metadata", file_of([("one", "F32", [1], floats(1, 1.0))], {})


def refused_files():
    good = file_of([("one", "U8", [4], b"abcd"), ("two", "U8", [4], b"efgh")])
    yield "empty", b"", "truncated: it has 0 bytes"
    yield "short_length", good[:7], "truncated: it has 7 bytes"
    yield "truncated_header", good[:40], "truncated: the header takes"
    yield "truncated_data", good[:-1], 'tensor "two": truncated: its data_offsets [4, 8) reach behind the data, which has 7 bytes'
    yield "header_too_large", struct.pack("<Q", 100_000_001) + good[8:], "the header is too large: 100000001 bytes"
    yield "header_of_2_64", b"\xff" * 8 + good[8:], "the header is too large: 18446744073709551615 bytes"
    yield "no_header", raw(b"", b"abcd"), "the header is empty"
    yield "not_json", with_header("{'one': 1}"), "the header is not JSON: wrong at byte 2 of 10"
    yield "cut_json", with_header('{"one":{"dtype":"U8"'), "the header is not JSON"
    yield "text_after_json", with_header("{} {}"), "the header is not JSON"
    yield "not_utf8", raw(b'{"\xff\xfe":{}}'), "the header is not JSON"
    yield "not_an_object", with_header("[1, 2]"), "the header is not a JSON object"
    yield "deep", raw(b'{"one":' + b"[" * 5000 + b"]" * 5000 + b"}"), "the header is nested too deeply"
    yield "duplicate_name", with_header('{"one":%s,"one":%s}' % (json.dumps(entry()), json.dumps(entry(offsets=(4, 8)))), b"abcdefgh"), 'the name "one" occurs twice'
    yield "duplicate_field", with_header('{"one":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}}'), 'the name "dtype" occurs twice'
    yield "overlap", with_header({"one": entry(), "two": entry(offsets=(2, 6))}, b"abcdef"), 'tensor "two": its data overlap'
    yield "same_place", with_header({"one": entry(), "two": entry()}), "its data overlap"
    yield "hole", with_header({"one": entry(), "two": entry(offsets=(5, 9))}, b"abcdefghi"), "1 bytes before its data belong to no tensor"
    yield "late_start", with_header({"one": entry(offsets=(1, 5))}, b"abcde"), "1 bytes before its data belong to no tensor"
    yield "trailing_bytes", good + b"!", "1 bytes after the last tensor belong to none"
    yield "out_of_bounds", with_header({"one": entry(shape=(5,), offsets=(0, 5))}), "reach behind the data"
    yield "end_of_2_64", with_header({"one": entry(offsets=(0, 2**64 - 1))}), "reach behind the data"
    yield "end_before_begin", with_header({"one": entry(offsets=(4, 0))}), "end before they begin"
    yield "too_few_bytes", with_header({"one": entry("F32", (2,))}), "dtype and shape do not fit its 4 bytes"
    yield "too_many_bytes", with_header({"one": entry("U8", (3,))}), "dtype and shape do not fit its 4 bytes"
    yield "shape_wraps", with_header({"one": entry("U8", (2**32, 2**32), (0, 0))}, b""), "dtype and shape do not fit its 0 bytes"
    yield "dimension_of_2_63", with_header({"one": entry("U8", (2**63,))}), "its shape has a dimension of 9223372036854775808"
    yield "dimension_above_2_64", with_header('{"one":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,4]}}'), "shape has something other than a count"
    yield "negative_dimension", with_header({"one": entry("U8", (-4,))}), "shape has something other than a count"
    yield "fraction", with_header({"one": entry("U8", (4.0,))}), "shape has something other than a count"
    yield "rank_of_65", with_header({"one": entry("U8", (1,) * 64 + (4,))}), "too many dimensions"
    yield "negative_offset", with_header({"one": entry(offsets=(-4, 0))}), "data_offsets has something other than a count"
    yield "one_offset", with_header({"one": entry(offsets=(4,))}), "data_offsets are not two numbers"
    yield "three_offsets", with_header({"one": entry(offsets=(0, 4, 4))}), "data_offsets are not two numbers"
    yield "unknown_dtype", with_header({"one": entry("F17")}), 'its dtype "F17" is not known'
    yield "dtype_of_a_number", with_header({"one": entry(7)}), "has no dtype"
    yield "no_dtype", with_header({"one": {"shape": [4], "data_offsets": [0, 4]}}), "has no dtype"
    yield "no_shape", with_header({"one": {"dtype": "U8", "data_offsets": [0, 4]}}), "has no shape"
    yield "no_offsets", with_header({"one": {"dtype": "U8", "shape": [4]}}), "has no data_offsets"
    yield "shape_of_text", with_header({"one": {"dtype": "U8", "shape": "4", "data_offsets": [0, 4]}}), "has no shape"
    yield "tensor_of_null", with_header({"one": None}), "is not described by an object"
    yield "metadata_of_a_list", with_header({"__metadata__": [], "one": entry()}), "__metadata__ is not an object"
    yield "metadata_of_numbers", with_header({"__metadata__": {"a": 1}, "one": entry()}), '__metadata__ "a" is not a string'
    yield "name_with_escapes", with_header({"\x1b[2J\n": entry("F17")}), 'tensor "?[2J?": its dtype'
    yield "no_tensor", file_of([]), "holds no tensor"


def main():
    (ROOT / "refused").mkdir(parents=True, exist_ok=True)
    for name, content in valid_files():
        (ROOT / f"{name}.safetensors").write_bytes(content)
    lines = ["# A file in refused/, and a part of what is said of it. Written by tools/make_safetensors.py"]
    for name, content, expected in refused_files():
        (ROOT / "refused" / f"{name}.safetensors").write_bytes(content)
        lines.append(f"{name} {expected}")
    (ROOT / "manifest.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
