"""Ports that are free, different, never a standard one, and out of the way of outgoing connections."""

import socket
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.errors import LocalCode, LocalError

STANDARD = {4369, 5432, 5671, 5672, 15671, 15672, 25672, 35197}


def test_they_are_different_free_and_out_of_the_way() -> None:
    found = ports.free_ports(50)
    assert len(set(found)) == 50
    assert all(ports.is_free(port) for port in found)
    assert not STANDARD & set(found)
    assert not [port for port in found if port in ports.ephemeral_ports()]


def test_a_port_that_is_listened_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not ports.is_free(taken.getsockname()[1])


def test_one_that_is_listened_on_everywhere_is_not_free_either() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 - what another program may do
        assert not ports.is_free(taken.getsockname()[1])


def test_where_the_kernel_keeps_everything_there_still_are_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = tmp_path / "range"
    everything.write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "LINUX_EPHEMERAL", everything)
    assert len(set(ports.free_ports(4))) == 4


def test_an_unreadable_range_falls_back_to_the_usual_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "LINUX_EPHEMERAL", tmp_path / "nowhere")
    assert ports.ephemeral_ports() == ports.USUAL_EPHEMERAL


def test_none_left_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _port: False)
    with pytest.raises(LocalError) as refused:
        ports.free_ports(1)
    assert refused.value.code is LocalCode.PORT_TAKEN
