"""Hosts: what is usable, what shows the same, and pools that share no picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from forgery_rcnn.data import content
from forgery_rcnn.data.forge import hosts
from forgery_rcnn.data.forge.hosts import Host

RNG = np.random.default_rng(0)


def test_every_picture_below_the_folder_is_a_host(found: list[Host], host_folder: Path) -> None:
    assert len(found) == 12 and {host.family for host in found} == {"round", "flat"}
    assert all((host_folder / host.id).is_file() and host.size == (420, 560) for host in found)


def test_jpeg_hosts_bring_their_tables(found: list[Host]) -> None:
    for host in found:
        assert bool(host.tables) == host.id.endswith(".jpg")
        assert all(len(table) == 64 for table in host.tables)


UNUSABLE = {
    "small.png": (RNG.integers(0, 255, (60, 400, 3)).astype(np.uint8), "too small"),
    "label.png": (np.where(RNG.random((200, 200)) > 0.5, 255, 0).astype(np.uint8), "2 grey levels"),
    "flat.png": (RNG.integers(120, 126, (200, 200)).astype(np.uint8), "empty field"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_is_no_host_is_left_out_in_one_line(name: str, tmp_path: Path) -> None:
    pixels, why = UNUSABLE[name]
    Image.fromarray(pixels).save(tmp_path / name)
    Image.fromarray(RNG.integers(0, 255, (200, 200, 3)).astype(np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    usable, refused = hosts.scan(tmp_path, hosts.files_of(tmp_path), 1)
    assert [host.id for host in usable] == ["good.png"]
    assert len(refused) == 2 and all(len(line.splitlines()) == 1 for line in refused)
    assert any(name in line and why in line for line in refused) and any("broken.jpg" in line for line in refused)


def test_a_folder_without_hosts_is_refused(tmp_path: Path, refused) -> None:
    with refused("gone", "no such folder"):
        hosts.files_of(tmp_path / "gone")
    with refused("no image in it", ".png"):
        hosts.files_of(tmp_path)
    Image.fromarray(np.zeros((200, 200), np.uint8)).save(tmp_path / "black.png")
    with refused("none of its 1 images", "black.png"):
        hosts.scan(tmp_path, hosts.files_of(tmp_path), 1)


def test_hidden_files_and_folders_are_not_looked_at(tmp_path: Path) -> None:
    for name in ("a.png", ".b.png", ".cache/c.png", "deep/er/d.TIF"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in hosts.files_of(tmp_path)] == ["a.png", "d.TIF"]


def test_sixteen_bit_and_dark_pictures_are_shown_bright(tmp_path: Path) -> None:
    dark = RNG.integers(200, 900, (200, 200)).astype(np.uint16)
    Image.fromarray(dark).save(tmp_path / "dark.tif")
    Image.fromarray(RNG.integers(0, 30, (200, 200)).astype(np.uint8)).save(tmp_path / "dim.png")
    for name in ("dark.tif", "dim.png"):
        pixels = hosts.read(tmp_path / name)
        assert pixels.dtype == np.uint8 and pixels.max() > 200 and len(np.unique(pixels)) > 100


def made(families: list[int]) -> list[Host]:
    """Hosts that show different things, of these families."""
    shows = [content.of(np.random.default_rng(i).integers(0, 255, (64, 64, 3)).astype(np.uint8)) for i in range(40)]
    return [Host(f"{family}/{i}.png", Path(f"{i}.png"), (100, 100), shows[i]) for i, family in enumerate(families)]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_pools_deal_every_host_once_and_spread_every_family(families: list[int]) -> None:
    given_hosts = made(families)
    pools = hosts.pools(given_hosts)
    assert sorted(host.id for pool in pools for host in pool) == sorted(host.id for host in given_hosts)
    assert len(pools) == max(1, min(hosts.MOST_POOLS, len(families) // hosts.PER_POOL))
    for family in set(families):
        counts = [sum(host.family == str(family) for host in pool) for pool in pools]
        assert max(counts) - min(counts) <= 1


def test_pictures_that_show_the_same_are_in_one_pool_and_one_group() -> None:
    given_hosts = made([0] * 30)
    twins = [replace(host, id=f"1/{host.id}") for host in given_hosts[:10]]
    for pool in hosts.pools(given_hosts + twins):
        names = {host.id for host in pool}
        assert all((f"1/{host.id}" in names) == (host.id in names) for host in given_hosts[:10])
        groups = {host.id: host.group for host in pool}
        assert all(groups[name] == groups[f"1/{name}"] for name in groups if f"1/{name}" in groups)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 10, 20])
def test_parts_share_no_pool(count: int) -> None:
    parts = hosts.parts(count)
    numbers = [number for found in parts.values() for number in found]
    assert sorted(numbers) == list(range(count)) and all(parts.values())
    assert list(parts) == (["train", "validation", "test"] if count >= 3 else ["train"])
