"""Who uses the stash: gunicorn's clients, many at a time, apps inside their workers; and what the tables outlive."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading

from gunicorn.dirty import StashClient, StashError, stash
from gunicorn.dirty.stash import get_stash_socket_path, set_stash_socket_path
from peer import ALL, DECLARED, SOCKET, Case, StashCase, differs, eventually, pids, status


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


class Survival(Case):
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


class MemoryLimit(Case):
    @differs("memory has no limit", run=False)
    def test_a_put_over_the_limit_is_refused_and_everything_else_works(self):
        arbiter = self.arbiter(workers=1, flags=["--dirty-stash-limit", "1M"])
        client = self.stash_client(arbiter.socket)
        client.put("table", "small", 1)
        error = self.fails(StashError, client.put, "table", "large", bytes(2_000_000))
        self.assertIn("1048576", error.message)
        self.assertEqual((client.get("table", "small"), client.exists("table", "large")), (1, False))
        self.assertEqual(self.client(arbiter.socket).execute(ALL, "echo", 1), 1)
