"""A person deploys a model in admin."""

import json

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from fleet.models import Deployment, LanguageModel, Replica
from fleet.reconciler import reconcile

ADD = "/admin/fleet/deployment/add/"


@pytest.fixture
def form(db):
    """`form(source="demo")`: what the browser sends for a new deployment."""
    model = LanguageModel.objects.create(name="flotilla-demo")

    def make(**fields: object) -> dict[str, object]:
        given = {
            "model": model.pk,
            "engine": "transformers",
            "source": "demo",
            "dtype": "auto",
            "device": "auto",
            "num_replicas": 1,
            "max_concurrency": 8,
            "strategy": "auto",
        }
        return given | fields

    return make


def test_saving_a_deployment_places_it_at_once(admin_client: Client, form, make_worker):
    worker = make_worker()
    admin_client.post(ADD, form())
    assert Replica.objects.get().worker == worker


def test_the_list_it_lands_on_shows_its_state(admin_client: Client, form, make_worker):
    make_worker()
    page = admin_client.post(ADD, form(), follow=True).content.decode()
    assert f'data-live="deployment-card:{Deployment.objects.get().pk}"' in page


def test_its_own_page_shows_its_state(admin_client: Client, make_deployment, make_worker):
    make_worker("box-7")
    deployment = make_deployment()
    reconcile()
    page = admin_client.get(reverse("admin:fleet_deployment_change", args=[deployment.pk])).content.decode()
    panel = page[page.index(f'data-live="deployment:{deployment.pk}"') :]
    assert "box-7" in panel


def test_a_deployment_that_no_worker_can_take_is_saved_with_the_reason(admin_client: Client, form, make_worker):
    make_worker("box-1", cordoned=True)
    response = admin_client.post(ADD, form())
    warnings = [str(message) for message in get_messages(response.wsgi_request)]
    assert any("box-1: cordoned" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("source", "", "Say what to load"),
        ("device", "gpu", "Write auto, cpu, cuda"),
        ("dtype", "int3", "Select a valid choice"),
        ("num_replicas", 65, "less than or equal to 64"),
        ("max_concurrency", 0, "greater than or equal to 1"),
        ("selector", "gpu:h100", "Write name=value"),
        ("memory_gb", -1, "greater than or equal to 0.01"),
        ("quantization", "awq", "write one of: int8, nf4"),
        ("engine_options", '{"tensor_parallel_size": 2}', "no option “tensor_parallel_size”"),
        ("engine_options", "{", "Enter a valid JSON"),
        ("engine_options", "[]", "Write a JSON object"),
    ],
)
def test_a_mistake_is_named_at_its_field(admin_client: Client, form, field, value, said):
    response = admin_client.post(ADD, form(**{field: value}))
    assert said in str(response.context["adminform"].form.errors[field])


def test_an_engine_s_options_are_kept_as_they_were_written(admin_client: Client, form):
    options = {"max_model_len": 4096, "gpu_memory_utilization": 0.8}
    admin_client.post(ADD, form(engine="vllm", source="/models/m", engine_options=json.dumps(options)))
    assert Deployment.objects.get().engine_options == options


def test_emptied_options_are_none_at_all(admin_client: Client, form):
    admin_client.post(ADD, form(engine_options=""))
    assert Deployment.objects.get().engine_options == {}


def test_an_idle_model_may_be_unloaded_after_so_many_minutes_or_never(admin_client: Client, form):
    admin_client.post(ADD, form(idle_unload_minutes="30"))
    admin_client.post(ADD, form(idle_unload_minutes=""))
    assert [one.idle_unload_s for one in Deployment.objects.order_by("pk")] == [1800, None]


def test_the_form_tells_what_each_engine_takes(admin_client: Client):
    page = admin_client.get(ADD).content.decode()
    assert "What each engine takes" in page
    assert "gpu_memory_utilization" in page


def test_a_revoked_worker_cannot_be_chosen(admin_client: Client, form, make_worker):
    worker = make_worker()
    worker.revoke()
    response = admin_client.post(ADD, form(pinned_workers=[str(worker.pk)]))
    assert "pinned_workers" in response.context["adminform"].form.errors


def test_a_deployment_is_pinned_to_the_workers_that_were_chosen(admin_client: Client, form, make_worker):
    make_worker("box-1")
    chosen = [make_worker("box-2"), make_worker("box-3")]
    admin_client.post(ADD, form(pinned_workers=[str(worker.pk) for worker in chosen], num_replicas=2))
    assert set(Replica.objects.values_list("worker__name", flat=True)) == {"box-2", "box-3"}


def test_a_pin_to_a_worker_that_was_revoked_since_stays_until_somebody_takes_it_out(
    admin_client: Client, form, make_worker, make_deployment
):
    worker = make_worker()
    deployment = make_deployment()
    deployment.pinned_to.add(worker)
    worker.revoke()
    page = reverse("admin:fleet_deployment_change", args=[deployment.pk])
    admin_client.post(page, form(model=deployment.model_id, pinned_workers=[str(worker.pk)]))
    assert list(deployment.pinned_to.all()) == [worker]


def test_labels_are_written_as_one_line_and_shown_as_one(admin_client: Client, form):
    admin_client.post(ADD, form(selector="zone=a, gpu=h100"))
    deployment = Deployment.objects.get()
    page = admin_client.get(reverse("admin:fleet_deployment_change", args=[deployment.pk])).content.decode()
    assert (deployment.selector, "gpu=h100, zone=a" in page) == ({"zone": "a", "gpu": "h100"}, True)


def test_its_own_page_says_worker_by_worker_why_a_replica_has_no_place(
    admin_client: Client, make_worker, make_deployment
):
    gpu = {"kind": "cuda", "name": "H100", "memory_total_bytes": 80 * 2**30, "memory_free_bytes": 9 * 2**30}
    make_worker("box-1", hardware={"devices": [gpu]}, labels={"gpu": "h100"})
    make_worker("box-2")
    deployment = make_deployment(memory_gb=14, selector={"gpu": "h100"})
    page = admin_client.get(reverse("admin:fleet_deployment_change", args=[deployment.pk])).content.decode()
    assert "needs 14.0 GB, 9.0 GB free" in page
    assert "lacks the label gpu=h100" in page


def test_a_deleted_deployment_leaves_no_replica(admin_client: Client, make_worker, make_deployment):
    make_worker()
    deployment = make_deployment()
    reconcile()
    admin_client.post(reverse("admin:fleet_deployment_delete", args=[deployment.pk]), {"post": "yes"})
    assert not Replica.objects.desired().exists()
