"""What can go wrong in the worker program.

WorkerError
├── SettingsInvalid                the operator: another flag or variable
├── StateDirInUse                  the operator: two daemons want to be the same worker
├── StateUnwritable                the operator: the disk is full or read-only. It is tried again
├── ServerUnreachable              nobody: it is tried again
├── RequestRefused                 the operator: the server understood, and said no
│   └── CredentialRefused          the operator: join again with a token
│       └── WorkerRevoked          nobody: the administrator has decided
├── ModelNotStored                 the administrator: it is not on this disk
├── ModelInUse                     the administrator: stop its replica first
├── NoRoom                         nobody: other models have the memory; it is tried again
└── EngineError                    carries HTTP status and OpenAI's type, code and param
    ├── LoadError                  the administrator: the model cannot be loaded as it is configured
    ├── BadRequest                 the caller: the request can never be answered as it is
    │   ├── ModelNotFound          the caller: no model or adapter goes by this name
    │   └── ContextLengthExceeded  the caller: the prompt, or prompt and answer, are too long
    ├── Overloaded                 the caller, later: every slot and the queue are taken
    ├── RequestCancelled           nobody: somebody asked for it
    └── EngineFailed               the operator: the engine broke while it answered
"""


class WorkerError(Exception):
    """Anything that the worker program raises on purpose. The text says what happened and what to do."""


class SettingsInvalid(WorkerError):
    """The daemon cannot start as it was told to."""


class StateDirInUse(WorkerError):
    """Another daemon runs with the same credential."""


class StateUnwritable(WorkerError):
    """The folder for the credential takes no more. To be tried again."""


class ServerUnreachable(WorkerError):
    """The server gave no answer, or none that counts. To be tried again."""


class RequestRefused(WorkerError):
    """The server refuses what this worker asked; the text is the server's."""


class CredentialRefused(RequestRefused):
    """The join token or the credential is no good."""


class WorkerRevoked(CredentialRefused):
    """The administrator has shut this worker out."""


class ModelNotStored(WorkerError):
    """No such model was downloaded to this machine."""


class ModelInUse(WorkerError):
    """A replica here is loaded from it."""


class NoRoom(WorkerError):
    """An engine that sleeps cannot be woken: the memory is taken by others that are busy. To be tried again."""


class EngineError(WorkerError):
    """An engine could not do what was asked. `status`, `type` and `code` are what an OpenAI client sees."""

    status = 500
    type = "server_error"
    code: str | None = None
    param: str | None = None


class LoadError(EngineError):
    """The model cannot be loaded: its folder, its format, or too little memory."""

    code = "load_failed"


class BadRequest(EngineError):
    """The request can never be answered as it is. `param` names the field at fault."""

    status = 400
    type = "invalid_request_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code or type(self).code


class ContextLengthExceeded(BadRequest):
    """The prompt, or the prompt with the answer it asks for, is longer than the model can hold."""

    code = "context_length_exceeded"


class ModelNotFound(BadRequest):
    """Neither the model nor one of its adapters goes by this name."""

    status = 404
    code = "model_not_found"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="model")


class Overloaded(EngineError):
    """Every slot and the whole waiting line are taken. `retry_after_s`: when to try again."""

    status = 503
    code = "overloaded"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RequestCancelled(EngineError):
    """The generation was ended by `POST /v1/requests/{request_id}/cancel`."""

    status = 499
    code = "cancelled"


class EngineFailed(EngineError):
    """The engine broke while it answered, or was shut down."""

    code = "engine_failed"
