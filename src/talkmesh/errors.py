"""The one error that a user sees: what is wrong, where, and what to do about it."""


class TalkmeshError(Exception):
    """A user's problem (bad file, wrong parameter, missing model), told in one clear sentence."""
