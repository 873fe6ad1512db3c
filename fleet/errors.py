"""Why the control plane refuses. A class says who must act; the text says what to do.

FleetError
├── MalformedRequest        the worker's software: the body is not the message that was expected
├── BodyTooLarge            the worker's software
├── ProtocolUnsupported     the operator: upgrade one side
├── AddressRefused          the operator (another address) or the administrator (WORKER_NETWORKS)
├── HeartbeatReplayed       nobody, or the administrator if somebody replays what they overheard
└── CredentialRefused       the operator: no credential that is any good
    ├── JoinTokenRefused    the administrator: issue another
    └── WorkerRevoked       nobody: the administrator has decided
"""


class FleetError(Exception):
    """Something is wrong with what a worker asked; the text is shown to its operator."""

    status = 400
    code = "fleet_error"


class MalformedRequest(FleetError):
    code = "malformed_request"


class BodyTooLarge(FleetError):
    status, code = 413, "body_too_large"


class ProtocolUnsupported(FleetError):
    status, code = 426, "protocol_unsupported"


class AddressRefused(FleetError):
    code = "address_refused"


class HeartbeatReplayed(FleetError):
    status, code = 409, "heartbeat_replayed"


class CredentialRefused(FleetError):
    status, code = 401, "invalid_credential"


class JoinTokenRefused(CredentialRefused):
    code = "invalid_join_token"


class WorkerRevoked(CredentialRefused):
    code = "worker_revoked"
