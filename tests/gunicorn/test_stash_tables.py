"""Tables of the stash, by gunicorn's own client: their management, and the dict-like interface."""

from gunicorn.dirty import StashTable, StashTableNotFoundError, stash
from peer import MISSING, NO_TABLE, StashCase, differs


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
