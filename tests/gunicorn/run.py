"""Runs the tests of the named modules and says what ran, in a line that `tests/gunicorn_clients.rs` reads.

    python run.py test_calls [test_calls.Calls.test_a_call_gives_the_actions_result]
"""

import faulthandler
import os
import sys
import unittest

GUNICORN = os.environ["ARBITER"] == "gunicorn"

# A test that hangs ends the run with the stacks of all threads.
LONGEST_TEST = 240


class Result(unittest.TextTestResult):
    def startTest(self, test):
        faulthandler.dump_traceback_later(LONGEST_TEST, exit=True)
        super().startTest(test)

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)


def main(names):
    found = list(tests_of(unittest.defaultTestLoader.loadTestsFromNames(names)))
    left_out = [test for test in found if getattr(method(test), "left_out", False)]
    result = run(test for test in found if test not in left_out)
    ran, succeeded = result.testsRun, result.wasSuccessful()
    failed = [test for test, _ in result.failures + result.errors]
    if GUNICORN and failed and all(isinstance(test, unittest.TestCase) for test in failed):
        # Now and then its arbiter loses the call that a dying worker has: what it can do it shall do in one of two tries.
        print(f"tried again: {', '.join(test.id() for test in failed)}", file=sys.stderr)
        again = run(type(test)(test.id().rsplit(".", 1)[1]) for test in failed)
        succeeded = again.wasSuccessful() and not result.unexpectedSuccesses
    for test in left_out + [test for test, _ in result.expectedFailures]:
        print(f"differs: {test.id()}: {method(test).difference}")
    print(f"ran {ran}, left out {len(left_out)}, skipped {len(result.skipped)}")
    return 0 if succeeded else 1


def run(tests):
    return unittest.TextTestRunner(verbosity=2, resultclass=Result).run(unittest.TestSuite(tests))


def tests_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


def method(test):
    return getattr(type(test), test.id().rsplit(".", 1)[1], None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
