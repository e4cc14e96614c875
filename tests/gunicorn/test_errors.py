"""The exceptions of gunicorn's client, each with its fields, and that the service goes on after each."""

import concurrent.futures
import os
import signal
import socket
import tempfile
import threading
import time

from gunicorn.dirty import (
    DirtyAppError,
    DirtyConnectionError,
    DirtyError,
    DirtyProtocolError,
    DirtyTimeoutError,
    DirtyWorkerError,
)
from gunicorn.dirty.errors import DirtyNoWorkersAvailableError
from gunicorn.dirty.protocol import BinaryProtocol
from peer import ALL, LIMITED, Case, answers, differs, eventually, pids


class App(Case):
    def setUp(self):
        self.execute = self.client().execute

    def test_an_app_error_has_message_app_action_and_traceback(self):
        error = self.fails(DirtyAppError, self.execute, LIMITED, "fail", "out of cheese")
        self.assertEqual((error.message, error.app_path, error.action), ("out of cheese", LIMITED, "fail"))
        self.assertIn("out of cheese", error.traceback)
        self.assertEqual(error.details["traceback"], error.traceback)
        self.assertEqual((error.details["app_path"], error.details["action"]), (LIMITED, "fail"))
        self.assertIn("out of cheese", str(error))

    def test_a_panic_is_an_app_error_with_its_place_and_the_worker_lives_on(self):
        pid = self.execute(LIMITED, "pid")
        error = self.fails(DirtyAppError, self.execute, LIMITED, "panic", "at the disco")
        self.assertIn("at the disco", error.message)
        self.assertRegex(error.traceback, r"app\.rs:\d+|bench_app\.py\", line \d+")
        self.assertEqual(self.execute(LIMITED, "pid"), pid)

    def test_an_unknown_action_is_an_app_error_that_names_it(self):
        error = self.fails(DirtyAppError, self.execute, ALL, "resize")
        self.assertEqual((error.app_path, error.action), (ALL, "resize"))
        self.assertIn("resize", error.message)
        self.assertTrue(error.traceback)

    def test_any_text_can_be_a_message(self):
        for text in ("Grüße 🜂", "two\nlines", "a\0b", "x" * 100_000):
            self.assertEqual(self.fails(DirtyAppError, self.execute, ALL, "fail", text).message, text)

    def test_after_an_error_the_next_call_is_served(self):
        for i in range(20):
            self.fails(DirtyAppError, self.execute, ALL, "fail", "no")
            self.assertEqual(self.execute(ALL, "echo", i), i)

    def test_every_error_is_a_dirty_error(self):
        with self.assertRaises(DirtyError) as caught:
            self.execute(ALL, "fail", "no")
        self.assertIsInstance(caught.exception, DirtyAppError)


class NoWorkers(Case):
    def test_an_unknown_app_is_no_workers_available_with_its_path(self):
        path = "myapp.heavy:HeavyModelApp"
        error = self.fails(DirtyNoWorkersAvailableError, self.client().execute, path, "predict", 1)
        self.assertEqual((error.app_path, error.details["app_path"]), (path, path))
        self.assertIn("No workers available for app", error.message)

    def test_an_app_that_is_not_configured_is_no_workers_available(self):
        arbiter = self.arbiter(workers=1, apps=[ALL])
        error = self.fails(DirtyNoWorkersAvailableError, self.client(arbiter.socket).execute, LIMITED, "noop")
        self.assertEqual(error.app_path, LIMITED)


class Worker(Case):
    """The shared arbiter's workers are not to be hurt."""

    def setUp(self):
        self.own = self.arbiter(workers=2)
        self.caller = self.client(self.own.socket)
        self.execute = self.caller.execute

    def test_the_end_of_a_worker_is_a_worker_error_that_names_it(self):
        for action, arguments in (("crash", ()), ("leave", (5,)), ("abort", ())):
            before = pids(self.client(self.own.socket), calls=20)
            error = self.fails(DirtyWorkerError, self.execute, ALL, action, *arguments)
            self.assertIn(error.worker_id, before | {error.details["worker_id"]})
            self.assertGreater(error.worker_id, 1)
            self.assertIsNone(error.traceback)
            eventually(lambda: answers(self.caller))

    @differs("the message is about bytes that could not be read")
    def test_a_worker_error_says_how_the_worker_ended(self):
        said = {"crash": "exited with code 9", "abort": "SIGABRT"}
        for action, text in said.items():
            self.assertIn(text, self.fails(DirtyWorkerError, self.execute, ALL, action).message)
            eventually(lambda: answers(self.caller))

    def test_a_killed_worker_is_a_worker_error(self):
        pid = self.execute(ALL, "pid")
        for worker in pids(self.client(self.own.socket), calls=20) | {pid}:
            threading.Timer(0.3, os.kill, (worker, signal.SIGKILL)).start()
        error = self.fails(DirtyWorkerError, self.execute, ALL, "sleep", 30)
        self.assertIsInstance(error.worker_id, int)
        eventually(lambda: answers(self.caller))

    def test_the_replacement_serves(self):
        self.fails(DirtyWorkerError, self.execute, ALL, "crash")
        eventually(lambda: answers(self.caller))
        self.assertEqual(self.execute(ALL, "echo", "again"), "again")


class Timeout(Case):
    def test_the_clients_timeout_is_a_timeout_error_with_the_limit(self):
        arbiter = self.arbiter(workers=2)
        client = self.client(arbiter.socket, timeout=0.4)
        error = self.fails(DirtyTimeoutError, client.execute, ALL, "sleep", 2)
        self.assertEqual((error.timeout, error.details), (0.4, {"timeout": 0.4}))
        client.timeout = 60
        self.assertEqual(client.execute(ALL, "echo", 1), 1)

    @differs("a timeout error or an app error, as it happens", run=False)
    def test_dirty_timeout_is_a_timeout_error_with_the_limit(self):
        arbiter = self.arbiter(workers=1, timeout=1)
        client = self.client(arbiter.socket)
        for _ in range(3):
            error = self.fails(DirtyTimeoutError, client.execute, ALL, "sleep", 30)
            self.assertEqual((error.timeout, error.details["timeout"]), (1, 1))

    @differs("the worker stays blocked, and its next calls time out as well")
    def test_after_dirty_timeout_the_next_call_is_served(self):
        arbiter = self.arbiter(workers=1, timeout=3)
        client = self.client(arbiter.socket)
        with self.assertRaises(DirtyError):
            client.execute(ALL, "sleep", 3600)
        self.assertEqual(client.execute(ALL, "echo", 1), 1)

    @differs("every call fails at once", run=False)
    def test_a_dirty_timeout_of_0_is_no_limit(self):
        arbiter = self.arbiter(workers=1, timeout=0)
        self.assertEqual(self.client(arbiter.socket).execute(ALL, "sleep", 1.5), 1.5)

    def test_a_stream_that_goes_on_is_not_cut_by_dirty_timeout(self):
        arbiter = self.arbiter(workers=1, timeout=1)
        stream = self.client(arbiter.socket).stream(ALL, "stream_slow", 8, 0.25)
        self.assertEqual(list(stream), list(range(8)))


class Connection(Case):
    def test_nobody_at_the_path_is_a_connection_error_with_the_path(self):
        error = self.fails(DirtyConnectionError, self.client("/nonexistent/dirty.sock").execute, ALL, "noop")
        self.assertEqual((error.socket_path, error.details["socket_path"]), ("/nonexistent/dirty.sock",) * 2)

    def test_a_refused_connection_is_a_connection_error_with_the_path(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "dead.sock")
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(path)
            error = self.fails(DirtyConnectionError, self.client(path).execute, ALL, "noop")
            self.assertEqual(error.socket_path, path)

    def test_an_arbiter_restarted_under_a_client_costs_one_call(self):
        for end in (signal.SIGTERM, signal.SIGQUIT):
            arbiter = self.arbiter(workers=1)
            client = self.client(arbiter.socket)
            self.assertEqual(client.execute(ALL, "echo", 1), 1)
            arbiter.stop(end)
            with self.assertRaises(DirtyError):
                client.execute(ALL, "echo", 2)
            self.fails(DirtyConnectionError, client.execute, ALL, "echo", 2)
            arbiter.start()
            self.assertEqual(client.execute(ALL, "echo", 3), 3)

    def test_an_arbiter_killed_during_a_call_is_a_connection_error(self):
        arbiter = self.arbiter(workers=1)
        client = self.client(arbiter.socket)
        # gunicorn's worker lives on as an orphan.
        self.addCleanup(kill, client.execute(ALL, "pid"))
        call = concurrent.futures.ThreadPoolExecutor(1).submit(client.execute, ALL, "sleep", 30)
        # gunicorn's arbiter does not tell when a call runs.
        time.sleep(0.5)
        arbiter.stop(signal.SIGKILL)
        with self.assertRaises(DirtyError):
            call.result()

    def test_an_arbiter_that_ends_leaves_no_socket_behind(self):
        arbiter = self.arbiter(workers=1)
        arbiter.stop()
        self.assertFalse(os.path.exists(arbiter.socket))

    @differs("running calls are cut after 0.1 s, whatever the graceful timeout")
    def test_an_arbiter_that_ends_lets_the_running_call_finish(self):
        arbiter = self.arbiter(workers=1, graceful_timeout=30)
        client = self.client(arbiter.socket)
        client.execute(ALL, "noop")
        call = concurrent.futures.ThreadPoolExecutor(1).submit(client.execute, ALL, "sleep", 2)
        # gunicorn's arbiter does not tell when a call runs.
        time.sleep(0.5)
        arbiter.stop()
        self.assertEqual(call.result(), 2)

    def test_clients_recover_by_themselves_from_a_restart_under_load(self):
        arbiter = self.arbiter(workers=2)
        served, stop = [0] * 8, threading.Event()

        def call(number):
            client = self.client(arbiter.socket)
            while not stop.is_set():
                try:
                    self.assertEqual(client.execute(ALL, "echo", number), number)
                    served[number] += 1
                except DirtyError:
                    time.sleep(0.01)

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            calls = [threads.submit(call, number) for number in range(8)]
            eventually(lambda: min(served) > 0)
            arbiter.stop()
            arbiter.start()
            before = list(served)
            eventually(lambda: all(now > then for now, then in zip(served, before)))
            stop.set()
            for result in calls:
                result.result()


class Protocol(Case):
    """What the arbiter says to frames that break the protocol, read by gunicorn's client."""

    def answer_to(self, frame):
        client = self.client()
        client.connect()
        client._sock.sendall(frame)
        message = BinaryProtocol.read_message(client._sock)
        return client, DirtyError.from_dict(message["error"])

    @differs("the connection closes without a word")
    def test_a_bad_header_is_a_protocol_error_and_the_connection_closes(self):
        client, error = self.answer_to(b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertIs(type(error), DirtyProtocolError)
        self.assertEqual(client._sock.recv(1), b"")

    @differs("the connection closes without a word")
    def test_a_message_over_the_limit_is_a_protocol_error_that_names_both_sizes(self):
        _, error = self.answer_to(BinaryProtocol.encode_header(1, 5, 64 * 1024 * 1024 + 1))
        self.assertIs(type(error), DirtyProtocolError)
        self.assertRegex(error.message, "67108865.*67108864")

    @differs("the connection closes without a word")
    def test_a_bad_payload_is_a_protocol_error_and_the_connection_serves_on(self):
        client, error = self.answer_to(BinaryProtocol.encode_header(1, 5, 3) + b"\x99\x00\x00")
        self.assertIs(type(error), DirtyProtocolError)
        self.assertEqual(client.execute(ALL, "echo", 1), 1)

    @differs("a dict key that is no text ends the connection without a word")
    def test_a_dict_key_that_is_no_text_is_a_protocol_error(self):
        payload = b"\x21\0\0\0\x01" + b"\x05" + bytes(8) + b"\x00"
        _, error = self.answer_to(BinaryProtocol.encode_header(1, 5, len(payload)) + payload)
        self.assertIs(type(error), DirtyProtocolError)


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
