"""STATUS and MANAGE, asked by the functions behind gunicorn's own control command (`gunicornc`)."""

import os
import signal
import types

from gunicorn.ctl.handlers import CommandHandlers
from gunicorn.dirty.protocol import DirtyProtocol
from peer import ALL, DECLARED, LIMITED, TWO, Case, differs, eventually, exchange, pids, status


def control(arbiter):
    """gunicorn's handlers of control commands, for a master whose dirty arbiter is this one."""
    dirty = types.SimpleNamespace(socket_path=arbiter.socket)
    return CommandHandlers(types.SimpleNamespace(dirty_arbiter=dirty, dirty_arbiter_pid=arbiter.process.pid))


class Status(Case):
    def test_the_answer_has_gunicorns_keys(self):
        answer = status()
        self.assertLessEqual({"arbiter_pid", "workers", "worker_count", "apps"}, set(answer))
        self.assertEqual(answer["apps"], [ALL, LIMITED, TWO, DECLARED])
        self.assertEqual(answer["worker_count"], len(answer["workers"]))
        for worker in answer["workers"]:
            self.assertLessEqual({"pid", "age", "apps", "booted", "last_heartbeat"}, set(worker))
            self.assertIs(type(worker["pid"]), int)
            self.assertIs(type(worker["booted"]), bool)
            self.assertIsInstance(worker["last_heartbeat"], (float, type(None)))
            self.assertIn(ALL, worker["apps"])

    def test_workers_come_in_the_order_of_their_age(self):
        ages = [worker["age"] for worker in status()["workers"]]
        self.assertEqual(ages, sorted(ages))
        self.assertEqual(len(set(ages)), 3)

    def test_the_workers_are_those_that_serve(self):
        self.assertLessEqual(pids(self.client()), {worker["pid"] for worker in status()["workers"]})

    def test_the_arbiters_pid_is_the_one_to_signal(self):
        arbiter = self.arbiter(workers=1)
        self.assertEqual(status(arbiter.socket)["arbiter_pid"], arbiter.process.pid)

    @differs("booted stays false: the parent's record of a worker is never updated")
    def test_a_worker_that_serves_has_booted(self):
        arbiter = self.arbiter(workers=1)
        self.client(arbiter.socket).execute(ALL, "noop")
        self.assertEqual([worker["booted"] for worker in status(arbiter.socket)["workers"]], [True])

    def test_gunicorns_control_command_reads_the_workers(self):
        arbiter = self.arbiter(workers=2)
        eventually(lambda: len(control(arbiter)._query_dirty_workers()) == 2)

    def test_the_connection_serves_on(self):
        self.assertEqual(status()["apps"], status()["apps"])
        with self.client() as client:
            DirtyProtocol.write_message(client._sock, {"type": "status", "id": 1})
            self.assertEqual(DirtyProtocol.read_message(client._sock)["type"], "response")
            self.assertEqual(client.execute(ALL, "echo", 1), 1)


class Manage(Case):
    def test_dirty_add_adds_and_says_so(self):
        arbiter = self.arbiter(workers=1)
        answer = control(arbiter).dirty_add(2)
        expected = {"success": True, "operation": "add", "requested": 2, "spawned": 2}
        expected |= {"total_workers": 3, "target_workers": 3}
        self.assertEqual({key: answer.get(key) for key in expected}, expected)
        eventually(lambda: len(status(arbiter.socket)["workers"]) == 3)

    def test_dirty_remove_removes_and_says_so(self):
        arbiter = self.arbiter(workers=3)
        answer = control(arbiter).dirty_remove(1)
        expected = {"success": True, "operation": "remove", "requested": 1, "removed": 1, "target_workers": 2}
        self.assertEqual({key: answer.get(key) for key in expected}, expected)
        self.assertIn(answer["total_workers"], (2, 3))
        eventually(lambda: len(status(arbiter.socket)["workers"]) == 2)
        self.assertEqual(self.client(arbiter.socket).execute(ALL, "echo", 1), 1)

    def test_dirty_remove_stops_at_what_the_apps_need(self):
        arbiter = self.arbiter(workers=3, apps=[ALL, TWO])
        answer = control(arbiter).dirty_remove(5)
        self.assertEqual((answer["requested"], answer["removed"], answer["target_workers"]), (5, 1, 2))

    def test_dirty_add_with_every_app_at_its_limit_says_why_not(self):
        arbiter = self.arbiter(workers=2, apps=[TWO])
        answer = control(arbiter).dirty_add(1)
        self.assertEqual((answer["success"], answer["spawned"]), (True, 0))
        self.assertEqual(answer["reason"], "All apps have reached their worker limits")
        self.assertEqual((answer["total_workers"], answer["target_workers"]), (2, 2))

    def test_an_unknown_operation_is_an_error(self):
        arbiter = self.arbiter(workers=1)
        answer = exchange(arbiter.socket, {"type": DirtyProtocol.MSG_TYPE_MANAGE, "id": 3, "op": 9, "count": 1})
        self.assertEqual((answer["type"], answer["id"]), ("error", 3))
        self.assertIn("9", answer["error"]["message"])


class Signals(Case):
    def worker_count(self, arbiter):
        return len(status(arbiter.socket)["workers"])

    def test_ttin_adds_a_worker_and_ttou_takes_it_away(self):
        arbiter = self.arbiter(workers=1)
        arbiter.process.send_signal(signal.SIGTTIN)
        eventually(lambda: self.worker_count(arbiter) == 2)
        arbiter.process.send_signal(signal.SIGTTOU)
        eventually(lambda: self.worker_count(arbiter) == 1)
        self.assertEqual(self.client(arbiter.socket).execute(ALL, "echo", 1), 1)

    def test_ttou_below_what_the_apps_need_is_refused_with_a_warning(self):
        arbiter = self.arbiter(workers=2, apps=[TWO])
        arbiter.process.send_signal(signal.SIGTTOU)
        eventually(lambda: "Cannot decrease below 2 workers" in arbiter.log(), arbiter.log)
        self.assertEqual(self.worker_count(arbiter), 2)

    @differs("the new workers are killed, or the old ones, as it happens", run=False)
    def test_hup_replaces_the_workers(self):
        arbiter = self.arbiter(workers=1)
        client = self.client(arbiter.socket)
        before = client.execute(ALL, "pid")
        connection = client._sock
        arbiter.process.send_signal(signal.SIGHUP)
        eventually(lambda: client.execute(ALL, "pid") != before)
        self.assertIs(client._sock, connection)
        eventually(lambda: not os.path.exists(f"/proc/{before}"))
