"""The few exceptions of the project. Driver errors are translated into these at the boundary, with ``from``.

Belongs here: an exception that more than one package raises or catches. Does not: error texts, error handling.
"""


class ExporterError(Exception):
    """Anything this program can explain to its operator; the text says what to do."""


class ConfigError(ExporterError):
    """The configuration is refused as a whole.

    ``problems`` holds one line for each fault: ``file:line: key.path: what was expected``.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ProfileError(ExporterError):
    """A profile does not fit the store: a missing table or column, a wrong type, an unknown name."""


class PackError(ExporterError):
    """A pack's query does not fit the store, or its answer is none. The text names file, key and remedy."""


class StoreError(ExporterError):
    """A store could not be asked, or refused the question. The text is safe to show: it holds no secret."""


class NotTold(StoreError):
    """The store has no such thing to tell, and never will."""


class StoreUnavailable(StoreError):
    """The store's server could not be reached or ended the session; a later attempt may succeed."""


class LedgerError(ExporterError):
    """The ledger refuses: a store's counts belong to another database, a state file cannot be read as asked."""


class StateUnavailable(LedgerError):
    """The state file cannot be used now; what needs it waits, everything else goes on. A later attempt may succeed."""


class StoreTooSlow(StoreError):
    """A statement was ended by its timeout; ``load_seconds`` is the database time that it cost for nothing."""

    def __init__(self, message: str, load_seconds: float) -> None:
        super().__init__(message)
        self.load_seconds = load_seconds


class ActionError(ExporterError):
    """An action was not done, and nothing has changed. The text is safe to show."""


class NotFound(ActionError):
    """There is no such job, or alert."""


class ActionConflict(ActionError):
    """It cannot be done as things stand: nothing says how, or something stands in the way."""


class ActionRefused(ActionError):
    """Whoever had to do it refused."""


class ActionUnavailable(ActionError):
    """Whoever has to do it is away; a later attempt may succeed."""


class OutcomeUnknown(ExporterError):
    """Nobody can tell whether an action was done. The text says how far it came."""
