"""A FastAPI service under gunicorn's ASGI workers; what is slow or heavy is done by `examples/studio`."""

import asyncio
import os
from contextlib import aclosing
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from gunicorn.dirty import DirtyClient, DirtyError, stash
from gunicorn.dirty.client import get_dirty_socket_path

app = FastAPI()
counting = asyncio.Lock()

STATUS = {
    "DirtyAppError": 422,  # the app refused: wrong arguments, no picture, ...
    "DirtyWorkerError": 502,  # the worker ended while it had the call
    "DirtyNoWorkersAvailableError": 503,
    "DirtyConnectionError": 503,  # nobody at the socket
    "DirtyTimeoutError": 504,
}


async def dirty_client():
    """A client for one request: requests overlap, and a connection takes one call at a time."""
    async with DirtyClient(get_dirty_socket_path()) as client:
        yield client


Client = Annotated[DirtyClient, Depends(dirty_client)]


@app.post("/statistics")
async def statistics(request: Request, client: Client):
    text = (await request.body()).decode()
    return await client.execute_async("studio:Writer", "statistics", text)


@app.post("/thumbnail")
async def thumbnail(request: Request, client: Client, size: int = 128):
    png = await client.execute_async("studio:Darkroom", "thumbnail", await request.body(), size=size)
    return Response(png, media_type="image/png")


@app.get("/story")
async def story(prompt: str = "the", words: int = 40):
    async def events():
        try:
            async with DirtyClient(get_dirty_socket_path(), timeout=300) as client:
                async for word in client.stream_async("studio:Writer", "story", prompt, words=words):
                    yield f"data: {word}\n\n"
        except DirtyError as error:
            yield f"event: error\ndata: {type(error).__name__}: {error.message}\n\n"

    return Story(events(), media_type="text/event-stream")


class Story(StreamingResponse):
    """If the browser leaves, the story is told no more: nobody waits for the server to notice, or for the garbage collector."""

    async def __call__(self, scope, receive, send):
        async with aclosing(self.body_iterator):
            telling = asyncio.ensure_future(super().__call__(scope, receive, send))
            leaving = asyncio.ensure_future(left(receive))
            try:
                await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                if not telling.done():
                    telling.cancel()
                await asyncio.gather(telling, leaving, return_exceptions=True)
            if not telling.cancelled():
                telling.result()


async def left(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


@app.get("/visits")
async def visits():
    """Counts in the stash, which outlives the workers; each of them has a key of its own, so no count is lost."""
    async with counting:
        return await asyncio.to_thread(count)


def count():
    mine = str(os.getpid())
    stash.put("visits", mine, stash.get("visits", mine, 0) + 1)
    return {"visits": sum(stash.table("visits").values()), "worker": os.getpid()}


@app.exception_handler(DirtyError)
async def failed(_: Request, error: DirtyError):
    name = type(error).__name__
    return JSONResponse({"error": name, "message": error.message}, STATUS.get(name, 500))
