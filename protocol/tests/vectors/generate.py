#!/usr/bin/env python3
"""Writes vectors.json: frames and payloads made, and judged, by the real gunicorn package.

    python3 -m venv v && v/bin/pip install gunicorn==27.0.1
    v/bin/python protocol/tests/vectors/generate.py

The output is committed; run this again only to add vectors. Nothing in it depends on time, place or
a random number, so a second run writes the same file; with --check it only compares.

frames    what gunicorn sends: the whole frame in hex, and the value of its payload
payloads  what gunicorn reads but never writes: the payload in hex, and the value it gets
refused   what gunicorn does not read: the payload in hex, and what gunicorn says
headers   the same for headers

A value is written as JSON where JSON has it (null, true, 1, "text", [...]), otherwise as
{"float": repr}, {"bytes": hex} or {"dict": [[key, value], ...]}; and a list of one item as
{"nested": [levels, innermost]}.
"""

import importlib.metadata
import json
import pathlib
import sys

from gunicorn.dirty import errors
from gunicorn.dirty.protocol import BinaryProtocol as P
from gunicorn.dirty.stash import StashError, StashKeyNotFoundError, StashTableNotFoundError
from gunicorn.dirty.tlv import TLVEncoder

PINNED = "27.0.1"


def described(value):
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return {"float": repr(value)}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    levels = 0
    while isinstance(value, (list, tuple)) and len(value) == 1:
        levels, value = levels + 1, value[0]
    if levels:
        return {"nested": [levels, described(value)]}
    if isinstance(value, (list, tuple)):
        return [described(item) for item in value]
    return {"dict": [[key, described(item)] for key, item in value.items()]}


def frame(name, data):
    kind, request_id, payload = P.decode_message(data)
    value = described(payload) if len(data) > 16 else None
    return {"name": name, "type": kind, "request_id": request_id, "frame": data.hex(), "value": value}


def nested(depth, innermost):
    value = innermost
    for _ in range(depth):
        value = [value]
    return value


VALUES = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "minus one": -1,
    "largest int": 2**63 - 1,
    "smallest int": -(2**63),
    "float": 1.5,
    "float zero": 0.0,
    "float minus zero": -0.0,
    "float third": 1 / 3,
    "float largest": 1.7976931348623157e308,
    "float smallest normal": 2.2250738585072014e-308,
    "float smallest": 5e-324,
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "nan": float("nan"),
    "empty bytes": b"",
    "one byte": b"\x00",
    "every byte": bytes(range(256)),
    "bytes that are linked": bytes(i % 251 for i in range(6000)),
    "empty string": "",
    "ascii": "hello, world",
    "control characters": "\x00\x01\n\x7f",
    "two byte characters": "äöüß ñ é",
    "three byte characters": "日本語 €",
    "four byte characters": "😀🧱𝄞",
    "combining characters": "e\u0301 \u200d \ufeff",
    "largest code point": "\U0010ffff",
    "string that is linked": "long " * 1000,
    "empty list": [],
    "list": [1, 2, 3],
    "mixed list": [None, True, -7, 2.5, b"raw", "text", [], {}],
    "tuple": (1, "two"),
    "empty dict": {},
    "dict": {"a": 1, "b": None},
    "dict keeps its order": {"z": 1, "a": 2, "m": 3},
    "empty key": {"": 0},
    "unicode key": {"größe": 1, "鍵": 2},
    "keys that are no strings": {1: "int", -5: "negative", True + 1: "two", None: "none", 1.5: "float",
                                 0.1: "tenth", 1e16: "exponent", 1e-05: "small", b"k'\x00": "bytes"},
    "bool keys": {True: 1, False: 0},
    "nested": {"a": [{"b": [[], {"c": {"d": [None]}}]}]},
    "a hundred deep": nested(100, "bottom"),
    "as deep as gunicorn can": nested(980, {}),
    "many items": list(range(300)),
    "many keys": {f"key {i}": i * i for i in range(100)},
    "keys of a message": {"type": "x", "id": 1, "result": 2, "error": {}},
}

DETAILS = {
    "timeout": errors.DirtyTimeoutError("Execution timed out", timeout=30.0),
    "timeout in whole seconds": errors.DirtyTimeoutError("Execution timed out", timeout=30),
    "timeout without limit": errors.DirtyTimeoutError(),
    "connection": errors.DirtyConnectionError("refused", socket_path="/run/dirty.sock"),
    "connection without path": errors.DirtyConnectionError(),
    "worker": errors.DirtyWorkerError("Worker died", worker_id=4711, traceback="Traceback ...\n"),
    "worker by name": errors.DirtyWorkerError("Worker died", worker_id="w-1"),
    "worker without details": errors.DirtyWorkerError("Worker died"),
    "app": errors.DirtyAppError("boom", app_path="images:ImageApp", action="thumbnail",
                                traceback="Traceback (most recent call last):\n  ...\nValueError: boom\n"),
    "app without traceback": errors.DirtyAppError("boom", app_path="images:ImageApp", action="thumbnail"),
    "app without details": errors.DirtyAppError("boom"),
    "app not found": errors.DirtyAppNotFoundError("images:ImageApp"),
    "no workers available": errors.DirtyNoWorkersAvailableError("images:ImageApp"),
    "no workers available with message": errors.DirtyNoWorkersAvailableError("a:B", "Service is starting"),
    "protocol": errors.DirtyProtocolError("Invalid magic", raw_data=b"GET / HTTP/1.1\r\n" * 20),
    "protocol without data": errors.DirtyProtocolError(),
    "base": errors.DirtyError("something"),
    "base with details": errors.DirtyError("something", {"a": [1, {"b": None}], "unicode": "ü"}),
    "stash": StashError("stash failed"),
    "stash table not found": StashTableNotFoundError("cache"),
    "stash key not found": StashKeyNotFoundError("cache", "k"),
    "any exception": ValueError("not ours"),
    "exception with unicode": RuntimeError("größer 😀"),
}


def frames():
    for name, value in VALUES.items():
        yield frame(f"response: {name}", P.encode_response(1, value))
    for name, value in list(VALUES.items())[:30:7]:
        yield frame(f"chunk: {name}", P.encode_chunk(2, value))
    for request_id in (0, 1, 2**31, 2**32, 2**63, 2**64 - 1):
        yield frame(f"request id {request_id}", P.encode_end(request_id))
    yield frame("request without arguments", P.encode_request(3, "images:ImageApp", "info"))
    yield frame("request", P.encode_request(
        4, "images:ImageApp", "thumbnail", (b"\x89PNG\r\n", 256), {"format": "webp", "quality": 0.8}))
    yield frame("request with every kind of argument", P.encode_request(
        5, "größe.app:App", "tun", tuple(VALUES["mixed list"]), {"none": None, "list": [[]], "dict": {"x": {}}}))
    yield frame("request with a large argument", P.encode_request(6, "a:B", "c", (bytes(5000),), {}))
    for name, error in DETAILS.items():
        yield frame(f"error: {name}", P.encode_error(7, error))
    yield frame("status", P.encode_status(8))
    yield frame("manage: add", P.encode_manage(9, 1))
    yield frame("manage: remove", P.encode_manage(10, 2, 3))
    yield frame("stash: put", P.encode_stash(11, 1, "cache", "k", {"v": [1, b"x"]}))
    yield frame("stash: put with an int key", P.encode_stash(11, 1, "cache", 42, "v"))
    yield frame("stash: put none", P.encode_stash(11, 1, "cache", "k", None))
    yield frame("stash: put large", P.encode_stash(11, 1, "cache", "k", bytes(5000)))
    yield frame("stash: get", P.encode_stash(12, 2, "cache", "k"))
    yield frame("stash: get with a bytes key", P.encode_stash(12, 2, "cache", b"k"))
    yield frame("stash: delete", P.encode_stash(13, 3, "cache", False))
    yield frame("stash: keys", P.encode_stash(14, 4, "cache"))
    yield frame("stash: keys by pattern", P.encode_stash(14, 4, "cache", pattern="user:*"))
    for op, name in ((5, "clear"), (6, "info"), (7, "ensure"), (8, "delete_table"), (10, "exists")):
        yield frame(f"stash: {name}", P.encode_stash(15, op, "cache"))
    yield frame("stash: exists key", P.encode_stash(15, 10, "cache", "k"))
    yield frame("stash: tables", P.encode_stash(16, 9, ""))
    yield frame("status reply", P.encode_response(8, {
        "arbiter_pid": 100, "workers": [{"pid": 101, "age": 1, "apps": ["a:B"], "booted": True,
                                         "last_heartbeat": 1234.5}],
        "worker_count": 1, "apps": ["a:B"]}))


TEXT = b"\x11\x00\x00\x00"

READ = {
    "bool two": b"\x01\x02",
    "bool 255": b"\x01\xff",
    "repeated key": b"\x21\0\0\0\x03" + TEXT + b"\x01a\x00" + TEXT + b"\x01b\x01\x01" + TEXT + b"\x01a\x01\x00",
    "signalling nan": b"\x06\x7f\xf0\0\0\0\0\0\x01",
    "negative nan": b"\x06\xff\xf8\0\0\0\0\0\0",
}

REFUSED = {
    "nothing": b"",
    "unknown tag 0x02": b"\x02",
    "unknown tag 0xff": b"\xff",
    "unknown tag in a list": b"\x20\0\0\0\x02\x00\x07",
    "bool without byte": b"\x01",
    "int cut": b"\x05\0\0\0\0\0\0\0",
    "float cut": b"\x06\0\0\0",
    "bytes length cut": b"\x10\0\0\0",
    "bytes cut": b"\x10\0\0\0\x02x",
    "bytes of 64 MiB with three bytes": b"\x10\x04\0\0\0abc",
    "bytes over 64 MiB": b"\x10\x04\0\0\x01abc",
    "bytes of 4 GiB": b"\x10\xff\xff\xff\xffabc",
    "string length cut": b"\x11\0",
    "string cut": b"\x11\0\0\0\x05text",
    "string over 64 MiB": b"\x11\x04\0\0\x01abc",
    "string not UTF-8": TEXT + b"\x02\xff\xfe",
    "string with a surrogate": TEXT + b"\x03\xed\xa0\x80",
    "string overlong": TEXT + b"\x02\xc0\x80",
    "string cut inside a character": TEXT + b"\x02\xe2\x82",
    "list count cut": b"\x20\0\0",
    "list cut": b"\x20\0\0\0\x02\x00",
    "list of a million in no bytes": b"\x20\0\x10\0\0",
    "list over a million": b"\x20\0\x10\0\x01",
    "dict count cut": b"\x21",
    "dict cut before a key": b"\x21\0\0\0\x01",
    "dict cut behind a key": b"\x21\0\0\0\x01" + TEXT + b"\x01a",
    "dict over a million": b"\x21\0\x10\0\x01",
    "int key": b"\x21\0\0\0\x01\x05\0\0\0\0\0\0\0\x01\x00",
    "none key": b"\x21\0\0\0\x01\x00\x00",
    "bytes key": b"\x21\0\0\0\x01\x10\0\0\0\x01k\x00",
    "list key": b"\x21\0\0\0\x01\x20\0\0\0\0\x00",
    "trailing byte": b"\x00\x00",
    "trailing value": b"\x20\0\0\0\0\x05\0\0\0\0\0\0\0\x01",
}

HEADERS = {
    "HTTP": b"GET / HTTP/1.1\r\n",
    "version 0": b"GD\x00\x01" + bytes(12),
    "version 2": b"GD\x02\x01" + bytes(12),
    "type 0": b"GD\x01\x00" + bytes(12),
    "type 6": b"GD\x01\x06" + bytes(12),
    "type 0x13": b"GD\x01\x13" + bytes(12),
    "type 0xff": b"GD\x01\xff" + bytes(12),
    "64 MiB and one": b"GD\x01\x01\x04\x00\x00\x01" + bytes(8),
    "4 GiB": b"GD\x01\x01\xff\xff\xff\xff" + bytes(8),
}


def said(decode, data):
    try:
        decode(data)
    except errors.DirtyProtocolError as error:
        return error.message
    raise SystemExit(f"gunicorn reads {data.hex()}")


def main():
    version = importlib.metadata.version("gunicorn")
    if version != PINNED:
        raise SystemExit(f"gunicorn {version} is installed, {PINNED} is what the vectors are made by")
    vectors = {
        "made_by": f"gunicorn {version}",
        "frames": list(frames()),
        "payloads": [{"name": name, "payload": data.hex(), "value": described(TLVEncoder.decode_full(data))}
                     for name, data in READ.items()],
        "refused": [{"name": name, "payload": data.hex(), "gunicorn_says": said(TLVEncoder.decode_full, data)}
                    for name, data in REFUSED.items()],
        "headers": [{"name": name, "header": data.hex(), "gunicorn_says": said(P.decode_header, data)}
                    for name, data in HEADERS.items()],
    }
    # One vector a line, so that a diff shows what changed.
    text = "{\n" + f'"made_by": {json.dumps(vectors.pop("made_by"))}'
    for section, entries in vectors.items():
        lines = (json.dumps(entry, ensure_ascii=False) for entry in entries)
        text += f',\n"{section}": [\n' + ",\n".join(lines) + "\n]"
    text += "\n}\n"

    path = pathlib.Path(__file__).with_name("vectors.json")
    if "--check" not in sys.argv[1:]:
        path.write_text(text, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{path} is not what gunicorn {version} writes; run this again without --check")
    else:
        print(f"{path.name}: {sum(map(len, vectors.values()))} vectors are as gunicorn {version} has them")


if __name__ == "__main__":
    main()
