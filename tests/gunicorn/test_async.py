"""gunicorn's client in asyncio: calls, streams, errors and time limits, many at a time, beside each other."""

import asyncio
import logging
import os
import signal
import unittest

from gunicorn.dirty import (
    DirtyAppError,
    DirtyClient,
    DirtyConnectionError,
    DirtyError,
    DirtyProtocolError,
    DirtyTimeoutError,
    DirtyWorkerError,
    close_dirty_client_async,
    get_dirty_client_async,
    stash,
)
from gunicorn.dirty.client import DirtyAsyncStreamIterator
from gunicorn.dirty.errors import DirtyNoWorkersAvailableError
from peer import ALL, LIMITED, PATIENCE, SOCKET, Arbiter, differs

MIB = 1024 * 1024


class AsyncCase(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        # unittest's debug mode reports slow steps, such as the decoding of 60 MiB.
        logging.getLogger("asyncio").setLevel(logging.ERROR)

    async def client(self, socket=SOCKET, timeout=PATIENCE):
        client = DirtyClient(socket, timeout=timeout)
        self.addAsyncCleanup(client.close_async)
        return client

    def arbiter(self, **settings):
        arbiter = Arbiter(**settings)
        self.addCleanup(arbiter.close)
        arbiter.start()
        return arbiter

    async def fails(self, kind, awaitable):
        with self.assertRaises(DirtyError) as caught:
            await awaitable
        self.assertIs(type(caught.exception), kind, repr(caught.exception))
        return caught.exception


class Calls(AsyncCase):
    async def test_arguments_and_result(self):
        client = await self.client()
        answer = await client.execute_async(ALL, "echo_all", 1, b"2", x={"y": [None, 0.5]})
        self.assertEqual(answer, {"args": [1, b"2"], "kwargs": {"x": {"y": [None, 0.5]}}})

    async def test_one_client_makes_many_calls_in_order(self):
        client = await self.client()
        self.assertEqual([await client.execute_async(ALL, "echo", i) for i in range(200)], list(range(200)))

    async def test_a_context_manager_connects_and_closes(self):
        async with DirtyClient(SOCKET) as client:
            self.assertIsNotNone(client._writer)
            self.assertIsNone(await client.execute_async(ALL, "noop"))
        self.assertIsNone(client._writer)

    async def test_a_closed_client_connects_again(self):
        client = await self.client()
        await client.execute_async(ALL, "noop")
        await client.close_async()
        self.assertEqual(await client.execute_async(ALL, "echo", 1), 1)

    async def test_the_client_of_a_context_finds_the_arbiter_by_the_environment(self):
        client = await get_dirty_client_async()
        self.addAsyncCleanup(close_dirty_client_async)
        self.assertIs(await get_dirty_client_async(), client)
        self.assertEqual((client.socket_path, await client.execute_async(ALL, "echo", 1)), (SOCKET, 1))

    async def test_tasks_have_clients_of_their_own(self):
        async def one(i):
            client = await get_dirty_client_async(timeout=PATIENCE)
            try:
                return id(client), await client.execute_async(ALL, "echo", i)
            finally:
                await close_dirty_client_async()

        answers = await asyncio.gather(*(one(i) for i in range(50)))
        self.assertEqual([answer for _, answer in answers], list(range(50)))

    async def test_a_hundred_calls_at_a_time(self):
        clients = [await self.client() for _ in range(100)]
        calls = (client.execute_async(ALL, "echo", i) for i, client in enumerate(clients))
        self.assertEqual(await asyncio.gather(*calls), list(range(100)))

    async def test_the_event_loop_goes_on_during_a_call(self):
        client, ticks = await self.client(), 0
        call = asyncio.ensure_future(client.execute_async(ALL, "sleep", 0.5))
        while not call.done():
            await asyncio.sleep(0.01)
            ticks += 1
        self.assertEqual(await call, 0.5)
        self.assertGreater(ticks, 1)

    async def test_bytes_of_1_16_and_60_mebibytes_come_back(self):
        client = await self.client(timeout=200)
        for mebibytes in (1, 16, 60):
            payload = os.urandom(MIB) * mebibytes
            self.assertTrue(await client.execute_async(ALL, "echo", payload) == payload)

    async def test_a_cancelled_call_harms_nobody(self):
        client = await self.client()
        call = asyncio.ensure_future(client.execute_async(ALL, "sleep", 0.5))
        await asyncio.sleep(0.1)
        call.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await call
        await client.close_async()
        self.assertEqual(await client.execute_async(ALL, "echo", 1), 1)

    async def test_the_stash_is_used_from_threads(self):
        # gunicorn's stash client is a blocking one only.
        await asyncio.to_thread(stash.put, "async", "key", [1])
        self.assertEqual(await asyncio.to_thread(stash.get, "async", "key"), [1])
        await asyncio.to_thread(stash.delete_table, "async")


class Streams(AsyncCase):
    async def collect(self, *args, app=ALL):
        client = await self.client()
        return [chunk async for chunk in client.stream_async(app, *args)]

    async def test_every_chunk_arrives(self):
        self.assertEqual(await self.collect("stream", 5, 3), [b"xxx"] * 5)
        self.assertEqual(await self.collect("astream", 5, 3), [b"xxx"] * 5)

    async def test_chunks_are_of_any_type(self):
        values = [None, 1, 2.5, "text", b"bytes", [1, [2]], {"a": {"b": True}}]
        self.assertEqual(await self.collect("stream_values", values), values)
        self.assertEqual(await self.collect("astream_values", values), values)

    async def test_a_stream_without_chunks_ends(self):
        self.assertEqual(await self.collect("stream", 0, 1), [])

    async def test_chunks_can_be_large(self):
        self.assertEqual([len(chunk) for chunk in await self.collect("stream", 3, 20 * MIB)], [20 * MIB] * 3)

    async def test_chunks_arrive_as_they_are_made(self):
        client = await self.client()
        stream = client.stream_async(ALL, "stream_slow", 10_000_000, 0.02)
        self.assertIsInstance(stream, DirtyAsyncStreamIterator)
        self.assertEqual([await anext(stream) for _ in range(3)], [0, 1, 2])

    async def test_streams_and_calls_run_side_by_side(self):
        streams = (self.collect("stream_values", [i] * 20) for i in range(20))
        calls = (echo(self, i) for i in range(20))
        answers = await asyncio.gather(*streams, *calls)
        self.assertEqual(answers, [[i] * 20 for i in range(20)] + list(range(20)))

    async def test_an_error_on_the_way_comes_after_the_chunks_before_it(self):
        for action in ("stream_fail", "astream_fail"):
            client, chunks = await self.client(), []
            with self.assertRaises(DirtyAppError) as caught:
                async for chunk in client.stream_async(ALL, action, 3):
                    chunks.append(chunk)
            self.assertEqual((chunks, caught.exception.message), ([0, 1, 2], "stream failed after 3"))
            self.assertEqual(await client.execute_async(ALL, "echo", 1), 1)

    @differs("an error in a stream comes without app and action")
    async def test_an_error_on_the_way_names_app_and_action(self):
        error = await self.fails(DirtyAppError, self.collect("stream_fail", 1))
        self.assertEqual((error.app_path, error.action), (ALL, "stream_fail"))

    async def test_the_stream_of_an_action_that_does_not_stream_is_over_at_once(self):
        self.assertEqual(await self.collect("echo", 1), [])

    async def test_a_stream_left_half_way_is_closed(self):
        asking = await self.client()
        before = await asking.execute_async(LIMITED, "peek")
        client = await self.client()
        async for _ in client.stream_async(LIMITED, "stream", 100_000_000, 1000):
            break
        await client.close_async()
        async with asyncio.timeout(PATIENCE):
            while True:
                peek = await asking.execute_async(LIMITED, "peek")
                if peek["closed_generators"] > before["closed_generators"]:
                    break
                await asyncio.sleep(0.01)

    async def test_an_unknown_app_is_no_workers_available(self):
        error = await self.fails(DirtyNoWorkersAvailableError, self.collect("stream", app="other:App"))
        self.assertEqual(error.app_path, "other:App")


class Errors(AsyncCase):
    async def test_an_app_error_has_all_its_fields(self):
        client = await self.client()
        error = await self.fails(DirtyAppError, client.execute_async(ALL, "fail", "no"))
        self.assertEqual((error.message, error.app_path, error.action), ("no", ALL, "fail"))
        self.assertTrue(error.traceback)

    async def test_an_unknown_app_is_no_workers_available_with_its_path(self):
        client = await self.client()
        error = await self.fails(DirtyNoWorkersAvailableError, client.execute_async("other:App", "noop"))
        self.assertEqual(error.app_path, "other:App")

    async def test_the_end_of_a_worker_is_a_worker_error_that_names_it(self):
        arbiter = await asyncio.to_thread(self.arbiter, workers=1)
        client = await self.client(arbiter.socket)
        pid = await client.execute_async(ALL, "pid")
        error = await self.fails(DirtyWorkerError, client.execute_async(ALL, "crash"))
        self.assertEqual(error.worker_id, pid)

    async def test_the_clients_timeout_is_a_timeout_error_with_the_limit(self):
        arbiter = await asyncio.to_thread(self.arbiter, workers=2)
        client = await self.client(arbiter.socket, timeout=0.4)
        error = await self.fails(DirtyTimeoutError, client.execute_async(ALL, "sleep", 2))
        self.assertEqual(error.timeout, 0.4)
        client.timeout = PATIENCE
        self.assertEqual(await client.execute_async(ALL, "echo", 1), 1)

    @differs("a timeout error or an app error, as it happens", run=False)
    async def test_dirty_timeout_is_a_timeout_error_with_the_limit(self):
        arbiter = await asyncio.to_thread(self.arbiter, workers=1, timeout=1)
        client = await self.client(arbiter.socket)
        error = await self.fails(DirtyTimeoutError, client.execute_async(ALL, "sleep", 30))
        self.assertEqual(error.timeout, 1)

    async def test_a_pause_between_chunks_is_limited_by_the_idle_timeout(self):
        arbiter = await asyncio.to_thread(self.arbiter, workers=1)
        client = await self.client(arbiter.socket)
        stream = DirtyAsyncStreamIterator(client, ALL, "stream_slow", (2, 40.0), {}, idle_timeout=0.4)
        self.assertEqual(await anext(stream), 0)
        error = await self.fails(DirtyTimeoutError, anext(stream))
        self.assertEqual(error.timeout, 0.4)

    async def test_a_stream_as_a_whole_is_limited_by_the_clients_timeout(self):
        client = await self.client(timeout=0.5)
        stream = client.stream_async(ALL, "stream_slow", 1_000_000, 0.02)

        async def drain():
            async for _ in stream:
                pass

        error = await self.fails(DirtyTimeoutError, drain())
        self.assertEqual(error.timeout, 0.5)

    async def test_nobody_at_the_path_is_a_connection_error_with_the_path(self):
        client = await self.client("/nonexistent/dirty.sock")
        error = await self.fails(DirtyConnectionError, client.execute_async(ALL, "noop"))
        self.assertEqual(error.socket_path, "/nonexistent/dirty.sock")

    async def test_what_is_over_a_limit_the_client_does_not_send(self):
        client = await self.client()
        await self.fails(DirtyProtocolError, client.execute_async(ALL, "noop", bytes(64 * MIB + 1)))
        self.assertEqual(await client.execute_async(ALL, "echo", 1), 1)

    async def test_executing_an_action_that_streams_is_an_error_and_the_next_call_works(self):
        client = await self.client()
        await self.fails(DirtyError, client.execute_async(ALL, "stream", 3, 1))
        self.assertEqual(await client.execute_async(ALL, "echo", 1), 1)

    async def test_an_arbiter_restarted_under_a_client_costs_one_call(self):
        arbiter = await asyncio.to_thread(self.arbiter, workers=1)
        client = await self.client(arbiter.socket)
        await client.execute_async(ALL, "noop")
        await asyncio.to_thread(arbiter.stop, signal.SIGTERM)
        await self.fails(DirtyConnectionError, client.execute_async(ALL, "noop"))
        await asyncio.to_thread(arbiter.start)
        self.assertEqual(await client.execute_async(ALL, "echo", 1), 1)


async def echo(case, i):
    client = await case.client()
    return await client.execute_async(ALL, "echo", i)
