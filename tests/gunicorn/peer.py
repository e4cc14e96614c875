"""The arbiter under test: the shared one, whose socket is in the environment, or one of a test's own.

`ARBITER` says which it is: "gunmetal" (the probe, at `PROBE`) or "gunicorn" (its own arbiter, by `arbiter.py`).
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from gunicorn.dirty import DirtyClient, DirtyError, StashClient, stash
from gunicorn.dirty.protocol import DirtyProtocol

GUNICORN = os.environ["ARBITER"] == "gunicorn"
SOCKET = os.environ["GUNICORN_DIRTY_SOCKET"]

ALL = "bench_app:BenchApp"
LIMITED = "bench_app:LimitedApp"
TWO = "bench_app:AttrLimitedApp"
DECLARED = "bench_app:StashDeclApp"

MISSING = "a missing key raises, with a default as without: its error does not say which kind it is"
NO_TABLE = "a missing table raises a plain StashError: its error does not say which kind it is"

# Seconds after which a call or a condition is given up for lost.
PATIENCE = 60.0


def differs(reason, run=True):
    """A case that gunicorn's own arbiter does not pass, and why.

    There it is run and must fail, so that the list of differences stays true; with `run=False` it is left out, because
    it sometimes passes there, or never ends.
    """

    def mark(test):
        test.difference = reason
        if not GUNICORN:
            return test
        test.left_out = not run
        return unittest.expectedFailure(test) if run else test

    return mark


class Arbiter:
    """An arbiter with settings of a test's own."""

    def __init__(
        self, *, workers=1, threads=1, timeout=300, graceful_timeout=5, apps=(ALL,), flags=(), environment=None
    ):
        self.directory = tempfile.TemporaryDirectory()
        self.worker_count = workers
        self.socket = os.path.join(self.directory.name, "dirty.sock")
        prefix = "--" if GUNICORN else "--dirty-"
        self.command = _program()
        settings = {"socket": self.socket, "workers": workers, "threads": threads, "timeout": timeout}
        settings["graceful-timeout"] = graceful_timeout
        for name, value in settings.items():
            self.command += [prefix + name, str(value)]
        for app in apps:
            self.command += [prefix + "app", app]
        self.command += flags
        self.environment = {**os.environ, **(environment or {}), "TMPDIR": self.directory.name}
        self.process = None

    def start(self):
        """Starts it and waits until it has its workers."""
        log = open(os.path.join(self.directory.name, "log"), "ab")
        with log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )
        eventually(self.has_its_workers, self.log)

    def has_its_workers(self):
        try:
            return status(self.socket)["worker_count"] >= self.worker_count and (not GUNICORN or self.workers_listen())
        except (DirtyError, OSError):
            return False

    def workers_listen(self):
        """gunicorn's arbiter counts a worker from its fork on, and until it listens refuses every call to it."""
        paths = Path(self.directory.name).glob("gunicorn-dirty-*/worker-*.sock")
        return sum(map(listens, paths)) >= self.worker_count

    def log(self):
        return Path(self.directory.name, "log").read_text(encoding="utf-8", errors="replace")

    def stop(self, signal=15):
        """Ends it and waits for its end."""
        self.process.send_signal(signal)
        self.process.wait(PATIENCE)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.directory.cleanup()


class Case(unittest.TestCase):
    """A test with clients and arbiters that it does not have to close."""

    maxDiff = 2000

    def client(self, socket=SOCKET, timeout=PATIENCE):
        client = DirtyClient(socket, timeout=timeout)
        self.addCleanup(client.close)
        return client

    def stash_client(self, socket=SOCKET):
        client = StashClient(socket, timeout=PATIENCE)
        self.addCleanup(client.close)
        return client

    def arbiter(self, **settings):
        arbiter = Arbiter(**settings)
        self.addCleanup(arbiter.close)
        arbiter.start()
        return arbiter

    def fails(self, kind, call, *args, **kwargs):
        """The error of exactly this kind that the call ends with."""
        with self.assertRaises(DirtyError) as caught:
            call(*args, **kwargs)
        self.assertIs(type(caught.exception), kind, repr(caught.exception))
        return caught.exception


class StashCase(Case):
    """A test with a table of its own."""

    def setUp(self):
        self.table = self.id()
        self.addCleanup(stash.delete_table, self.table)

    def fill(self, *keys):
        for key in keys:
            stash.put(self.table, key, f"value of {key}")


def eventually(condition, explain=lambda: ""):
    """Waits until the condition gives something true, and returns that."""
    give_up = time.monotonic() + PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > give_up:
            raise AssertionError(f"waited {PATIENCE} s in vain; {explain()}")
        time.sleep(0.01)


def listens(path):
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


def answers(client, app=ALL):
    """Whether the app serves again."""
    try:
        client.execute(app, "noop")
        return True
    except DirtyError:
        return False


def exchange(socket_path, message):
    """Sends one message and reads one, as gunicorn's own tools do."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(socket_path)
        DirtyProtocol.write_message(connection, message)
        return DirtyProtocol.read_message(connection)


def status(socket_path=SOCKET):
    """What the arbiter answers to STATUS."""
    return exchange(socket_path, {"type": DirtyProtocol.MSG_TYPE_STATUS, "id": 7})["result"]


def pids(client, app=ALL, calls=60):
    """The workers that answer when the app is called so often."""
    return {client.execute(app, "pid") for _ in range(calls)}


def _program():
    if GUNICORN:
        return [sys.executable, str(Path(__file__).with_name("arbiter.py"))]
    return [os.environ["PROBE"], "--dirty-only"]
