"""Streams of gunicorn's blocking client: chunks, ends, errors on the way, streams left half-way, and time limits."""

import os
import threading

from gunicorn.dirty import DirtyAppError, DirtyError, DirtyTimeoutError
from gunicorn.dirty.client import DirtyStreamIterator
from gunicorn.dirty.errors import DirtyNoWorkersAvailableError
from peer import ALL, LIMITED, Case, answers, differs, eventually

MIB = 1024 * 1024


class Chunks(Case):
    def setUp(self):
        self.client = self.client()

    def stream(self, *args, app=ALL):
        return list(self.client.stream(app, *args))

    def test_every_chunk_arrives(self):
        self.assertEqual(self.stream("stream", 5, 3), [b"xxx"] * 5)

    def test_a_thousand_chunks_arrive_in_order(self):
        self.assertEqual(self.stream("stream_values", list(range(1000))), list(range(1000)))

    def test_a_stream_without_chunks_ends(self):
        self.assertEqual(self.stream("stream", 0, 3), [])
        self.assertEqual(self.stream("astream_values", []), [])

    def test_chunks_of_no_bytes_are_chunks(self):
        self.assertEqual(self.stream("stream", 3, 0), [b""] * 3)

    def test_none_is_a_chunk(self):
        self.assertEqual(self.stream("stream_values", [None, None, 0]), [None, None, 0])

    def test_chunks_are_of_any_type(self):
        values = [1, -0.5, "text", b"bytes", True, [1, [2]], {"a": {"b": None}}]
        self.assertEqual(self.stream("stream_values", values), values)

    def test_chunks_can_be_large(self):
        self.assertEqual([len(chunk) for chunk in self.stream("stream", 3, 20 * MIB)], [20 * MIB] * 3)

    def test_asynchronous_generators_stream_too(self):
        self.assertEqual(self.stream("astream", 4, 2), [b"xx"] * 4)
        self.assertEqual(self.stream("astream_values", ["a", 1]), ["a", 1])

    def test_chunks_arrive_as_they_are_made(self):
        # The stream as a whole takes days.
        stream = self.client.stream(ALL, "stream_slow", 10_000_000, 0.02)
        self.assertEqual([next(stream) for _ in range(3)], [0, 1, 2])
        self.client.close()

    def test_a_stream_can_be_stepped_through_by_hand(self):
        stream = self.client.stream(ALL, "stream_values", ["a"])
        self.assertIsInstance(stream, DirtyStreamIterator)
        self.assertEqual(next(stream), "a")
        for _ in range(2):
            self.assertRaises(StopIteration, next, stream)

    def test_nothing_happens_before_the_first_step(self):
        before = self.client.execute(LIMITED, "peek")["closed_generators"]
        self.client.stream(LIMITED, "stream", 1, 1)
        self.assertEqual(self.client.execute(LIMITED, "peek")["closed_generators"], before)

    def test_calls_and_streams_take_turns_on_a_connection(self):
        for i in range(20):
            self.assertEqual(self.client.execute(ALL, "echo", i), i)
            self.assertEqual(self.stream("stream_values", [i, i]), [i, i])

    def test_streams_of_two_clients_run_side_by_side(self):
        streams = [Case.client(self).stream(ALL, "stream_slow", 1_000_000, 0.001) for _ in range(2)]
        for i in range(10):
            self.assertEqual([next(stream) for stream in streams], [i, i])
        for stream in streams:
            stream.client.close()

    def test_many_threads_stream(self):
        answers = {}

        def stream(thread):
            client = Case.client(self)
            answers[thread] = list(client.stream(ALL, "stream_values", [thread] * 50))

        threads = [threading.Thread(target=stream, args=(i,)) for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, {i: [i] * 50 for i in range(16)})


class Errors(Case):
    def setUp(self):
        self.client = self.client()

    def until_error(self, *args, app=ALL):
        chunks = []
        with self.assertRaises(DirtyError) as caught:
            for chunk in self.client.stream(app, *args):
                chunks.append(chunk)
        return chunks, caught.exception

    def test_an_error_on_the_way_comes_after_the_chunks_before_it(self):
        for action in ("stream_fail", "astream_fail"):
            chunks, error = self.until_error(action, 3)
            self.assertEqual(chunks, [0, 1, 2])
            self.assertIs(type(error), DirtyAppError)
            self.assertEqual(error.message, "stream failed after 3")
            self.assertIn("stream failed after 3", error.traceback)

    @differs("an error in a stream comes without app and action")
    def test_an_error_on_the_way_names_app_and_action(self):
        for action in ("stream_fail", "astream_fail"):
            _, error = self.until_error(action, 1)
            self.assertEqual((error.app_path, error.action), (ALL, action))

    def test_a_stream_can_fail_before_its_first_chunk(self):
        chunks, error = self.until_error("stream_fail", 0)
        self.assertEqual((chunks, error.message), ([], "stream failed after 0"))

    def test_after_an_error_the_connection_serves_on(self):
        self.until_error("stream_fail", 2)
        connection = self.client._sock
        self.assertEqual(self.client.execute(ALL, "echo", 1), 1)
        self.assertIs(self.client._sock, connection)

    def test_an_exhausted_stream_stays_exhausted(self):
        stream = self.client.stream(ALL, "stream_fail", 0)
        self.assertRaises(DirtyAppError, next, stream)
        self.assertRaises(StopIteration, next, stream)

    def test_a_stream_of_an_unknown_action_is_an_app_error(self):
        chunks, error = self.until_error("no_such_action")
        self.assertEqual((chunks, type(error), error.action), ([], DirtyAppError, "no_such_action"))

    def test_a_stream_with_wrong_arguments_is_an_app_error(self):
        _, error = self.until_error("stream")
        self.assertEqual((type(error), error.action), (DirtyAppError, "stream"))

    def test_a_stream_of_an_unknown_app_is_no_workers_available(self):
        chunks, error = self.until_error("stream", 1, 1, app="other:App")
        self.assertEqual((chunks, type(error), error.app_path), ([], DirtyNoWorkersAvailableError, "other:App"))

    def test_the_stream_of_an_action_that_does_not_stream_is_over_at_once(self):
        # The one result is lost in gunicorn's client; ours yields it.
        self.assertEqual(list(self.client.stream(ALL, "echo", 1)), [])
        self.assertEqual(self.client.execute(ALL, "echo", 2), 2)

    def test_executing_an_action_that_streams_is_an_error_and_the_next_call_works(self):
        error = self.fails(DirtyError, self.client.execute, ALL, "stream", 3, 1)
        self.assertIn("chunk", error.message)
        self.assertEqual(self.client.execute(ALL, "echo", 1), 1)

    def test_the_end_of_the_worker_ends_the_stream_with_an_error(self):
        arbiter = self.arbiter(workers=1)
        client = Case.client(self, arbiter.socket)
        pid = client.execute(ALL, "pid")
        stream = client.stream(ALL, "stream_slow", 1_000_000, 0.01)
        self.assertEqual(next(stream), 0)
        os.kill(pid, 9)
        with self.assertRaises(DirtyError):
            for _ in stream:
                pass
        eventually(lambda: answers(client))


class LeftHalfWay(Case):
    """One worker, so that what becomes of a stream can be asked for."""

    def setUp(self):
        self.asking = self.client()
        self.before = self.asking.execute(LIMITED, "peek")

    def closed(self):
        return self.asking.execute(LIMITED, "peek")["closed_generators"] - self.before["closed_generators"]

    def test_a_finished_stream_is_closed(self):
        self.assertEqual(len(list(self.client().stream(LIMITED, "stream", 7, 1))), 7)
        eventually(lambda: self.closed() == 1)
        peek = self.asking.execute(LIMITED, "peek")
        self.assertEqual(peek["produced"] - self.before["produced"], 7)

    def test_a_failed_stream_is_closed(self):
        self.assertRaises(DirtyAppError, list, self.client().stream(LIMITED, "stream_fail", 2))
        eventually(lambda: self.closed() == 1)

    def test_a_stream_whose_client_left_is_closed_long_before_its_end(self):
        for action in ("stream", "astream"):
            self.before = self.asking.execute(LIMITED, "peek")
            client = self.client()
            for _ in client.stream(LIMITED, action, 100_000_000, 1000):
                break
            client.close()
            eventually(lambda: self.closed() == 1)

    def test_a_client_that_forgot_its_stream_recovers_with_the_next_call_but_one(self):
        client = self.client()
        stream = client.stream(ALL, "stream", 100_000_000, 1000)
        next(stream)
        # It reads a chunk for its answer and drops the connection.
        self.fails(DirtyError, client.execute, ALL, "echo", 1)
        self.assertEqual(client.execute(ALL, "echo", 2), 2)


class Limits(Case):
    def test_a_pause_between_chunks_is_limited_by_the_idle_timeout(self):
        arbiter = self.arbiter(workers=1)
        client = self.client(arbiter.socket, timeout=60)
        stream = DirtyStreamIterator(client, ALL, "stream_slow", (2, 40.0), {}, idle_timeout=0.4)
        self.assertEqual(next(stream), 0)
        error = self.fails(DirtyTimeoutError, next, stream)
        self.assertEqual(error.timeout, 0.4)
        self.assertIn("next chunk", error.message)

    def test_a_stream_as_a_whole_is_limited_by_the_clients_timeout(self):
        client = self.client(timeout=0.5)
        error = self.fails(DirtyTimeoutError, list, client.stream(ALL, "stream_slow", 1_000_000, 0.02))
        self.assertEqual((error.timeout, error.message), (0.5, "Stream exceeded total timeout"))
        client.close()
        client.timeout = 60
        self.assertEqual(client.execute(ALL, "echo", 1), 1)
