"""Every type that the protocol has, to its limits, as argument, keyword, result and chunk."""

import math
import random
import struct

from gunicorn.dirty import DirtyConnectionError, DirtyProtocolError
from peer import ALL, Case


def bits(number):
    return struct.pack(">d", number)


class Values(Case):
    def setUp(self):
        self.execute = self.client().execute

    def echo(self, value):
        """What comes back, having travelled in every place that a value can take."""
        as_argument = self.execute(ALL, "echo", value)
        everywhere = self.execute(ALL, "echo_all", value, [value], name=value, inside={"x": value})
        self.assertEqual(repr(everywhere["args"]), repr([as_argument, [as_argument]]))
        self.assertEqual(repr(everywhere["kwargs"]), repr({"name": as_argument, "inside": {"x": as_argument}}))
        chunks = list(self.client().stream(ALL, "stream_values", [value, value]))
        self.assertEqual(repr(chunks), repr([as_argument, as_argument]))
        return as_argument

    def unchanged(self, *values):
        for value in values:
            answer = self.echo(value)
            self.assertEqual(answer, value)
            self.assertIs(type(answer), type(value))

    def test_none_and_bools(self):
        self.unchanged(None, True, False)

    def test_integers_to_both_ends_of_64_bits(self):
        self.unchanged(0, 1, -1, 255, 256, -(2**31), 2**32, 2**53 + 1, 2**63 - 1, -(2**63))

    def test_integers_beyond_64_bits_the_client_does_not_send(self):
        for value in (2**63, -(2**63) - 1):
            self.fails(DirtyConnectionError, self.execute, ALL, "echo", value)
        self.assertEqual(self.execute(ALL, "echo", 1), 1)

    def test_floats_to_the_last_bit(self):
        values = [0.0, -0.0, 1.5, math.pi, math.inf, -math.inf, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]
        values += [math.nan, struct.unpack(">d", bytes.fromhex("fff8000000000123"))[0]]
        for value in values:
            self.assertEqual(bits(self.echo(value)), bits(value), value)

    def test_whole_floats_stay_floats(self):
        self.unchanged(1.0, -3.0, 1e15)

    def test_bytes(self):
        self.unchanged(b"", b"\0", bytes(range(256)), b"\xff\xfe" * 1000, bytes(65_535), bytes(65_536), bytes(65_537))

    def test_text(self):
        self.unchanged("", "plain", "Grüße", "日本語", "🜂 \U0010ffff", "שלום", "e\u0301")
        self.unchanged("\0 inside", "line\r\n\ttab", "x" * 70_000)

    def test_text_and_bytes_are_not_the_same(self):
        self.assertEqual(self.echo(["a", b"a"]), ["a", b"a"])

    def test_half_characters_the_client_does_not_send(self):
        self.fails(DirtyConnectionError, self.execute, ALL, "echo", "\ud800")

    def test_lists(self):
        self.unchanged([], [None], [1, 2.5, "three", b"4", [5, [6]], {"seven": [8]}], [[]] * 100)

    def test_a_tuple_arrives_as_a_list(self):
        self.assertEqual(self.echo((1, (2, "x"))), [1, [2, "x"]])

    def test_dicts(self):
        self.unchanged({}, {"": None}, {"a": {"b": {"c": [1, {"d": b"e"}]}}}, {"日本": 1, "\0": 2})

    def test_a_dict_keeps_the_order_of_its_keys(self):
        self.assertEqual(list(self.echo({"z": 1, "a": 2, "m": 3})), ["z", "a", "m"])

    def test_keys_that_are_no_text_arrive_as_their_text(self):
        value = {7: "int", -2: "negative", None: "none", True: "bool", 2.5: "float", (1, 2): "tuple"}
        expected = {"7": "int", "-2": "negative", "None": "none", "True": "bool", "2.5": "float", "(1, 2)": "tuple"}
        self.assertEqual(self.echo(value), expected)

    def test_keys_that_become_the_same_text_leave_the_last_value(self):
        self.assertEqual(self.execute(ALL, "echo", {1: "int", "1": "text"}), {"1": "text"})

    def test_names_that_mean_something_to_the_protocol_are_plain_keys(self):
        self.unchanged({"type": "chunk", "id": 5, "error": {"message": "x"}, "result": 1, "data": 2})

    def test_nesting_of_hundreds_of_levels(self):
        for levels in (100, 300, 500, 800):
            value = []
            for _ in range(levels):
                value = [value]
            self.assertEqual(depth(self.execute(ALL, "echo", value)), levels)

    def test_nested_dicts_of_hundreds_of_levels(self):
        value = {}
        for _ in range(500):
            value = {"x": value}
        self.assertEqual(self.execute(ALL, "echo", value), value)

    def test_values_made_at_random_come_back(self):
        for seed in range(200):
            value = made_at_random(random.Random(seed), 5)
            self.assertEqual(repr(self.execute(ALL, "echo", value)), repr(value), f"seed {seed}")

    def test_other_types_the_client_does_not_send(self):
        for value in ({1, 2}, object(), 1j, range(3), bytearray(b"x"), memoryview(b"x")):
            error = self.fails(DirtyProtocolError, self.execute, ALL, "echo", value)
            self.assertIn("Unsupported type", error.message)
        self.assertEqual(self.execute(ALL, "echo", 1), 1)


def made_at_random(random, levels):
    """Of any type that arrives as it is; lists and dicts as deep as `levels`."""
    kind = random.randrange(9 if levels else 7)
    match kind:
        case 0:
            return None
        case 1:
            return random.random() < 0.5
        case 2:
            return random.randint(-(2**63), 2**63 - 1) >> random.randrange(64)
        case 3:
            return struct.unpack(">d", random.randbytes(8))[0]
        case 4 | 5:
            return random.randbytes(random.choice((0, 1, 7, 300, 70_000)))
        case 6:
            return "".join(random.choices("aß語🜂\0 \n'\"", k=random.choice((0, 1, 7, 300))))
        case 7:
            return [made_at_random(random, levels - 1) for _ in range(random.randrange(6))]
        case _:
            return {f"{random.randrange(50)}ä": made_at_random(random, levels - 1) for _ in range(random.randrange(6))}


def depth(value):
    levels = 0
    while value:
        (value,) = value
        levels += 1
    return levels
