"""The client of the gunicorn package under load: `stock.py SOCKET TASK PROCESSES COUNT` prints the seconds that COUNT
rounds took, spread over as many processes with one connection each. Processes, since threads would share one interpreter."""

import multiprocessing
import sys
import time

from gunicorn.dirty.client import DirtyClient
from gunicorn.dirty.stash import StashClient

APP = "bench_app:BenchApp"
DATA = b"\x07" * 64
VALUE = b"\x07" * 100


def call(client, count):
    for _ in range(count):
        client.execute(APP, "echo", DATA)


def stream(client, count):
    assert sum(1 for _ in client.stream(APP, "stream", count, 16)) == count


def stash_get(client, count):
    for _ in range(count):
        client.get("bench", "key")


def stash_put(client, count):
    for _ in range(count):
        client.put("bench", "key", VALUE)


TASKS = {
    "call": (DirtyClient, call),
    "stream": (DirtyClient, stream),
    "stash-get": (StashClient, stash_get),
    "stash-put": (StashClient, stash_put),
}


def work(socket, task, count, start):
    make, run = TASKS[task]
    client = make(socket, timeout=60)
    run(client, 1)
    start.wait()
    # On a clock that all processes share.
    begun = time.monotonic()
    run(client, count)
    return begun, time.monotonic()


def child(socket, task, count, start, results):
    results.put(work(socket, task, count, start))


def main():
    socket, task, processes, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    start, results = multiprocessing.Barrier(processes), multiprocessing.Queue()
    each = -(-count // processes)
    children = [
        multiprocessing.Process(target=child, args=(socket, task, each, start, results), daemon=True)
        for _ in range(processes)
    ]
    for process in children:
        process.start()
    spans = [results.get(timeout=120) for _ in children]
    print(max(end for _, end in spans) - min(begun for begun, _ in spans))


main()
