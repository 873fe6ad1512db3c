"""What a worker says of its machine."""

from workers.hardware import parse_nvidia_smi, read_hardware

TABLE = """0, NVIDIA H200, 143771, 143220
1, NVIDIA H200, 143771, 20
2, NVIDIA GB10, [N/A], [N/A]
"""


def test_each_gpu_with_its_memory_in_bytes():
    first, second = parse_nvidia_smi(TABLE)
    assert (first.name, first.kind, first.memory_total_bytes) == ("NVIDIA H200 (0)", "cuda", 143771 * 2**20)
    assert second.memory_free_bytes == 20 * 2**20


def test_what_a_broken_driver_says_is_no_gpu():
    assert parse_nvidia_smi("No devices were found\n") == []


def test_a_machine_without_a_gpu_has_its_cpu(tmp_path):
    hardware = read_hardware(tmp_path)
    assert hardware.devices[-1].kind == "cpu"
    assert 0 < hardware.devices[-1].memory_free_bytes <= hardware.devices[-1].memory_total_bytes
