"""The one error that a user sees: what is wrong, where, and what to do about it."""

import re

LONGEST = 600  # characters of a sentence: what a file says may be quoted in it, and may be long


class TalkmeshError(Exception):
    """A user's problem (bad file, wrong parameter, missing model), told in one clear sentence.

    Whatever a file or a library contributes to it, it is one line of printable text.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(_one_line(sentence))


def _one_line(text: str) -> str:
    text = re.sub(r"\s*[\r\n]\s*|[^\S ]|   +", " ", text).strip()
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 3 :]}"
