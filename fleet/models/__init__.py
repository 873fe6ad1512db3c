"""What should run (LanguageModel, Deployment) and how it came to that (Rollout), what does run (Worker, Replica) and
did (Transition, Sample), who may join (JoinToken), and who runs models for us elsewhere (Provider, ProviderModel)."""

from fleet.models.deployment import SPEC_FIELDS, Deployment, DeploymentQuerySet, EngineName, Pin, Strategy
from fleet.models.join_token import JoinToken, JoinTokenQuerySet, JoinTokenState
from fleet.models.language_model import BalancingPolicy, LanguageModel
from fleet.models.provider import Provider, ProviderFailure, ProviderKind, ProviderModel, ProviderModelQuerySet
from fleet.models.replica import Replica, ReplicaQuerySet
from fleet.models.rollout import RollbackCause, Rollout, RolloutPhase, RolloutQuerySet
from fleet.models.sample import Sample
from fleet.models.transition import Cause, Transition, TransitionQuerySet
from fleet.models.worker import Duty, ProbeFailure, Worker, WorkerQuerySet, WorkerState

__all__ = [
    "SPEC_FIELDS",
    "BalancingPolicy",
    "Cause",
    "Deployment",
    "DeploymentQuerySet",
    "Duty",
    "EngineName",
    "JoinToken",
    "JoinTokenQuerySet",
    "JoinTokenState",
    "LanguageModel",
    "Pin",
    "ProbeFailure",
    "Provider",
    "ProviderFailure",
    "ProviderKind",
    "ProviderModel",
    "ProviderModelQuerySet",
    "Replica",
    "ReplicaQuerySet",
    "RollbackCause",
    "Rollout",
    "RolloutPhase",
    "RolloutQuerySet",
    "Sample",
    "Strategy",
    "Transition",
    "TransitionQuerySet",
    "Worker",
    "WorkerQuerySet",
    "WorkerState",
]
