"""The examples of gunicorn's manual on dirty arbiters, section by section, with the probe's actions for its apps'.

`test_allocation.py` has the section on allocation. Signals, hooks and processes have their tests in Rust; here is what
a Python service sees.
"""

import asyncio
import os
import signal
import tempfile
import threading

from gunicorn.dirty import DirtyError, get_dirty_client, get_dirty_client_async, stash
from gunicorn.dirty.client import close_dirty_client, close_dirty_client_async
from gunicorn.dirty.errors import (
    DirtyAppError,
    DirtyAppNotFoundError,
    DirtyConnectionError,
    DirtyNoWorkersAvailableError,
    DirtyTimeoutError,
)
from gunicorn.dirty.protocol import BinaryProtocol
from gunicorn.dirty.stash import StashTableNotFoundError
from gunicorn.dirty.tlv import TLVEncoder
from peer import ALL, DECLARED, GUNICORN, LIMITED, Case, answers, differs, eventually, status


class CreatingADirtyApp(Case):
    """"Creating a Dirty App": state loaded once, actions, and what becomes of unknown ones."""

    def test_what_an_action_loads_stays_for_the_next_call(self):
        client = self.client()
        first = client.execute(LIMITED, "counter")
        self.assertEqual(client.execute(LIMITED, "counter"), first + 1)

    def test_an_unknown_action_is_an_error(self):
        error = self.fails(DirtyAppError, self.client().execute, ALL, "load_modle", "gpt-4")
        self.assertIn("load_modle", error.message)

    def test_init_runs_before_the_first_call(self):
        arbiter = self.arbiter(workers=1, environment={"BENCH_INIT_DELAY": "0.5"})
        self.assertEqual(self.client(arbiter.socket).execute(ALL, "echo", 1), 1)

    def test_close_is_called_when_the_worker_shuts_down(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, "closed")
        arbiter = self.arbiter(workers=2, environment={"BENCH_CLOSE_FILE": path})
        workers = {worker["pid"] for worker in status(arbiter.socket)["workers"]}
        client = self.client(arbiter.socket)
        eventually(lambda: answers(client, ALL))
        arbiter.stop()
        with open(path, encoding="utf-8") as file:
            self.assertEqual({int(line) for line in file}, workers)


class UsingFromHttpWorkers(Case):
    """"Using from HTTP Workers": the two snippets, sync and ASGI."""

    def test_sync_workers(self):
        def my_view(data):
            client = get_dirty_client()
            client.execute(ALL, "echo", "gpt-4")
            return client.execute(ALL, "echo_all", "gpt-4", input_text=data)

        self.addCleanup(close_dirty_client)
        self.assertEqual(my_view(b"raw"), {"args": ["gpt-4"], "kwargs": {"input_text": b"raw"}})

    def test_async_workers(self):
        async def my_view(data):
            client = await get_dirty_client_async()
            try:
                await client.execute_async(ALL, "echo", "gpt-4")
                return await client.execute_async(ALL, "echo_all", "gpt-4", input_text=data)
            finally:
                await close_dirty_client_async()

        self.assertEqual(asyncio.run(my_view("text")), {"args": ["gpt-4"], "kwargs": {"input_text": "text"}})


class Streaming(Case):
    """"Streaming": generators of both kinds, both client calls, the protocol, errors, and clients that leave."""

    TOKENS = ["Hello", " ", "World"]

    def test_a_sync_generator_streams_to_a_sync_worker(self):
        def generate_response():
            yield from get_dirty_client().stream(ALL, "stream_values", self.TOKENS)

        self.addCleanup(close_dirty_client)
        self.assertEqual("".join(generate_response()), "Hello World")

    def test_an_async_generator_streams_to_an_asgi_worker(self):
        async def generate_response():
            client = await get_dirty_client_async()
            async for chunk in client.stream_async(ALL, "astream_values", self.TOKENS):
                yield chunk
            await close_dirty_client_async()

        async def collect():
            return [chunk async for chunk in generate_response()]

        self.assertEqual(asyncio.run(collect()), self.TOKENS)

    def test_streaming_protocol_chunks_then_end(self):
        client = self.client()
        client.connect()
        request = {"type": "request", "id": 77, "app_path": ALL, "action": "stream_values", "args": [self.TOKENS]}
        BinaryProtocol.write_message(client._sock, request)
        messages = [BinaryProtocol.read_message(client._sock) for _ in range(4)]
        chunks = [{"type": "chunk", "id": 77, "data": token} for token in self.TOKENS]
        self.assertEqual(messages, chunks + [{"type": "end", "id": 77}])

    def test_error_handling_in_streams(self):
        def generate_view():
            try:
                yield from self.client().stream(ALL, "stream_fail", 2)
            except DirtyError as e:
                yield f"\n[Error: {e.message}]"

        self.assertEqual(list(generate_view()), [0, 1, "\n[Error: stream failed after 2]"])

    def test_heartbeats_go_on_during_a_stream(self):
        arbiter = self.arbiter(workers=1, timeout=1)
        chunks = list(self.client(arbiter.socket).stream(ALL, "stream_slow", 10, 0.25))
        self.assertEqual(chunks, list(range(10)))

    @differs("a stream goes on until a write fails, which a slow one finds out late", run=False)
    def test_a_stream_ends_when_its_client_disconnects(self):
        asking = self.client()
        before = asking.execute(LIMITED, "peek")["closed_generators"]
        client = self.client()
        next(client.stream(LIMITED, "stream_slow", 1_000_000, 0.05))
        client.close()
        eventually(lambda: asking.execute(LIMITED, "peek")["closed_generators"] > before)


class TheBinaryProtocol(Case):
    """"Binary Protocol": the header and the type codes, byte by byte, as the arbiter sends them."""

    def raw(self, frame):
        client = self.client()
        client.connect()
        client._sock.sendall(frame)
        header = BinaryProtocol._recv_exactly(client._sock, 16)
        return header, BinaryProtocol._recv_exactly(client._sock, int.from_bytes(header[4:8], "big"))

    def test_header_format(self):
        request_id = 0x0102030405060708
        header, payload = self.raw(BinaryProtocol.encode_request(request_id, ALL, "echo", ("x",)))
        self.assertEqual(header, b"GD\x01\x02" + len(payload).to_bytes(4, "big") + bytes(range(1, 9)))

    def test_tlv_payload_encoding(self):
        values = [None, True, False, -2, 1.5, b"\x00\xff", "ä", [1, "a"], {"k": None}]
        _, payload = self.raw(BinaryProtocol.encode_request(1, ALL, "echo", (values,)))
        expected = "21 00000001 11 00000006 726573756c74 20 00000009 00 0101 0100 05 fffffffffffffffe"
        expected += "06 3ff8000000000000 10 00000002 00ff 11 00000002 c3a4 20 00000002 05 0000000000000001 11 00000001 61"
        expected += "21 00000001 11 00000001 6b 00"
        self.assertEqual(payload.hex(), expected.replace(" ", ""))
        self.assertEqual(TLVEncoder.decode_full(payload), {"result": values})

    def test_binary_data_goes_as_it_is(self):
        image = bytes(range(256)) * 40
        answer = self.client().execute(ALL, "echo_all", image, size=256)
        self.assertEqual(answer, {"args": [image], "kwargs": {"size": 256}})


class Stash(Case):
    """"Stash": basic usage, the table, management, use in an app, the patterns, and error handling."""

    def setUp(self):
        for table in ("sessions", "cache", "counters", "flags"):
            stash.delete_table(table)
            self.addCleanup(stash.delete_table, table)

    def test_basic_usage(self):
        stash.put("sessions", "user:123", {"name": "Alice", "role": "admin"})
        self.assertEqual(stash.get("sessions", "user:123"), {"name": "Alice", "role": "admin"})
        stash.put("sessions", "item:1", 1)
        self.assertEqual(stash.keys("sessions", pattern="user:*"), ["user:123"])
        stash.delete("sessions", "user:123")
        self.assertFalse(stash.exists("sessions", "user:123"))

    def test_dict_like_interface(self):
        sessions = stash.table("sessions")
        sessions["user:123"] = {"name": "Alice"}
        self.assertEqual(sessions["user:123"], {"name": "Alice"})
        self.assertEqual([(key, sessions[key]) for key in sessions], [("user:123", {"name": "Alice"})])
        self.assertEqual(len(sessions), 1)
        del sessions["user:123"]
        self.assertEqual(len(sessions), 0)

    def test_table_management(self):
        stash.ensure("cache")
        stash.ensure("cache")
        stash.put("sessions", "a", 1)
        self.assertEqual(f"Table has {stash.info('sessions')['size']} entries", "Table has 1 entries")
        stash.clear("sessions")
        self.assertEqual(stash.info("sessions")["size"], 0)
        stash.delete_table("sessions")
        self.assertIn("cache", stash.tables())
        self.assertNotIn("sessions", stash.tables())

    def test_using_stash_in_a_dirty_app(self):
        client = self.client()
        for user in ("alice", "bob"):
            client.execute(ALL, "stash_put", "sessions", f"user:{user}", {"data": {"name": user}, "logged_in_at": 1.5})
            client.execute(ALL, "stash_incr", "counters", "requests")
        self.assertEqual(client.execute(ALL, "stash_get", "sessions", "user:bob")["data"], {"name": "bob"})
        self.assertEqual(client.execute(ALL, "stash_get", "counters", "requests"), 2)

    @differs("declared stashes are never created")
    def test_declared_stashes_are_created_on_startup(self):
        arbiter = self.arbiter(workers=1, apps=[DECLARED])
        self.assertEqual(self.stash_client(arbiter.socket).tables(), ["declared_one", "declared_two"])

    @differs("a missing session raises")
    def test_session_storage(self):
        self.client().execute(ALL, "stash_put", "sessions", "user:1", {"name": "Alice"})
        self.assertEqual(stash.get("sessions", "user:1"), {"name": "Alice"})
        self.assertIsNone(stash.get("sessions", "user:2"))

    @differs("a key that is not cached raises")
    def test_shared_cache(self):
        computed = []

        def get_expensive_result(key):
            cached = stash.get("cache", key)
            if cached is not None:
                return cached
            computed.append(key)
            stash.put("cache", key, key * 2)
            return key * 2

        self.assertEqual([get_expensive_result(key) for key in ("a", "b", "a")], ["aa", "bb", "aa"])
        self.assertEqual(computed, ["a", "b"])

    @differs("a counter that is not there raises")
    def test_global_counters(self):
        def increment_counter(name):
            current = stash.get("counters", name, 0)
            stash.put("counters", name, current + 1)
            return current + 1

        self.assertEqual([increment_counter("hits") for _ in range(3)], [1, 2, 3])

    @differs("a flag that is not there raises")
    def test_feature_flags(self):
        self.assertFalse(stash.get("flags", "new_feature", False))
        stash.put("flags", "new_feature", True)
        self.assertTrue(stash.get("flags", "new_feature", False))

    @differs("a missing table raises a plain StashError")
    def test_error_handling(self):
        with self.assertRaises(StashTableNotFoundError) as caught:
            stash.info("nonexistent")
        self.assertEqual(f"Table not found: {caught.exception.table_name}", "Table not found: nonexistent")
        self.assertEqual(stash.get("table", "key", default="fallback"), "fallback")

    def test_no_transactions_but_no_lost_keys_either(self):
        def put(worker):
            for i in range(25):
                stash.put("counters", f"{worker}:{i}", i)

        threads = [threading.Thread(target=put, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(stash.info("counters")["size"], 200)


class ErrorHandling(Case):
    """"Error Handling": the try statement of the manual sees each error in its own branch."""

    def outcome(self, client, *call):
        try:
            return client.execute(*call)
        except DirtyTimeoutError:
            return "timeout"
        except DirtyAppNotFoundError:
            return "app not found"
        except DirtyNoWorkersAvailableError as e:
            return f"No workers for app: {e.app_path}"
        except DirtyAppError as e:
            return f"App error: {e.message}, traceback: {'yes' if e.traceback else 'no'}"
        except DirtyConnectionError:
            return "connection"

    def test_each_error_goes_to_its_branch(self):
        client = self.client()
        self.assertEqual(self.outcome(client, ALL, "echo", 1), 1)
        self.assertEqual(self.outcome(client, "no:App", "x"), "No workers for app: no:App")
        self.assertEqual(self.outcome(client, ALL, "fail", "bad input"), "App error: bad input, traceback: yes")
        self.assertEqual(self.outcome(self.client("/nonexistent.sock"), ALL, "x"), "connection")
        arbiter = self.arbiter(workers=1)
        self.assertEqual(self.outcome(self.client(arbiter.socket, timeout=0.3), ALL, "sleep", 3), "timeout")


class Liveness(Case):
    """"Liveness and Health Monitoring", "Signal Handling": what a service sees of it."""

    def test_a_worker_that_was_killed_is_replaced(self):
        arbiter = self.arbiter(workers=1)
        client = self.client(arbiter.socket)
        pid = client.execute(ALL, "pid")
        os.kill(pid, signal.SIGKILL)
        # gunicorn's arbiter never answers a call that it gives to a worker which has just died: another one is tried.
        eventually(lambda: answers(self.client(arbiter.socket, timeout=2), ALL))
        self.assertNotEqual(client.execute(ALL, "pid"), pid)

    def test_a_worker_without_heartbeat_is_killed_and_replaced(self):
        arbiter = self.arbiter(workers=1, timeout=2)
        client = self.client(arbiter.socket)
        pid = client.execute(ALL, "pid")
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: not os.path.exists(f"/proc/{pid}"))
        eventually(lambda: answers(client, ALL))

    def test_quit_ends_the_arbiter_at_once(self):
        arbiter = self.arbiter(workers=2, graceful_timeout=60 if not GUNICORN else 1)
        arbiter.stop(signal.SIGQUIT)
        self.assertEqual(arbiter.process.returncode, 0)

    def test_interrupt_is_as_terminate(self):
        arbiter = self.arbiter(workers=1)
        arbiter.stop(signal.SIGINT)
        self.assertEqual(arbiter.process.returncode, 0)


class ImageProcessing(Case):
    """"Example: Image Processing": bytes up, a keyword beside them, bytes down."""

    def test_an_image_goes_up_and_a_picture_comes_down(self):
        client = self.client()
        image = os.urandom(300_000)
        answer = client.execute(ALL, "echo_all", image, size=256)
        self.assertEqual((answer["args"][0], answer["kwargs"]["size"]), (image, 256))
