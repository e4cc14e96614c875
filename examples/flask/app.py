"""A Flask service under gunicorn's sync workers; what is slow or heavy is done by `examples/studio`."""

import os
import threading

from flask import Flask, Response, request
from gunicorn.dirty import DirtyClient, DirtyError, get_dirty_client, stash
from gunicorn.dirty.client import get_dirty_socket_path

app = Flask(__name__)

STATUS = {
    "DirtyAppError": 422,  # the app refused: wrong arguments, no picture, ...
    "DirtyWorkerError": 502,  # the worker ended while it had the call
    "DirtyNoWorkersAvailableError": 503,
    "DirtyConnectionError": 503,  # nobody at the socket
    "DirtyTimeoutError": 504,
}


@app.post("/statistics")
def statistics():
    return get_dirty_client().execute("studio:Writer", "statistics", request.get_data(as_text=True))


@app.post("/thumbnail")
def thumbnail():
    size = request.args.get("size", 128, type=int)
    png = get_dirty_client().execute("studio:Darkroom", "thumbnail", request.get_data(), size=size)
    return Response(png, content_type="image/png")


@app.get("/story")
def story():
    prompt = request.args.get("prompt", "the")
    words = request.args.get("words", 40, type=int)

    def events():
        # A client of its own: if the browser leaves, this one is closed with its stream, and the story is told no more.
        try:
            with DirtyClient(get_dirty_socket_path(), timeout=300) as client:
                for word in client.stream("studio:Writer", "story", prompt, words=words):
                    yield f"data: {word}\n\n"
        except DirtyError as error:
            yield f"event: error\ndata: {type(error).__name__}: {error.message}\n\n"

    return Response(events(), content_type="text/event-stream")


@app.get("/visits")
def visits():
    """Counts in the stash, which outlives the workers. Each thread has a key of its own, so no count is lost."""
    mine = f"{os.getpid()}:{threading.get_ident()}"
    stash.put("visits", mine, stash.get("visits", mine, 0) + 1)
    return {"visits": sum(stash.table("visits").values()), "worker": os.getpid()}


@app.errorhandler(DirtyError)
def failed(error):
    name = type(error).__name__
    return {"error": name, "message": error.message}, STATUS.get(name, 500)
