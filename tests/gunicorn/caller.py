"""A process that makes a hundred calls and prints the sum of the answers: `python caller.py FIRST`."""

import sys

from gunicorn.dirty import get_dirty_client

first = int(sys.argv[1])
client = get_dirty_client(timeout=60)
print(sum(client.execute("bench_app:BenchApp", "echo", first + i) for i in range(100)))
