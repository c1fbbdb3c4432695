"""Changes of trees (JSON, YAML) and of texts in lines and words."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import yaml

from fuzz.blind import FLOATS, INTEGERS, TEXTS, climbing, odd


def spots_of(value: Any) -> list[tuple[Any, Any]]:
    """All (container, key) of a tree of lists and dictionaries."""
    spots, todo = [], [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict | list):
            keys = list(one) if isinstance(one, dict) else range(len(one))
            spots += [(one, key) for key in keys]
            todo += [one[key] for key in keys]
    return spots


def tree(rng: Random, value: Any) -> Any:
    """Change some values of a tree: odd ones in their place, or gone, renamed, exchanged, nudged."""
    for _ in range(rng.choice([1, 1, 2, 5])):
        spots = spots_of(value)
        if not spots:
            return odd(rng)
        box, key = rng.choice(spots)
        what = rng.randrange(7)
        if what <= 2:
            box[key] = odd(rng)
        elif what == 3 and isinstance(box[key], int | float):
            box[key] = rng.choice([-box[key], box[key] + 1, box[key] - 1, box[key] * 1000, str(box[key])])
        elif what == 4:
            del box[key]
        elif what == 5 and isinstance(box, dict):
            box[rng.choice([*TEXTS, climbing(rng)])] = box.pop(key)
        else:
            other, place = rng.choice(spots)
            box[key] = other[place] if not isinstance(other[place], dict | list) else [box[key]] * 3
    return value


def change_json(rng: Random, data: bytes) -> bytes:
    return json.dumps(tree(rng, json.loads(data))).encode()


NEST = 100_000  # brackets: beyond any parser's stack


def nested(rng: Random, data: bytes) -> bytes:
    return rng.choice([b"[" * NEST, b'{"a":' * NEST, b"[" * 900 + b"]" * 900])


ALIASES = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b", ".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 107)
)


def change_yaml(rng: Random, data: bytes) -> bytes:
    what = rng.randrange(8)
    if what == 0:
        return ALIASES + data
    if what == 1:
        tag = rng.choice(
            [b"!!python/object/apply:os.system ['touch pwned']", b"&a [*a]", b"!!binary 1", b"2001-99-99"]
        )
        lines = data.split(b"\n")
        k = rng.randrange(len(lines))
        lines[k] = lines[k].partition(b":")[0] + b": " + tag
        return b"\n".join(lines)
    return yaml.safe_dump(tree(rng, yaml.safe_load(data)), allow_unicode=True).encode(
        "utf-8", "surrogatepass"
    )


def change_words(rng: Random, data: bytes) -> bytes:
    """Change the words or lines of a text."""
    lines = data.split(b"\n")
    for _ in range(rng.choice([1, 1, 3, 20])):
        k = rng.randrange(len(lines))
        for mark in (b",", b"\t", b" "):
            if mark in lines[k]:
                break
        words = lines[k].split(mark)
        what = rng.randrange(6)
        if what <= 2:
            new = rng.choice([*map(str, INTEGERS[:-1]), *map(str, FLOATS), *TEXTS, climbing(rng)])
            words[rng.randrange(len(words))] = new.encode()
            lines[k] = mark.join(words)
        elif what == 3:
            lines[k] = mark.join(rng.choice([words[:-1], words * 2, words[::-1]]))
        elif what == 4:
            lines[k : k + 1] = rng.choice([[], [lines[k]] * 3, [b""], [b"#" + lines[k]]])
        else:
            lines[k], lines[0] = lines[0], lines[k]
        lines = lines or [b""]
    return b"\n".join(lines)
