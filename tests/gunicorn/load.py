"""Load from gunicorn's own clients: counts what succeeded, and every error with its text.

    python load.py --socket PATH --seconds 20 [--processes 3] [--threads 4] [--tasks 0] [--stash]

Each thread calls with a client of its own, each task with an async one. With `--stash` each thread also keeps entries in
the stash, reads them all the while, and finds each of them at the end. Prints one JSON object:
`{"calls": n, "chunks": n, "stash": n, "errors": {text: count}}`.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import threading
import time

from gunicorn.dirty import DirtyClient, StashClient

APP = "bench_app:BenchApp"

# Seconds after which a call is given up for lost: longer than any should take.
PATIENCE = 60.0

TABLE = "load"


class Count:
    """What one process did."""

    def __init__(self):
        self.done = collections.Counter()
        self.errors = collections.Counter()
        self.lock = threading.Lock()

    def add(self, kind, count=1):
        with self.lock:
            self.done[kind] += count

    def failed(self, what, error):
        with self.lock:
            self.errors[f"{what}: {type(error).__name__}: {error}"] += 1

    def wrong(self, what, found, expected):
        with self.lock:
            self.errors[f"{what}: {found!r:.100} instead of {expected!r:.100}"] += 1


def call_until(end, socket, name, count):
    """Calls and streams, one after the other."""
    choose = random.Random(name)
    with DirtyClient(socket, timeout=PATIENCE) as client:
        number = 0
        while time.monotonic() < end:
            number += 1
            kind = choose.random()
            try:
                if kind < 0.7:
                    check(count, "echo", client.execute(APP, "echo", [name, number]), [name, number])
                elif kind < 0.8:
                    check(count, "sleep", client.execute(APP, "sleep", 0.05), 0.05)
                elif kind < 0.9:
                    blob = os.urandom(4096) * 32
                    check(count, "large echo", client.execute(APP, "echo", blob), blob)
                else:
                    chunks = list(client.stream(APP, "stream_slow", 5, 0.01))
                    check(count, "stream", chunks, [0, 1, 2, 3, 4])
                    count.add("chunks", len(chunks))
                count.add("calls")
            except Exception as error:  # Whatever it is, it is counted.
                count.failed("call", error)


async def call_async_until(end, socket, name, count):
    """The same with the async client."""
    choose = random.Random(name)
    client = DirtyClient(socket, timeout=PATIENCE)
    number = 0
    while time.monotonic() < end:
        number += 1
        try:
            if choose.random() < 0.9:
                result = await client.execute_async(APP, "echo", [name, number])
                check(count, "async echo", result, [name, number])
            else:
                chunks = [chunk async for chunk in client.stream_async(APP, "stream_slow", 5, 0.01)]
                check(count, "async stream", chunks, [0, 1, 2, 3, 4])
                count.add("chunks", len(chunks))
            count.add("calls")
        except Exception as error:
            count.failed("async call", error)
    await client.close_async()


def keep_in_stash_until(end, socket, name, count):
    """Entries of its own, each of them read back again and again."""
    choose = random.Random(name)
    kept = {}
    with StashClient(socket, timeout=PATIENCE) as stash:
        while time.monotonic() < end:
            key = f"{name}:{choose.randrange(500)}"
            try:
                if key not in kept or choose.random() < 0.3:
                    value = {"by": name, "data": os.urandom(choose.randrange(2000))}
                    stash.put(TABLE, key, value)
                    kept[key] = value
                elif choose.random() < 0.1:
                    stash.delete(TABLE, key)
                    del kept[key]
                else:
                    check(count, "stash get", stash.get(TABLE, key), kept[key])
                count.add("stash")
            except Exception as error:
                count.failed("stash", error)
        try:
            check(count, "stash keys", sorted(stash.keys(TABLE, f"{name}:*")), sorted(kept))
            for key, value in kept.items():
                check(count, "stash at the end", stash.get(TABLE, key), value)
        except Exception as error:
            count.failed("stash at the end", error)


def check(count, what, found, expected):
    if found != expected:
        count.wrong(what, found, expected)


def run(options, process, count):
    """One process's threads and tasks, until the time is over."""
    end = time.monotonic() + options.seconds
    threads = [(call_until, f"{process}.{i}") for i in range(options.threads)]
    if options.stash:
        threads += [(keep_in_stash_until, f"{process}.s{i}") for i in range(2)]
    running = [
        threading.Thread(target=work, args=(end, options.socket, name, count)) for work, name in threads
    ]
    for thread in running:
        thread.start()

    async def tasks():
        names = [f"{process}.a{i}" for i in range(options.tasks)]
        await asyncio.gather(*(call_async_until(end, options.socket, name, count) for name in names))

    asyncio.run(tasks())
    for thread in running:
        thread.join()


def main():
    options = arguments()
    pipes = []
    for process in range(options.processes):
        read, write = os.pipe()
        if os.fork() == 0:
            os.close(read)
            count = Count()
            run(options, process, count)
            with open(write, "w", encoding="utf-8") as pipe:
                json.dump({"done": count.done, "errors": count.errors}, pipe)
            os._exit(0)
        os.close(write)
        pipes.append(read)
    done, errors = collections.Counter(), collections.Counter()
    for read in pipes:
        with open(read, encoding="utf-8") as pipe:
            text = pipe.read()
        part = json.loads(text) if text else {"done": {}, "errors": {"a process of the load died": 1}}
        done.update(part["done"])
        errors.update(part["errors"])
    for _ in pipes:
        os.wait()
    print(json.dumps({**{kind: done[kind] for kind in ("calls", "chunks", "stash")}, "errors": errors}))


def arguments():
    parser = argparse.ArgumentParser(description="load from gunicorn's own clients")
    parser.add_argument("--socket", required=True)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--threads", type=int, default=4, help="blocking clients per process")
    parser.add_argument("--tasks", type=int, default=0, help="async clients per process")
    parser.add_argument("--stash", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
