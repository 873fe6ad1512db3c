"""`manage.py fleet`: the fleet from the command line, by the same acts as in admin. The gateway adds routes to it.

Exit status: 0 done, or it was so already; 1 refused, not found, or (status) something is not well; 2 wrong usage.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations

from audit.command import record_command
from fleet import deploying, maintenance, membership, scaling, undoing
from fleet.attention import findings
from fleet.errors import FleetError
from fleet.labels import parse_labels
from fleet.management import tables
from fleet.management.join_token_acts import JoinTokenActs
from fleet.management.naming import find_deployment, find_replica, find_worker
from fleet.management.provider_acts import ProviderActs
from fleet.models import LanguageModel, Replica, Transition, Worker
from fleet.models.deployment import SPEC_FIELDS
from fleet.overview import read_overview
from fleet.reconciler import reconcile

_POLL_S = 0.5
_NUM_EVENTS = 50
_SPEC_OPTIONS = ("engine", "source", "dtype", "device", "max_concurrency", "memory_gb", "idle_unload_minutes")


class FleetCommand(ProviderActs, JoinTokenActs, BaseCommand):
    help = "Look at the fleet and run it: see `manage.py fleet ACT --help`."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_acts(parser.add_subparsers(metavar="ACT", required=True, title="acts"))

    def add_acts(self, acts: Any) -> None:
        """To be extended by whoever knows more acts."""
        self._add_looks(acts)
        self._add_worker_acts(acts)
        self._add_deployment_acts(acts)
        self.add_provider_acts(acts, add_act)
        self.add_join_token_acts(acts, add_act)

    @no_translations
    def handle(self, *, run: Callable[..., None], **given: Any) -> None:
        try:
            run(given)
            if "json" not in given:
                record_command(f"fleet {run.__name__.replace('_', '-')}", given)
        except FleetError as refused:
            raise CommandError(str(refused)) from refused
        except ValidationError as invalid:
            raise CommandError("\n".join(_told(invalid))) from invalid

    def _add_looks(self, acts: Any) -> None:
        looks = {
            "status": (self.status, "is the fleet well, and if not, what to do"),
            "workers": (self.workers, "the machines, and how they are"),
            "deployments": (self.deployments, "what should run, and why it does not"),
            "replicas": (self.replicas, "what runs where"),
            "models": (self.models, "the names that callers use, and who answers for them"),
            "providers": (self.providers, "who runs models for you, what they offer, and at what price"),
            "timeline": (self.timeline, "what happened to a worker, the latest first"),
        }
        for name, (run, help_text) in looks.items():
            look = add_act(acts, name, run, help_text)
            look.add_argument("--json", action="store_true", help="for programs")
            if name == "timeline":
                _with_worker(look)

    def _add_worker_acts(self, acts: Any) -> None:
        _with_worker(add_act(acts, "cordon", self.cordon, "give a worker no new replicas"))
        _with_worker(add_act(acts, "uncordon", self.uncordon, "return a worker to service"))
        _with_worker(add_act(acts, "approve", self.approve, "let a worker that waits for it run models"))
        _with_drain(add_act(acts, "drain", self.drain, "move everything off a worker"))
        maintain = _with_drain(add_act(acts, "maintain", self.maintain, "drain a worker, with a remark that all see"))
        maintain.add_argument("--remark", required=True, help="what is done to it, and until when")
        label = _with_worker(add_act(acts, "label", self.label, "say what a worker is"))
        label.add_argument("labels", help='all of them, such as "gpu=h100, zone=a"; "" for none')
        _with_worker(add_act(acts, "remove", self.remove, "forget a worker that is empty or lost"))
        _with_worker(add_act(acts, "revoke", self.revoke, "shut a worker out at once"))

    def _add_deployment_acts(self, acts: Any) -> None:
        _with_deployment(add_act(acts, "start", self.start, "run a deployment that was stopped"))
        _with_deployment(add_act(acts, "stop", self.stop, "run a deployment nowhere, and keep its number of replicas"))
        _with_deployment(add_act(acts, "restart", self.restart, "restart all replicas, one after the other"))
        _with_deployment(add_act(acts, "roll-back", self.roll_back, "go back to the version before"))
        _with_deployment(add_act(acts, "try-again", self.try_again, "roll out again what was rolled back last"))
        scale = _with_deployment(add_act(acts, "scale", self.scale, "set the number of replicas"))
        scale.add_argument("num_replicas", type=int)
        for name, run, help_text in (
            ("restart-replica", self.restart_replica, "let another take one replica's place"),
            ("stop-replica", self.stop_replica, "run one replica fewer: this one goes"),
        ):
            add_act(acts, name, run, help_text).add_argument("replica", help="the beginning of its id")
        add = _with_spec(add_act(acts, "add", self.add, "deploy a model"))
        add.add_argument("model", help="the name that callers use")
        add.add_argument("--replicas", type=int, dest="num_replicas", metavar="N")
        add.add_argument("--worker", action="append", default=[], help="pin it to this worker; may be repeated")
        add.add_argument("--labels", default="", help="that a worker must have")
        _with_spec(_with_deployment(add_act(acts, "replace", self.replace, "run another version of a deployment")))

    # --- Looking

    def status(self, given: dict[str, Any]) -> None:
        overview = read_overview()
        found = findings(overview)
        values = {
            "workers": {"alive": overview.num_alive, "members": len(overview.members)},
            "replicas": {"ready": overview.num_ready, "wanted": overview.num_wanted},
            "findings": [tables.finding_values(finding) for finding in found],
        }
        self._show(given, values, tables.status_text(overview, found))
        if any(finding.tone != "info" for finding in found):
            raise SystemExit(1)

    def workers(self, given: dict[str, Any]) -> None:
        members = read_overview().members
        self._show(given, [tables.worker_values(worker) for worker in members], tables.workers_table(members))

    def deployments(self, given: dict[str, Any]) -> None:
        overview = read_overview()
        values = [tables.deployment_values(deployment, overview) for deployment in overview.deployments]
        self._show(given, values, tables.deployments_table(overview))

    def replicas(self, given: dict[str, Any]) -> None:
        replicas = read_overview().replicas
        self._show(given, [tables.replica_values(one) for one in replicas], tables.replicas_table(replicas))

    def models(self, given: dict[str, Any]) -> None:
        models = list(LanguageModel.objects.prefetch_related("deployments", "provider_models__provider"))
        self._show(given, [tables.model_values(one) for one in models], tables.models_table(models))

    def timeline(self, given: dict[str, Any]) -> None:
        rows = list(Transition.objects.filter(worker=find_worker(given["worker"]))[:_NUM_EVENTS])
        self._show(given, [tables.event_values(row) for row in rows], tables.timeline_table(rows))

    # --- Deciding about workers

    def approve(self, given: dict[str, Any]) -> None:
        worker = find_worker(given["worker"])
        self._tell(membership.approve(worker), f"{worker} is approved.")

    def cordon(self, given: dict[str, Any]) -> None:
        worker = find_worker(given["worker"])
        self._tell(maintenance.cordon(worker), f"{worker} is cordoned.")

    def uncordon(self, given: dict[str, Any]) -> None:
        worker = find_worker(given["worker"])
        self._tell(maintenance.uncordon(worker), f"{worker} is in service.")

    def drain(self, given: dict[str, Any]) -> None:
        worker = find_worker(given["worker"])
        self._tell(maintenance.drain(worker, may_stop=given["force"]), f"{worker} drains.")
        self._wait_until_empty(worker, given["wait"])

    def maintain(self, given: dict[str, Any]) -> None:
        worker = find_worker(given["worker"])
        begun = maintenance.maintain(worker, given["remark"], may_stop=given["force"])
        self._tell(begun, f"{worker} is under maintenance: {given['remark']}")
        self._wait_until_empty(worker, given["wait"])

    def label(self, given: dict[str, Any]) -> None:
        worker, labels = find_worker(given["worker"]), parse_labels(given["labels"])
        changed = Worker.objects.filter(pk=worker.pk).exclude(labels=labels).update(labels=labels)
        reconcile()
        self._tell(changed, f"{worker} has the labels {given['labels'] or '(none)'}.")

    def remove(self, given: dict[str, Any]) -> None:
        worker = find_worker(given["worker"])
        name = worker.name
        maintenance.remove(worker)
        self._tell(True, f"{name} is removed. Stop its daemon: with a usable join token it would join anew.")

    def revoke(self, given: dict[str, Any]) -> None:
        worker = find_worker(given["worker"])
        self._tell(membership.revoke(worker), f"{worker} is revoked.")

    # --- Deciding about what runs

    def start(self, given: dict[str, Any]) -> None:
        deployment = find_deployment(given["deployment"])
        self._tell(scaling.start(deployment), f"{deployment} is started.")

    def stop(self, given: dict[str, Any]) -> None:
        deployment = find_deployment(given["deployment"])
        self._tell(scaling.stop(deployment), f"{deployment} is stopped.")

    def scale(self, given: dict[str, Any]) -> None:
        deployment, number = find_deployment(given["deployment"]), given["num_replicas"]
        self._tell(scaling.scale(deployment, number), f"{deployment.model} is scaled to {number}.")

    def restart(self, given: dict[str, Any]) -> None:
        deployment = find_deployment(given["deployment"])
        self._tell(scaling.restart(Replica.objects.filter(deployment=deployment)), f"{deployment} restarts.")

    def roll_back(self, given: dict[str, Any]) -> None:
        deployment = find_deployment(given["deployment"])
        self._tell(undoing.undo(deployment, None), f"{deployment} goes back to the version before.")

    def try_again(self, given: dict[str, Any]) -> None:
        deployment = find_deployment(given["deployment"])
        self._tell(undoing.retry(deployment, None), f"{deployment} is rolled out again.")

    def restart_replica(self, given: dict[str, Any]) -> None:
        replica = find_replica(given["replica"])
        self._tell(scaling.restart(Replica.objects.filter(pk=replica.pk)), f"{replica} restarts.")

    def stop_replica(self, given: dict[str, Any]) -> None:
        replica = find_replica(given["replica"])
        self._tell(scaling.stop_one(replica), f"{replica} stops.")

    def add(self, given: dict[str, Any]) -> None:
        workers = [find_worker(name) for name in given["worker"]]
        fields = _spec(given) | {"selector": parse_labels(given["labels"])}
        if given["num_replicas"] is not None:
            fields["num_replicas"] = given["num_replicas"]
        deployment = deploying.deploy(given["model"], workers, fields)
        self._tell(True, f"{deployment} is deployed, number {deployment.pk}.")

    def replace(self, given: dict[str, Any]) -> None:
        deployment, fields = find_deployment(given["deployment"]), _spec(given)
        done = "is changed" if fields.keys().isdisjoint(SPEC_FIELDS) else "is being replaced"
        self._tell(deploying.change(deployment, fields), f"{deployment} {done}.")

    # ---

    def _show(self, given: dict[str, Any], values: object, text: str) -> None:
        self.stdout.write(json.dumps(values, indent=2, ensure_ascii=False) if given["json"] else text)

    def _tell(self, has_changed: object, done: str) -> None:
        self.stdout.write(done if has_changed else "Nothing to do: it was so already.")

    def _wait_until_empty(self, worker: Worker, timeout_s: float | None) -> None:
        if timeout_s is None:
            return
        deadline = time.monotonic() + timeout_s
        while worker.replicas.exists():
            if time.monotonic() > deadline:
                raise CommandError(
                    f"{worker} is not empty after {timeout_s:g} s. It goes on draining; "
                    "see what holds it up: manage.py fleet replicas."
                )
            time.sleep(_POLL_S)
        self.stdout.write(f"{worker} is empty.")


def add_act(acts: Any, name: str, run: Callable[..., None], help_text: str) -> argparse.ArgumentParser:
    parser = acts.add_parser(name, help=help_text)
    parser.set_defaults(run=run)
    return parser


def _with_worker(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("worker", help="its name, or the beginning of its id")
    return parser


def _with_drain(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    _with_worker(parser)
    parser.add_argument("--force", action="store_true", help="also stop what no other worker can take")
    parser.add_argument("--wait", type=float, metavar="SECONDS", help="until it is empty, so long at most")
    return parser


def _with_deployment(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("deployment", help="its number, or its model's name")
    return parser


def _with_spec(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--engine")
    parser.add_argument("--source", help="a folder on the worker, a hub id, or demo")
    parser.add_argument("--dtype")
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--max-concurrency", type=int, help="requests at a time, for each replica")
    parser.add_argument("--memory-gb", type=float, help="that each replica needs")
    parser.add_argument(
        "--idle-unload-minutes", type=float, metavar="M", help="unload it when idle for so long; 0: never"
    )
    return parser


def _spec(given: dict[str, Any]) -> dict[str, Any]:
    fields = {name: given[name] for name in _SPEC_OPTIONS if given[name] is not None}
    if fields.get("idle_unload_minutes") == 0:
        fields["idle_unload_minutes"] = None
    return fields


def _told(invalid: ValidationError) -> list[str]:
    if not hasattr(invalid, "error_dict"):
        return invalid.messages
    return [f"{field}: {' '.join(messages)}" for field, messages in invalid.message_dict.items()]
