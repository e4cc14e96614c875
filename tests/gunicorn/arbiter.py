"""Starts gunicorn's own dirty arbiter alone, in the foreground, on a given socket path.

    python arbiter.py --socket PATH --workers 3 --threads 1 --timeout 3 --graceful-timeout 5 \
        [--app bench_app:BenchApp --app bench_app:LimitedApp:1 ...]

Apps are imported from this directory or from PYTHONPATH. The arbiter ends when its parent does, as under gunicorn.
"""

import argparse
import os

from gunicorn.config import Config
from gunicorn.dirty import DirtyArbiter
from gunicorn.glogging import Logger


def main():
    options = arguments()
    config = Config()
    config.set("dirty_apps", options.app or ["bench_app:BenchApp"])
    config.set("dirty_workers", options.workers)
    config.set("dirty_threads", options.threads)
    config.set("dirty_timeout", options.timeout)
    config.set("dirty_graceful_timeout", options.graceful_timeout)
    config.set("loglevel", options.log_level)
    arbiter = DirtyArbiter(config, Logger(config), socket_path=options.socket)
    # gunicorn forks the arbiter after constructing it; here the constructing process is the arbiter.
    arbiter.ppid = os.getppid()
    arbiter.run()


def arguments():
    parser = argparse.ArgumentParser(description="gunicorn's dirty arbiter, alone")
    parser.add_argument("--socket", required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--timeout", type=int, default=300, help="seconds")
    parser.add_argument("--graceful-timeout", type=int, default=30, help="seconds")
    parser.add_argument("--app", action="append", metavar="MODULE:CLASS[:N]")
    parser.add_argument("--log-level", default="info")
    return parser.parse_args()


if __name__ == "__main__":
    main()
