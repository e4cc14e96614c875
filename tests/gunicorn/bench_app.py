"""The probe app for gunicorn's own dirty arbiter: the same actions as the Rust program `examples/probe`."""

import asyncio
import itertools
import os
import sys
import time

from gunicorn.dirty import DirtyApp, StashError, stash


class BenchApp(DirtyApp):
    """One app that does a little of everything."""

    def __init__(self):
        self.count = 0
        self.produced = 0
        self.closed = 0

    def init(self):
        delay = float(_content_of("BENCH_INIT_DELAY_FILE") or os.environ.get("BENCH_INIT_DELAY") or 0)
        time.sleep(delay)
        fail_file = os.environ.get("BENCH_INIT_FAIL_FILE")
        if fail_file and os.path.exists(fail_file):
            raise RuntimeError("init told to fail")

    def close(self):
        path = os.environ.get("BENCH_CLOSE_FILE")
        if path:
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{os.getpid()}\n")

    # Values.

    def noop(self):
        return None

    def echo(self, x):
        return x

    def echo_kw(self, **kw):
        return kw

    def echo_all(self, *args, **kw):
        return {"args": list(args), "kwargs": kw}

    def blob(self, size):
        return bytes(size)

    def size(self, x):
        return len(x)

    # Time and state.

    def sleep(self, seconds):
        time.sleep(seconds)
        return seconds

    def spin(self, seconds):
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            count += 1
        return count

    def pid(self):
        return os.getpid()

    def counter(self):
        self.count += 1
        return self.count

    def peek(self):
        return {
            "pid": os.getpid(),
            "count": self.count,
            "produced": self.produced,
            "closed_generators": self.closed,
        }

    # Failures.

    def fail(self, msg):
        raise RuntimeError(msg)

    def panic(self, msg):
        raise RuntimeError(msg)

    def crash(self):
        os._exit(9)

    def abort(self):
        os.abort()

    def leave(self, code):
        sys.exit(code)

    def hang(self):
        while True:
            time.sleep(3600)

    # Streams.

    def stream(self, n, size):
        return self._counted(itertools.repeat(b"x" * size, n))

    def stream_fail(self, n):
        return self._counted(_failing(n))

    def stream_slow(self, n, delay):
        return self._counted(range(n), delay)

    def stream_values(self, values):
        return self._counted(values)

    def astream(self, n, size):
        return _asynchronous(self.stream(n, size))

    def astream_values(self, values):
        return _asynchronous(self.stream_values(values))

    def astream_fail(self, n):
        return _asynchronous(self.stream_fail(n))

    def coroutine(self, x):
        """gunicorn does not await what an action returns, so the action itself runs the coroutine to its end."""

        async def later():
            await asyncio.sleep(0)
            return x

        return asyncio.run(later())

    # The stash, from inside the worker.

    def stash_put(self, table, key, value):
        stash.put(table, key, value)
        return True

    def stash_get(self, table, key, default=None):
        return _stash_value(table, key, default)

    def stash_exists(self, table, key=None):
        return stash.exists(table, key)

    def stash_incr(self, table, key, by=1):
        value = _stash_value(table, key, 0) + by
        stash.put(table, key, value)
        return value

    def stash_loop(self, op, n, size):
        table, key, value = "stash_loop", "key", b"x" * size
        operations = {
            "put": lambda: stash.put(table, key, value),
            "get": lambda: stash.get(table, key),
            "incr": lambda: self.stash_incr(table, "count"),
        }
        operation = operations[op]
        stash.put(table, key, value)
        start = time.monotonic()
        for _ in range(n):
            operation()
        return time.monotonic() - start

    def _counted(self, items, delay=0.0):
        try:
            for item in items:
                self.produced += 1
                yield item
                if delay:
                    time.sleep(delay)
        finally:
            self.closed += 1


class LimitedApp(BenchApp):
    """To be limited by the configuration, as `bench_app:LimitedApp:1`."""


class AttrLimitedApp(BenchApp):
    """Limits itself to two workers."""

    workers = 2


class StashDeclApp(BenchApp):
    """Declares two stashes."""

    stashes = ["declared_one", "declared_two"]


def _failing(n):
    yield from range(n)
    raise RuntimeError(f"stream failed after {n}")


async def _asynchronous(generator):
    try:
        for item in generator:
            yield item
    finally:
        generator.close()


def _stash_value(table, key, default):
    """gunicorn's arbiter sends a missing key as a plain error, which its own client does not take for a missing key."""
    try:
        return stash.get(table, key, default)
    except StashError as error:
        if not error.message.startswith("Key not found"):
            raise
        return default


def _content_of(variable):
    try:
        with open(os.environ[variable], encoding="utf-8") as file:
            return file.read().strip()
    except (KeyError, OSError):
        return None
