"""The service of the bench `master` for gunicorn: what `benches/hello` answers, as a plain WSGI app."""

import os

# With preload_app in the master, every page of it written.
preloaded = bytearray(b"\x01") * (int(os.environ.get("BENCH_PRELOAD_MB", "0")) << 20)
PAGE = 4096


def app(environ, start_response):
    if environ["PATH_INFO"] == "/preloaded":
        # Every page is read; adding up every byte would take seconds in Python.
        body = b"%d %d" % (os.getpid(), sum(preloaded[::PAGE]) * PAGE)
    else:
        body = b"Hello, World!"
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
