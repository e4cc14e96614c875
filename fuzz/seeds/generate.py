#!/usr/bin/env python3
"""Writes the seeds of each fuzz target from the vectors that gunicorn made.

    python3 fuzz/seeds/generate.py
"""

import hashlib
import json
import pathlib

HERE = pathlib.Path(__file__).parent
VECTORS = json.loads((HERE / "../../protocol/tests/vectors/vectors.json").read_text(encoding="utf-8"))

# A few small seeds for each target: libFuzzer finds the rest from them.
LONGEST = 250
MOST = 40


def seeds():
    frames = [bytes.fromhex(vector["frame"]) for vector in VECTORS["frames"]]
    odd = [bytes.fromhex(vector["payload"]) for vector in VECTORS["payloads"] + VECTORS["refused"]]
    # Where a target takes a number too, it comes first: the step, and the length of the prefix.
    for at, frame in enumerate(frames):
        yield "frames", b"\x07" + frame + frames[at - 1]
        payload = frame[16:]
        yield "value", payload
        yield "typed", payload
        yield "peek", b"\x20\x00" + payload
        # Results, arguments and data without the message around them suit the typed targets better.
        for key in (b"result", b"data", b"args"):
            marker = b"\x11\x00\x00\x00" + bytes([len(key)]) + key
            if marker in payload:
                yield "typed", payload.split(marker, 1)[1]
    for payload in odd:
        yield "value", payload
        yield "typed", payload
        yield "peek", b"\x08\x00" + payload


def main():
    found = {}
    for target, data in seeds():
        if 0 < len(data) <= LONGEST:
            found.setdefault(target, {})[data] = None
    for target, inputs in found.items():
        folder = HERE / target
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        inputs = list(inputs)
        for at in range(min(MOST, len(inputs))):
            data = inputs[at * len(inputs) // min(MOST, len(inputs))]
            (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    main()
