"""The stash, by gunicorn's own client: every operation and error, every kind of key and value, and the dict-like table."""

import concurrent.futures
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from gunicorn.dirty import (
    StashClient,
    StashError,
    StashKeyNotFoundError,
    StashTable,
    StashTableNotFoundError,
    stash,
)
from gunicorn.dirty.stash import get_stash_socket_path, set_stash_socket_path
from peer import ALL, DECLARED, SOCKET, Case, differs, eventually, pids, status

MIB = 1024 * 1024

MISSING = "a missing key raises, with a default as without: its error does not say which kind it is"
NO_TABLE = "a missing table raises a plain StashError: its error does not say which kind it is"


class StashCase(Case):
    def setUp(self):
        self.table = self.id()
        self.addCleanup(stash.delete_table, self.table)

    def fill(self, *keys):
        for key in keys:
            stash.put(self.table, key, f"value of {key}")


class Values(StashCase):
    def test_what_was_put_is_got(self):
        self.assertIsNone(stash.put(self.table, "user:123", {"name": "Alice", "role": "admin"}))
        self.assertEqual(stash.get(self.table, "user:123"), {"name": "Alice", "role": "admin"})

    def test_the_last_value_counts(self):
        for i in range(3):
            stash.put(self.table, "key", i)
        self.assertEqual((stash.get(self.table, "key"), stash.info(self.table)["size"]), (2, 1))

    def test_values_are_of_any_type(self):
        values = [True, False, 0, 2**63 - 1, -(2**63), 0.5, -0.0, math.inf, b"", bytes(range(256)), "", "日本 🜂"]
        values += [[], [1, [2, {"x": None}]], {}, {"a": {"b": [b"c"]}}]
        for i, value in enumerate(values):
            stash.put(self.table, i, value)
        self.assertEqual([repr(stash.get(self.table, i)) for i in range(len(values))], [repr(value) for value in values])

    def test_none_is_a_value(self):
        stash.put(self.table, "nothing", None)
        self.assertIsNone(stash.get(self.table, "nothing", "default"))
        self.assertTrue(stash.exists(self.table, "nothing"))

    def test_values_can_be_large(self):
        client = self.stash_client()
        for mebibytes in (1, 16, 60):
            value = os.urandom(MIB) * mebibytes
            client.put(self.table, "large", value)
            self.assertTrue(client.get(self.table, "large") == value)

    def test_a_value_over_a_limit_the_client_does_not_send(self):
        self.fails(StashError, stash.put, self.table, "key", bytes(64 * MIB + 1))
        self.assertFalse(stash.exists(self.table, "key"))

    @differs("a stored dict with a key \"error\" cannot be read back")
    def test_a_dict_with_a_key_error_is_a_value(self):
        for value in ({"error": "no"}, {"error": "key_not_found"}, {"error": None, "result": 1}):
            stash.put(self.table, "key", value)
            self.assertEqual(stash.get(self.table, "key"), value)

    def test_a_value_that_was_got_is_a_copy(self):
        stash.put(self.table, "list", [1])
        stash.get(self.table, "list").append(2)
        self.assertEqual(stash.get(self.table, "list"), [1])


class Missing(StashCase):
    @differs(MISSING)
    def test_a_missing_key_gives_the_default(self):
        self.fill("other")
        self.assertEqual(stash.get(self.table, "key", default="fallback"), "fallback")
        self.assertEqual(stash.get(self.table, "key", 0), 0)

    @differs(MISSING)
    def test_a_missing_key_without_a_default_gives_none(self):
        self.fill("other")
        self.assertIsNone(stash.get(self.table, "key"))

    @differs(MISSING)
    def test_a_missing_table_gives_the_default(self):
        self.assertEqual(stash.get(self.table, "key", 5), 5)

    @differs(MISSING)
    def test_below_the_default_is_a_key_not_found_error_with_table_and_key(self):
        from gunicorn.dirty.protocol import STASH_OP_GET

        error = self.fails(StashKeyNotFoundError, self.stash_client()._execute, STASH_OP_GET, self.table, key="key")
        self.assertEqual((error.table_name, error.key), (self.table, "key"))
        self.assertEqual(error.message, f"Key not found in {self.table}: key")

    def test_delete_says_whether_there_was_something(self):
        self.assertIs(stash.delete(self.table, "key"), False)
        self.fill("key")
        self.assertEqual([stash.delete(self.table, "key") for _ in range(2)], [True, False])
        self.assertFalse(stash.exists(self.table, "key"))

    def test_exists_of_keys_and_tables(self):
        self.assertEqual((stash.exists(self.table), stash.exists(self.table, "key")), (False, False))
        self.fill("key")
        self.assertEqual((stash.exists(self.table), stash.exists(self.table, "key")), (True, True))
        self.assertIs(stash.exists(self.table, "other"), False)

    def test_keys_of_a_missing_table_are_none(self):
        self.assertEqual(stash.keys(self.table), [])

    @differs(NO_TABLE)
    def test_info_of_a_missing_table_is_a_table_not_found_error_with_its_name(self):
        error = self.fails(StashTableNotFoundError, stash.info, self.table)
        self.assertEqual((error.table_name, error.message), (self.table, f"Stash table not found: {self.table}"))

    def test_after_an_error_the_next_operation_works(self):
        self.assertRaises(StashError, stash.info, self.table)
        self.fill("key")
        self.assertEqual(stash.get(self.table, "key"), "value of key")


class Keys(StashCase):
    def test_keys_come_in_the_order_of_their_first_put(self):
        self.fill("c", "a", "b", "a", "c")
        self.assertEqual(stash.keys(self.table), ["c", "a", "b"])
        stash.delete(self.table, "c")
        self.fill("c")
        self.assertEqual(stash.keys(self.table), ["a", "b", "c"])

    def test_keys_are_text_numbers_bools_bytes_or_none(self):
        keys = ["text", "", "日本", 5, -(2**63), True, b"bytes", b"", None]
        for i, key in enumerate(keys):
            stash.put(self.table, key, i)
        self.assertEqual(repr(stash.keys(self.table)), repr(keys))
        self.assertEqual([stash.get(self.table, key) for key in keys], list(range(len(keys))))

    def test_keys_are_equal_as_in_a_dict(self):
        stash.put(self.table, 1, "number")
        stash.put(self.table, True, "bool")
        stash.put(self.table, "1", "text")
        stash.put(self.table, b"1", "bytes")
        stash.put(self.table, False, "zero")
        self.assertEqual(repr(stash.keys(self.table)), repr([1, "1", b"1", False]))
        self.assertEqual((stash.get(self.table, 1), stash.get(self.table, 0)), ("bool", "zero"))
        self.assertTrue(stash.delete(self.table, True))
        self.assertEqual(stash.keys(self.table), ["1", b"1", False])

    def test_a_list_or_a_dict_is_no_key(self):
        for key in ([1], {"a": 1}):
            self.fails(StashError, stash.put, self.table, key, "value")
            self.assertRaises(StashError, stash.delete, self.table, key)
        self.assertEqual(stash.keys(self.table), [])

    def test_patterns(self):
        self.fill("user:1", "user:2", "user:30", "User:1", "item:1", "a*b", "a", "[x]", "ü", "line\nbreak")
        expected = {
            "user:*": ["user:1", "user:2", "user:30"],
            "user:?": ["user:1", "user:2"],
            "user:[13]*": ["user:1", "user:30"],
            "user:[!1]*": ["user:2", "user:30"],
            "user:[0-1]": ["user:1"],
            "*:1": ["user:1", "User:1", "item:1"],
            "?": ["a", "ü"],
            "a[*]b": ["a*b"],
            "[[]x]": ["[x]"],
            "line*": ["line\nbreak"],
            "*": stash.keys(self.table),
            "": stash.keys(self.table),
            "user": [],
            "[z-a]*": [],
            "[": [],
            "user:**": ["user:1", "user:2", "user:30"],
        }
        self.assertEqual({pattern: stash.keys(self.table, pattern) for pattern in expected}, expected)

    def test_patterns_see_the_text_of_other_keys(self):
        for key in (1, 10, True, None, b"x'y"):
            stash.put(self.table, key, 0)
        self.assertEqual(stash.keys(self.table, "1*"), [1, 10])
        self.assertEqual(stash.keys(self.table, "None"), [None])
        self.assertEqual(stash.keys(self.table, "b[\"]*"), [b"x'y"])

    def test_many_keys_come_all(self):
        client = self.stash_client()
        for i in range(5000):
            client.put(self.table, f"key:{i}", i)
        self.assertEqual(client.keys(self.table), [f"key:{i}" for i in range(5000)])
        self.assertEqual(len(client.keys(self.table, "key:1???")), 1000)

    @differs("a float can be a key there")
    def test_a_float_is_no_key(self):
        self.fails(StashError, stash.put, self.table, 1.5, "value")


class Tables(StashCase):
    def test_ensure_creates_and_keeps(self):
        self.assertIsNone(stash.ensure(self.table))
        self.assertEqual((stash.exists(self.table), stash.keys(self.table)), (True, []))
        self.fill("key")
        stash.ensure(self.table)
        self.assertEqual(stash.keys(self.table), ["key"])

    def test_info_has_size_and_table(self):
        stash.ensure(self.table)
        self.assertEqual(stash.info(self.table)["size"], 0)
        self.fill("a", "b")
        info = stash.info(self.table)
        self.assertEqual((info["size"], info["table"]), (2, self.table))

    def test_clear_empties_the_table_and_keeps_it(self):
        self.fill("a", "b")
        self.assertIsNone(stash.clear(self.table))
        self.assertEqual((stash.exists(self.table), stash.info(self.table)["size"]), (True, 0))

    def test_clear_of_a_missing_table_creates_none(self):
        stash.clear(self.table)
        self.assertFalse(stash.exists(self.table))

    def test_delete_table_takes_everything(self):
        self.fill("a")
        self.assertIsNone(stash.delete_table(self.table))
        self.assertFalse(stash.exists(self.table))
        self.assertNotIn(self.table, stash.tables())
        stash.delete_table(self.table)

    def test_tables_come_in_the_order_of_their_creation(self):
        names = [f"{self.table}:{name}" for name in "cab"]
        for name in names:
            stash.ensure(name)
            self.addCleanup(stash.delete_table, name)
        self.assertEqual([name for name in stash.tables() if name in names], names)

    def test_tables_do_not_mix(self):
        other = self.table + " 2"
        self.addCleanup(stash.delete_table, other)
        stash.put(self.table, "key", 1)
        stash.put(other, "key", 2)
        self.assertEqual((stash.get(self.table, "key"), stash.get(other, "key")), (1, 2))

    def test_any_text_names_a_table(self):
        for name in ("", "日本", "a\0b", "x" * 10_000):
            self.addCleanup(stash.delete_table, name)
            stash.put(name, "key", name)
            self.assertEqual(stash.get(name, "key"), name)
            self.assertIn(name, stash.tables())


class DictLike(StashCase):
    def setUp(self):
        super().setUp()
        self.dict = stash.table(self.table)

    def test_it_is_a_table_with_a_name(self):
        self.assertIsInstance(self.dict, StashTable)
        self.assertEqual(self.dict.name, self.table)

    def test_set_get_and_delete_an_item(self):
        self.dict["user:123"] = {"name": "Alice"}
        self.assertEqual(self.dict["user:123"], {"name": "Alice"})
        del self.dict["user:123"]
        self.assertNotIn("user:123", self.dict)

    @differs(MISSING)
    def test_a_missing_item_is_a_key_error(self):
        self.dict["other"] = 1
        self.assertRaises(KeyError, lambda: self.dict["key"])

    def test_deleting_a_missing_item_is_a_key_error(self):
        with self.assertRaises(KeyError):
            del self.dict["key"]

    def test_an_item_can_be_none(self):
        self.dict["nothing"] = None
        self.assertIsNone(self.dict["nothing"])
        self.assertIn("nothing", self.dict)

    def test_membership(self):
        self.dict["a"] = 1
        self.assertIn("a", self.dict)
        self.assertNotIn("b", self.dict)

    def test_iteration_length_items_and_values(self):
        for key in "xyz":
            self.dict[key] = key * 2
        self.assertEqual(list(self.dict), ["x", "y", "z"])
        self.assertEqual(len(self.dict), 3)
        self.assertEqual(list(self.dict.items()), [("x", "xx"), ("y", "yy"), ("z", "zz")])
        self.assertEqual(list(self.dict.values()), ["xx", "yy", "zz"])
        self.assertEqual({key: self.dict[key] for key in self.dict}, {"x": "xx", "y": "yy", "z": "zz"})

    def test_an_entry_can_be_deleted_during_iteration(self):
        for key in "xyz":
            self.dict[key] = 1
        for key in self.dict:
            del self.dict[key]
        self.assertEqual(list(self.dict), [])

    def test_keys_with_a_pattern(self):
        for key in ("a1", "a2", "b1"):
            self.dict[key] = 1
        self.assertEqual((self.dict.keys(), self.dict.keys("a*")), (["a1", "a2", "b1"], ["a1", "a2"]))

    def test_clear(self):
        self.dict["a"] = 1
        self.dict.clear()
        self.assertEqual(len(self.dict), 0)

    @differs(MISSING)
    def test_get_with_a_default(self):
        self.assertEqual(self.dict.get("key", "default"), "default")

    @differs(NO_TABLE)
    def test_the_length_of_a_missing_table_is_a_table_not_found_error(self):
        self.assertRaises(StashTableNotFoundError, len, self.dict)


class Clients(StashCase):
    def test_the_stash_finds_the_arbiter_by_the_environment(self):
        self.assertEqual(get_stash_socket_path(), SOCKET)

    def test_a_path_that_was_set_goes_before_the_environment(self):
        self.addCleanup(set_stash_socket_path, None)
        set_stash_socket_path("/elsewhere/dirty.sock")
        self.assertEqual(get_stash_socket_path(), "/elsewhere/dirty.sock")

    def test_a_client_of_its_own(self):
        with StashClient(SOCKET) as client:
            client.put(self.table, "key", 1)
            self.assertEqual(client.table(self.table)["key"], 1)
        self.assertEqual(stash.get(self.table, "key"), 1)

    def test_nobody_at_the_path_is_a_stash_error(self):
        error = self.fails(StashError, StashClient("/nonexistent/dirty.sock").get, "table", "key")
        self.assertIn("Failed to connect to arbiter", error.message)

    def test_calls_and_stash_operations_go_on_beside_each_other(self):
        client = self.client()
        for i in range(50):
            stash.put(self.table, "i", client.execute(ALL, "echo", i))
        self.assertEqual(stash.get(self.table, "i"), 49)

    def test_a_long_call_does_not_hold_up_the_stash(self):
        arbiter = self.arbiter(workers=1)
        calling = self.client(arbiter.socket)
        call = threading.Thread(target=lambda: calling.execute(ALL, "sleep", 1))
        call.start()
        own = self.stash_client(arbiter.socket)
        count = 0
        while call.is_alive():
            own.put("table", "key", count)
            count += 1
        self.assertGreater(count, 10)

    def test_many_threads_have_clients_of_their_own(self):
        def work(thread):
            for i in range(50):
                stash.put(self.table, f"{thread}:{i}", [thread, i])
            return all(stash.get(self.table, f"{thread}:{i}") == [thread, i] for i in range(50))

        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            self.assertEqual(list(threads.map(work, range(16))), [True] * 16)
        self.assertEqual(stash.info(self.table)["size"], 800)

    def test_several_processes_share_it(self):
        script = "import sys; from gunicorn.dirty import stash; stash.put(sys.argv[1], int(sys.argv[2]), True)"
        writers = [subprocess.Popen([sys.executable, "-c", script, self.table, str(i)]) for i in range(5)]
        self.assertEqual([writer.wait() for writer in writers], [0] * 5)
        self.assertEqual(sorted(stash.keys(self.table)), [0, 1, 2, 3, 4])


class InsideApps(StashCase):
    """Operations of the probe's actions, which run in a worker."""

    def setUp(self):
        super().setUp()
        self.execute = self.client().execute

    def test_a_worker_puts_and_everybody_gets(self):
        self.assertIs(self.execute(ALL, "stash_put", self.table, "key", {"a": [1]}), True)
        self.assertEqual(stash.get(self.table, "key"), {"a": [1]})
        self.assertEqual(self.execute(ALL, "stash_get", self.table, "key"), {"a": [1]})

    def test_a_worker_gets_what_others_put(self):
        stash.put(self.table, "key", b"bytes")
        self.assertEqual(self.execute(ALL, "stash_get", self.table, "key"), b"bytes")

    def test_a_worker_gets_the_default_for_a_missing_key(self):
        self.assertEqual(self.execute(ALL, "stash_get", self.table, "key", default="none yet"), "none yet")
        self.assertIsNone(self.execute(ALL, "stash_get", self.table, "key"))

    def test_a_worker_asks_whether_something_exists(self):
        ask = lambda *args: self.execute(ALL, "stash_exists", self.table, *args)
        self.assertEqual((ask(), ask("key")), (False, False))
        self.fill("key")
        self.assertEqual((ask(), ask("key"), ask("other")), (True, True, False))

    def test_a_worker_counts(self):
        counts = [self.execute(ALL, "stash_incr", self.table, "hits") for _ in range(3)]
        counts.append(self.execute(ALL, "stash_incr", self.table, "hits", by=10))
        self.assertEqual((counts, stash.get(self.table, "hits")), ([1, 2, 3, 13], 13))

    def test_a_worker_makes_many_operations(self):
        for op in ("put", "get", "incr"):
            self.assertGreater(self.execute(ALL, "stash_loop", op, 100, 100), 0)

    @differs("declared stashes are never created")
    def test_declared_stashes_exist_from_the_start(self):
        arbiter = self.arbiter(workers=1, apps=[DECLARED])
        self.assertEqual(self.stash_client(arbiter.socket).tables(), ["declared_one", "declared_two"])

    def test_stashes_of_apps_that_are_not_configured_do_not_exist(self):
        arbiter = self.arbiter(workers=1, apps=[ALL])
        self.assertEqual(self.stash_client(arbiter.socket).tables(), [])


class Survival(StashCase):
    """What the tables outlive."""

    def setUp(self):
        self.own = self.arbiter(workers=2)
        self.stash = self.stash_client(self.own.socket)
        self.stash.put("kept", "key", [1, b"2"])
        self.stash.ensure("empty")

    def still_there(self):
        self.assertEqual(self.stash.get("kept", "key"), [1, b"2"])
        self.assertEqual(self.stash.tables(), ["kept", "empty"])

    def test_tables_outlive_workers(self):
        for pid in pids(self.client(self.own.socket), calls=20):
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: not os.path.exists(f"/proc/{pid}"))
        self.still_there()

    def test_tables_outlive_scaling_and_reload(self):
        for number in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP):
            self.own.process.send_signal(number)
        eventually(lambda: status(self.own.socket)["worker_count"] > 0)
        self.still_there()

    def test_tables_end_with_the_arbiter_and_the_client_finds_the_next_one(self):
        self.own.stop()
        self.assertRaises(StashError, self.stash.tables)
        self.own.start()
        self.assertEqual(self.stash.tables(), [])
