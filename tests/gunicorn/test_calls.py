"""Calls of gunicorn's blocking client: arguments, results, connections, sizes, and many at a time."""

import concurrent.futures
import os
import subprocess
import sys
import threading
from pathlib import Path

from gunicorn.dirty import (
    DirtyAppError,
    DirtyClient,
    DirtyConnectionError,
    DirtyProtocolError,
    close_dirty_client,
    get_dirty_client,
    set_dirty_socket_path,
)
from gunicorn.dirty.client import get_dirty_socket_path
from gunicorn.dirty.protocol import BinaryProtocol
from peer import ALL, LIMITED, PATIENCE, SOCKET, Case, differs, eventually

MIB = 1024 * 1024


class Arguments(Case):
    def setUp(self):
        self.call = self.client().execute

    def test_an_action_without_a_result_gives_none(self):
        self.assertIsNone(self.call(ALL, "noop"))

    def test_arguments_go_by_position(self):
        self.assertEqual(self.call(ALL, "echo_all", 1, "two", b"3"), {"args": [1, "two", b"3"], "kwargs": {}})

    def test_arguments_go_by_name(self):
        self.assertEqual(self.call(ALL, "echo_kw", a=1, b=[2]), {"a": 1, "b": [2]})

    def test_arguments_go_both_ways_at_once(self):
        self.assertEqual(self.call(ALL, "echo_all", 1, x=2), {"args": [1], "kwargs": {"x": 2}})

    def test_a_parameter_can_be_given_by_position_or_by_name(self):
        self.assertEqual(self.call(ALL, "echo", 5), self.call(ALL, "echo", x=5))

    def test_a_missing_argument_is_an_app_error_that_names_it(self):
        error = self.fails(DirtyAppError, self.call, ALL, "echo")
        self.assertIn("'x'", error.message)

    def test_an_unknown_keyword_is_an_app_error_that_names_it(self):
        error = self.fails(DirtyAppError, self.call, ALL, "echo", 1, shape=2)
        self.assertIn("'shape'", error.message)

    def test_an_argument_given_twice_is_an_app_error_that_names_it(self):
        error = self.fails(DirtyAppError, self.call, ALL, "echo", 1, x=2)
        self.assertIn("'x'", error.message)

    def test_too_many_arguments_are_an_app_error(self):
        error = self.fails(DirtyAppError, self.call, ALL, "echo", 1, 2, 3)
        self.assertEqual(error.action, "echo")

    def test_an_argument_of_the_wrong_type_is_an_app_error(self):
        error = self.fails(DirtyAppError, self.call, ALL, "blob", "many")
        self.assertEqual((error.app_path, error.action), (ALL, "blob"))

    def test_length_of_bytes_text_and_lists(self):
        self.assertEqual([self.call(ALL, "size", x) for x in (b"abcd", "höhe", [1, [2], 3])], [4, 4, 3])

    def test_an_asynchronous_action_gives_its_result(self):
        self.assertEqual(self.call(ALL, "coroutine", {"a": [1]}), {"a": [1]})

    def test_any_name_that_the_client_takes_can_be_a_keyword(self):
        names = {"args": 1, "kwargs": 2, "type": 3, "id": 4, "日本": 5, "not a name": 6, "": 7}
        self.assertEqual(self.call(ALL, "echo_kw", **names), names)

    @differs("init and close can be called as actions")
    def test_the_life_cycle_methods_are_no_actions(self):
        for name in ("init", "close"):
            self.fails(DirtyAppError, self.call, ALL, name)

    def test_private_names_are_no_actions(self):
        for name in ("_counted", "__init__", "__class__", ""):
            error = self.fails(DirtyAppError, self.call, ALL, name)
            self.assertEqual(error.app_path, ALL)


class Connections(Case):
    def test_one_client_makes_many_calls_in_order(self):
        client = self.client()
        self.assertEqual([client.execute(ALL, "echo", i) for i in range(300)], list(range(300)))

    def test_a_context_manager_connects_and_closes(self):
        with DirtyClient(SOCKET) as client:
            self.assertIsNotNone(client._sock)
            self.assertEqual(client.execute(ALL, "echo", 1), 1)
        self.assertIsNone(client._sock)

    def test_connecting_twice_is_connecting_once(self):
        client = self.client()
        client.connect()
        first = client._sock
        client.connect()
        self.assertIs(client._sock, first)

    def test_a_closed_client_connects_again(self):
        client = self.client()
        client.execute(ALL, "noop")
        client.close()
        self.assertEqual(client.execute(ALL, "echo", 2), 2)

    def test_the_client_of_a_thread_finds_the_arbiter_by_the_environment(self):
        self.addCleanup(close_dirty_client)
        client = get_dirty_client()
        self.assertIs(get_dirty_client(), client)
        self.assertEqual((client.socket_path, client.execute(ALL, "echo", 3)), (SOCKET, 3))
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            self.assertIsNot(other.submit(get_dirty_client).result(), client)

    def test_a_path_that_was_set_goes_before_the_environment(self):
        self.addCleanup(set_dirty_socket_path, None)
        set_dirty_socket_path("/elsewhere/dirty.sock")
        self.assertEqual(get_dirty_socket_path(), "/elsewhere/dirty.sock")
        set_dirty_socket_path(SOCKET)
        self.addCleanup(close_dirty_client)
        self.assertEqual(get_dirty_client().execute(ALL, "echo", 1), 1)

    def test_a_closed_thread_client_is_made_anew(self):
        first = get_dirty_client()
        first.execute(ALL, "noop")
        close_dirty_client()
        self.addCleanup(close_dirty_client)
        self.assertIsNot(get_dirty_client(), first)

    def test_a_worker_keeps_its_state_between_calls_and_connections(self):
        counts = [self.client().execute(LIMITED, "counter") for _ in range(3)]
        self.assertEqual(counts, list(range(counts[0], counts[0] + 3)))

    def test_asking_for_the_state_does_not_change_it(self):
        client = self.client()
        before = client.execute(LIMITED, "peek")
        self.assertEqual(client.execute(LIMITED, "peek"), before)
        self.assertEqual(set(before), {"pid", "count", "produced", "closed_generators"})

    def test_a_client_that_leaves_during_a_call_harms_nobody(self):
        client, leaver = self.client(), self.client(timeout=0.2)
        for _ in range(5):
            with self.assertRaises(Exception):
                leaver.execute(ALL, "sleep", 0.5)
        self.assertEqual(client.execute(ALL, "echo", 1), 1)


class Sizes(Case):
    def setUp(self):
        self.call = self.client(timeout=200).execute

    def test_bytes_of_one_mebibyte_come_back(self):
        self.comes_back(1)

    def test_bytes_of_16_mebibytes_come_back(self):
        self.comes_back(16)

    def test_bytes_of_60_mebibytes_come_back(self):
        self.comes_back(60)

    def comes_back(self, mebibytes):
        payload = os.urandom(MIB) * mebibytes
        self.assertEqual(self.call(ALL, "size", payload), mebibytes * MIB)
        self.assertEqual(len(self.call(ALL, "blob", mebibytes * MIB)), mebibytes * MIB)
        self.assertTrue(self.call(ALL, "echo", payload) == payload)

    def test_text_of_16_mebibytes_comes_back(self):
        text = "aß語🜂" * (16 * MIB // 10)
        self.assertEqual(self.call(ALL, "size", text), len(text))
        self.assertTrue(self.call(ALL, "echo", text) == text)

    def test_a_whole_list_of_the_largest_count_comes_back(self):
        items = [True] * MIB
        self.assertTrue(self.call(ALL, "echo", items) == items)

    def test_a_dict_of_many_entries_keeps_their_order(self):
        entries = {f"key {i}": i for i in range(100_000, 0, -1)}
        answer = self.call(ALL, "echo", entries)
        self.assertTrue(answer == entries and list(answer) == list(entries))

    def test_what_is_over_a_limit_the_client_does_not_send(self):
        too_large = {
            "Bytes too large": bytes(64 * MIB + 1),
            "String too large": "ä" * (32 * MIB + 1),
            "List too large": [None] * (MIB + 1),
            "Dict too large": dict.fromkeys(range(MIB + 1)),
        }
        for text, value in too_large.items():
            error = self.fails(DirtyProtocolError, self.call, ALL, "noop", value)
            self.assertIn(text, error.message)
        self.assertEqual(self.call(ALL, "echo", 1), 1)

    def test_a_request_over_the_message_limit_is_refused_and_the_next_one_served(self):
        halves = [bytes(33 * MIB)] * 2
        with self.assertRaises((DirtyConnectionError, DirtyProtocolError)):
            self.call(ALL, "size", halves)
        self.assertEqual(self.call(ALL, "echo", 1), 1)

    def test_the_largest_message_there_is_arrives(self):
        overhead = len(BinaryProtocol.encode_request(1, ALL, "size", (b"",))) - 16
        largest = 64 * MIB - overhead
        self.assertEqual(self.call(ALL, "size", bytes(largest)), largest)
        with self.assertRaises((DirtyConnectionError, DirtyProtocolError)):
            self.call(ALL, "size", bytes(largest + 1))

    def test_an_answer_with_too_many_bytes_is_an_app_error_that_names_size_and_limit(self):
        error = self.fails(DirtyAppError, self.call, ALL, "blob", 64 * MIB + 1)
        self.assertRegex(error.message, r"67108865.*67108864")

    @differs("a worker error; the worker's connection is lost")
    def test_an_answer_over_the_message_limit_is_an_app_error_that_names_size_and_limit(self):
        error = self.fails(DirtyAppError, self.call, ALL, "blob", 64 * MIB)
        self.assertRegex(error.message, r"671088\d\d.*67108864")
        self.assertEqual((error.app_path, error.action), (ALL, "blob"))

    def test_after_an_answer_over_the_limit_the_next_call_is_served(self):
        with self.assertRaises(Exception):
            self.call(ALL, "blob", 64 * MIB)
        self.assertEqual(self.call(ALL, "echo", 1), 1)


class Crowds(Case):
    @differs("more than half of 500 connections are refused: its backlog is 100", run=False)
    def test_500_clients_connect_at_once(self):
        clients = [self.client() for _ in range(500)]
        together = threading.Barrier(50)

        def connect(some):
            together.wait(PATIENCE)
            for client in some:
                client.connect()

        with concurrent.futures.ThreadPoolExecutor(50) as threads:
            list(threads.map(connect, [clients[i::50] for i in range(50)]))
        self.assertEqual([client.execute(ALL, "echo", i) for i, client in enumerate(clients)], list(range(500)))

    def test_many_threads_call_with_a_client_each(self):
        def calls(thread):
            try:
                return [get_dirty_client(timeout=PATIENCE).execute(ALL, "echo", (thread, i)) for i in range(50)]
            finally:
                close_dirty_client()

        with concurrent.futures.ThreadPoolExecutor(32) as threads:
            answers = list(threads.map(calls, range(32)))
        self.assertEqual(answers, [[[thread, i] for i in range(50)] for thread in range(32)])

    def test_many_threads_share_one_client(self):
        client = self.client()
        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda i: client.execute(ALL, "echo", i), range(400)))
        self.assertEqual(answers, list(range(400)))

    def test_calls_at_the_same_time_go_to_different_workers(self):
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            eventually(lambda: len(set(threads.map(self.pid_after_a_while, range(24)))) > 2)

    def pid_after_a_while(self, _):
        with DirtyClient(SOCKET, timeout=PATIENCE) as client:
            client.execute(ALL, "sleep", 0.02)
            return client.execute(ALL, "pid")

    def test_several_processes_call(self):
        script = Path(__file__).with_name("caller.py")
        callers = [
            subprocess.Popen([sys.executable, script, str(i)], stdout=subprocess.PIPE, text=True) for i in range(6)
        ]
        answers = [caller.communicate(timeout=PATIENCE)[0].strip() for caller in callers]
        self.assertEqual(answers, [str(sum(range(i, i + 100))) for i in range(6)])
