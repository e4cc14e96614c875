"""What Python apps do that the probe app does not."""

from gunicorn.dirty import DirtyApp


class OddApp(DirtyApp):
    """Results and failures at the edge of what gunicorn's protocol can carry."""

    def int_keys(self):
        return {1: "one", -2: {3: None}}

    def a_tuple(self):
        return (1, ("two",))

    def too_large_int(self):
        return 1 << 63

    def a_set(self):
        return {1}

    def multibyte(self, count):
        return "ü" * count

    def many(self, count):
        return [None] * count

    def stream_unsendable(self):
        yield 1
        yield {2}

    def raise_with_cause(self):
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error

    def int_keys_back(self, x):
        return sorted(x)
