"""The stash, by gunicorn's own client: what is stored, what is missing, and every kind of key."""

import math
import os

from gunicorn.dirty import StashError, StashKeyNotFoundError, StashTableNotFoundError, stash
from gunicorn.dirty.protocol import STASH_OP_GET
from peer import MISSING, NO_TABLE, StashCase, differs

MIB = 1024 * 1024


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
        self.assertEqual([repr(stash.get(self.table, i)) for i in range(len(values))], list(map(repr, values)))

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

    def test_an_unknown_operation_is_a_stash_error(self):
        error = self.fails(StashError, self.stash_client()._execute, 99, self.table)
        self.assertIn("99", error.message)

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

    def test_keys_can_be_long(self):
        keys = ["x" * 1_000_000, b"y" * 1_000_000]
        self.fill(*keys)
        self.assertTrue(stash.keys(self.table) == keys)

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
