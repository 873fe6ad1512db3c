"""What should run: a model, by an engine, from a source, so many times."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from fleet.adapters import adapter_faults
from fleet.engine_options import faults_of
from fleet.models.language_model import LanguageModel
from fleet.models.worker import Worker

SPEC_FIELDS = ("engine", "source", "dtype", "quantization", "engine_options", "device", "max_concurrency")
"""What an engine process is started with: a change of one of these is a rollout."""


class EngineName(models.TextChoices):
    """What can run a model; what each may be told is in protocol.engines."""

    TRANSFORMERS = "transformers", "transformers"
    VLLM = "vllm", "vLLM"
    SGLANG = "sglang", "SGLang"
    LIGHTLLM = "lightllm", "LightLLM"
    LLAMA_CPP = "llama.cpp", "llama.cpp"
    MLX = "mlx", "MLX"
    COMMAND = "command", _("command (any server that speaks OpenAI’s dialect)")
    ECHO = "echo", _("echo (repeats the question; for tests)")


class Strategy(models.TextChoices):
    """How a replica is replaced by another."""

    AUTO = "auto", _("new beside old where there is room, else in place")
    SWAP = "swap", _("always in place: the old one goes first, requests wait")


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    def locked(self) -> "DeploymentQuerySet":
        """One after the other: whoever reads them so waits until the last who did has ended their transaction."""
        return self.order_by("pk").select_for_update(no_key=True)


class Deployment(models.Model):
    """Desired state: this model, run by this engine from this source, so many times."""

    model = models.ForeignKey(LanguageModel, models.CASCADE, related_name="deployments", verbose_name=_("model"))
    engine = models.CharField(_("engine"), max_length=32, choices=EngineName, default=EngineName.TRANSFORMERS)
    source = models.CharField(
        _("source"),
        max_length=500,
        blank=True,
        help_text=_("A folder on the worker, a hub id, or “demo” for the built-in model."),
    )
    dtype = models.CharField(_("dtype"), max_length=16, default="auto")
    device = models.CharField(_("device"), max_length=32, default="auto", help_text=_("auto, cpu, cuda, cuda:1, mps"))
    quantization = models.CharField(
        _("quantization"),
        max_length=32,
        blank=True,
        help_text=_("How the weights are made smaller while they are loaded. Empty: as they were saved."),
    )
    engine_options = models.JSONField(
        _("engine options"), default=dict, blank=True, help_text=_("A JSON object; {} leaves all to the engine.")
    )
    adapters = models.JSONField(
        _("LoRA adapters"),
        default=dict,
        blank=True,
        help_text=_(
            "A JSON object: the name that callers write, and a folder on the worker or a hub id. Each is a model of "
            "its own, answered by the same replicas; a change takes effect without a restart."
        ),
    )
    num_replicas = models.PositiveSmallIntegerField(_("replicas"), default=1, validators=[MaxValueValidator(64)])
    max_concurrency = models.PositiveSmallIntegerField(
        _("requests at a time"), default=8, validators=[MinValueValidator(1)], help_text=_("For each replica.")
    )
    speed = models.FloatField(
        _("speed"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.001)],
        help_text=_(
            "Of each replica, in proportion to the model's others; for balancing by speed. Empty: as it is measured."
        ),
    )
    is_stopped = models.BooleanField(
        _("stopped"), default=False, help_text=_("Runs nowhere; the number of replicas is kept for the next start.")
    )
    memory_gb = models.FloatField(
        _("memory for each replica, in GB"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01), MaxValueValidator(100_000)],
        help_text=_("Empty: what its replicas were measured to use, or what the model’s name tells."),
    )
    idle_unload_minutes = models.FloatField(
        _("unload when idle for, in minutes"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01), MaxValueValidator(100_000)],
        help_text=_(
            "A replica that nobody has asked for so long is unloaded, and its memory is free for others. The next "
            "request wakes it, and waits until it is loaded. Empty: it always stays loaded. A change takes effect "
            "without a restart."
        ),
    )
    selector = models.JSONField(_("worker labels"), default=dict, blank=True)
    """Labels that a worker must have."""
    pinned_to = models.ManyToManyField(
        Worker, through="Pin", blank=True, related_name="pinned_deployments", verbose_name=_("workers")
    )
    """Empty: any worker."""
    strategy = models.CharField(
        _("replacement"),
        max_length=8,
        choices=Strategy,
        default=Strategy.AUTO,
        help_text=_("How a changed deployment gets its new replicas."),
    )
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+"
    )
    """Who saved it last; None: no person."""
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")
        ordering: ClassVar = ["model__name", "pk"]

    def __str__(self) -> str:
        return f"{self.model} ×{self.num_replicas}"

    def clean(self) -> None:
        """Raises ValidationError that names the fields."""
        faults = faults_of(
            engine=self.engine,
            source=self.source,
            dtype=self.dtype,
            quantization=self.quantization,
            options=self.engine_options,
        )
        if wrong := list(adapter_faults(self.engine, self.adapters, self._adapter_names())):
            faults["adapters"] = wrong
        if faults:
            raise ValidationError(dict(faults))

    def _adapter_names(self) -> set[str]:
        """Of all that this model's deployments had when they were saved."""
        listed = Deployment.objects.filter(model=self.model_id).values_list("adapters", flat=True)
        return {name for adapters in listed for name in adapters}

    @classmethod
    def why_reserved(cls, name: str) -> str | None:
        """Why no model may have that name; None: no adapter has it."""
        if not cls.objects.filter(adapters__has_key=name).exists():
            return None
        return gettext(
            "There is an adapter named “%(name)s”. Choose another name, or take that adapter away first."
        ) % {"name": name}

    @property
    def num_wanted(self) -> int:
        return 0 if self.is_stopped else self.num_replicas

    @property
    def idle_unload_s(self) -> float | None:
        return None if self.idle_unload_minutes is None else 60 * self.idle_unload_minutes

    @property
    def spec(self) -> dict[str, Any]:
        """What an engine process is started with. A replica keeps its own copy; when the two differ, it is replaced."""
        return {name: getattr(self, name) for name in SPEC_FIELDS}

    def restore(self, spec: Mapping[str, Any], *, by: AbstractBaseUser | None = None) -> bool:
        """Want what was wanted before: every field that a spec has. False: the row has gone."""
        fields = {name: spec[name] for name in SPEC_FIELDS if name in spec}
        vars(self).update(fields)
        return Deployment.objects.filter(pk=self.pk).update(**fields, changed_by=by) == 1


class Pin(models.Model):
    """A deployment that must run on this worker, or on another that it is pinned to as well.

    A worker cannot be removed while something is pinned to it: that would unpin silently.
    """

    deployment = models.ForeignKey(Deployment, models.CASCADE, related_name="pins")
    worker = models.ForeignKey(Worker, models.PROTECT, related_name="pins")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["deployment", "worker"], name="pinned_once")]

    def __str__(self) -> str:
        return f"{self.deployment} @ {self.worker}"
