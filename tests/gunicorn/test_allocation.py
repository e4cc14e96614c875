"""Which worker loads which app, as the manual's section "Per-App Worker Allocation" has it, and where calls go."""

import concurrent.futures
import os
import signal

from gunicorn.dirty import DirtyClient
from gunicorn.dirty.errors import DirtyNoWorkersAvailableError
from peer import ALL, LIMITED, PATIENCE, TWO, Case, answers, differs, eventually, pids, status


class PerAppAllocation(Case):
    """"Per-App Worker Allocation": four workers, apps for all of them, for two and for one."""

    APPS = (ALL, TWO, LIMITED + ":1")

    def test_worker_distribution(self):
        arbiter = self.arbiter(workers=4, apps=self.APPS)
        self.assertEqual(apps_of_workers(arbiter), [{ALL, TWO, LIMITED}, {ALL, TWO}, {ALL}, {ALL}])

    def test_method_1_the_class_attribute_limits_the_workers(self):
        arbiter = self.arbiter(workers=3, apps=(TWO, ALL))
        self.assertEqual([TWO in apps for apps in apps_of_workers(arbiter)], [True, True, False])

    def test_method_2_the_configuration_overrides_the_class_attribute(self):
        arbiter = self.arbiter(workers=3, apps=(TWO + ":1", ALL))
        self.assertEqual([TWO in apps for apps in apps_of_workers(arbiter)], [True, False, False])

    def test_request_routing_goes_to_workers_that_have_the_app(self):
        arbiter = self.arbiter(workers=4, apps=self.APPS)
        client = self.client(arbiter.socket)
        holders = {
            app: {worker["pid"] for worker in status(arbiter.socket)["workers"] if app in worker["apps"]}
            for app in (ALL, TWO, LIMITED)
        }
        self.assertEqual([len(holders[app]) for app in (ALL, TWO, LIMITED)], [4, 2, 1])
        for app in (ALL, TWO, LIMITED):
            # In turn: nobody is left out, and nobody else is asked.
            self.assertEqual(pids(client, app, 40), holders[app])

    def test_error_handling_an_app_without_workers_is_no_workers_available(self):
        def my_view(data):
            client = self.client()
            try:
                return client.execute("myapp.heavy:HeavyModelApp", "predict", data)
            except DirtyNoWorkersAvailableError as e:
                return {"error": "Service temporarily unavailable", "app": e.app_path}

        self.assertEqual(my_view(1)["app"], "myapp.heavy:HeavyModelApp")

    def test_worker_crash_recovery_the_replacement_gets_the_same_apps(self):
        arbiter = self.arbiter(workers=4, apps=self.APPS)
        before = status(arbiter.socket)["workers"]
        os.kill(before[0]["pid"], signal.SIGKILL)

        def replaced():
            workers = status(arbiter.socket)["workers"]
            return len(workers) == 4 and before[0]["pid"] not in {worker["pid"] for worker in workers} and workers

        apps = [set(worker["apps"]) for worker in eventually(replaced)]
        self.assertEqual(sorted(map(len, apps)), [1, 1, 2, 3])
        kept = {worker["pid"]: worker["apps"] for worker in before[1:]}
        self.assertEqual({w["pid"]: w["apps"] for w in replaced() if w["pid"] in kept}, kept)
        client = self.client(arbiter.socket)
        eventually(lambda: answers(client, LIMITED))

    @differs("dirty_threads has no effect: one request at a time per worker", run=False)
    def test_a_worker_with_threads_serves_calls_at_the_same_time(self):
        arbiter = self.arbiter(workers=1, threads=3)

        def sleep(_):
            with DirtyClient(arbiter.socket, timeout=PATIENCE) as client:
                return client.execute(ALL, "sleep", 1)

        running = lambda: status(arbiter.socket)["workers"][0]["running"]
        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            calls = threads.map(sleep, range(3))
            eventually(lambda: running() == 3)
            self.assertEqual(list(calls), [1, 1, 1])


def apps_of_workers(arbiter):
    return [set(worker["apps"]) for worker in status(arbiter.socket)["workers"]]
