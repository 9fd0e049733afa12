"""Views: sharp pieces of hosts, no piece twice in a figure, an empty field where nothing is left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.data import content
from forgery_rcnn.data.forge import views
from forgery_rcnn.data.forge.hosts import Host
from forgery_rcnn.data.forge.views import Pool, Views


def coded(folder: Path, name: str, group: int, size: tuple[int, int] = (200, 300)) -> Host:
    """A host whose every pixel tells its place: red its column, green its row."""
    rows, columns = np.indices(size)
    pixels = np.dstack([columns * 255 // size[1], rows * 255 // size[0], np.full(size, 200)]).astype(np.uint8)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return Host(name, path, size, content.of(pixels), (), group)


def covered(view: np.ndarray) -> set[tuple[int, int]]:
    """Coarse places of the coded host that a view shows, without its rim."""
    inner = view[6:-6, 6:-6, :2] // 8
    return set(map(tuple, inner.reshape(-1, 2).tolist()))


def test_no_piece_is_shown_twice_in_one_figure(tmp_path: Path) -> None:
    pool = Pool([coded(tmp_path, "a/1.png", 0)])
    repeated = 0
    for seed in range(20):
        figure = Views(pool, np.random.default_rng(seed))
        shown = [covered(view) for view, host in (figure((60, 80)) for _ in range(4)) if host]
        assert len(shown) >= 2
        repeated += sum(len(one & other) > 3 for i, one in enumerate(shown) for other in shown[:i])
    assert repeated == 0


def test_other_pictures_of_the_same_thing_are_not_shown_beside_it(tmp_path: Path) -> None:
    pool = Pool([coded(tmp_path, f"a/{number}.png", 0) for number in range(3)])
    for seed in range(20):
        figure = Views(pool, np.random.default_rng(seed))
        assert len({host for _, host in (figure((60, 80)) for _ in range(5)) if host}) == 1


def test_an_empty_field_takes_the_place_of_what_is_not_there(tmp_path: Path) -> None:
    figure = Views(Pool([coded(tmp_path, "a/1.png", 0)]), np.random.default_rng(0))
    found = [figure((180, 280)) for _ in range(4)]
    assert found[0][1] == "a/1.png" and found[-1][1] == ""
    empty = found[-1][0]
    assert empty.shape == (180, 280, 3) and empty.dtype == np.uint8 and 0.5 < empty.std() < 8


def test_a_figure_is_mostly_of_one_family(tmp_path: Path) -> None:
    pool = Pool(
        [coded(tmp_path, f"{family}/{number}.png", 10 * family + number) for family in range(3) for number in range(6)]
    )
    same = []
    for seed in range(40):
        figure = Views(pool, np.random.default_rng(seed))
        same += [Path(host).parent.as_posix() == figure.family for _, host in (figure((50, 50)) for _ in range(3))]
    assert 0.75 < np.mean(same) < 1


def test_large_families_do_not_drown_small_ones(tmp_path: Path) -> None:
    pool = Pool([coded(tmp_path, f"big/{n}.png", n) for n in range(36)] + [coded(tmp_path, "small/1.png", 99)])
    share = np.mean([Views(pool, np.random.default_rng(seed)).family == "small" for seed in range(600)])
    assert 1 / 37 * 2 < share < 0.3  # 1 in 7 by the root of the numbers


def test_donors_are_other_hosts(tmp_path: Path) -> None:
    hosts = [coded(tmp_path, f"a/{number}.png", number) for number in range(3)]
    for seed in range(10):
        figure = Views(Pool(hosts), np.random.default_rng(seed))
        _, receiver = figure((60, 80))
        found = figure.donor(receiver, (60, 80))
        assert found is not None and found[1].id != receiver and found[0].shape == (60, 80, 3)
    lonely = Views(Pool(hosts[:1]), np.random.default_rng(0))
    assert lonely.donor("a/0.png", (60, 80)) is None


def test_the_cache_forgets_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "CACHE_BYTES", 2 * 200 * 300 * 3)
    hosts = [coded(tmp_path, f"a/{number}.png", number) for number in range(3)]
    pool = Pool(hosts)
    read: list[str] = []
    original = views.hosts.read
    monkeypatch.setattr(views.hosts, "read", lambda path: read.append(path.name) or original(path))
    for host in (hosts[0], hosts[1], hosts[0], hosts[2], hosts[0], hosts[1]):
        pool.pixels(host)
    assert read == ["0.png", "1.png", "2.png", "1.png"]
