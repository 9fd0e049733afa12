"""Views of hosts: each figure shows every piece of a picture at most once, unless it is meant to."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forgery_rcnn.data import images
from forgery_rcnn.data.forge import hosts
from forgery_rcnn.data.forge.hosts import Host
from forgery_rcnn.data.forge.scene import Box

CACHE_BYTES = 400_000_000
COHERENT = 0.9  # of a figure's views are of one family of hosts
SHARP = 1.4  # a host pixel that fills more pixels of a view than this is a blur
MOST_SHRUNK = 2.0  # host pixels per pixel of a view
HOSTS_TRIED, CORNERS_TRIED = 8, 10


class Pool:
    """The decoded pictures of a pool's hosts, as many as CACHE_BYTES hold."""

    def __init__(self, members: Sequence[Host]) -> None:
        self.hosts = tuple(members)
        self.tables = tuple(host.tables for host in members if host.tables)
        # A folder of four hundred must not drown one of five.
        number = Counter(host.family for host in members)
        self.weights = np.array([number[host.family] ** -0.5 for host in members])
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()
        self._bytes = 0

    def pixels(self, host: Host) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        if host.id in self._cache:
            self._cache.move_to_end(host.id)
            return self._cache[host.id]
        found = hosts.read(host.path)
        self._cache[host.id], self._bytes = found, self._bytes + found.nbytes
        while self._bytes > CACHE_BYTES and len(self._cache) > 1:
            self._bytes -= self._cache.popitem(last=False)[1].nbytes
        return found

    def named(self, name: str) -> Host:
        """The host of this id."""
        return next(host for host in self.hosts if host.id == name)


class Views:
    """The views of one figure. Pieces already shown, and other pictures of what they show, are not drawn again."""

    def __init__(self, pool: Pool, rng: np.random.Generator) -> None:
        self.pool, self.rng = pool, rng
        self._shown: dict[int, tuple[str, list[Box]]] = {}
        first = pool.hosts[int(rng.choice(len(pool.hosts), p=pool.weights / pool.weights.sum()))]
        self.family = first.family

    def __call__(self, size: tuple[int, int]) -> tuple[np.ndarray, str]:
        """-> (h, w, 3) uint8 RGB, a piece of a host that was not shown yet, and its id; an empty field where none is left."""
        for host in self._drawn(size, [self.family] if self.rng.random() < COHERENT else None):
            found = self.of(host, size)
            if found is not None:
                return found, host.id
        level, grain = self.rng.uniform(8, 60), self.rng.standard_normal(size) * self.rng.uniform(1.5, 5)
        field = np.clip(level + grain, 0, 255).astype(np.uint8)  # a negative control: nothing but the camera's noise
        return np.repeat(field[..., None], 3, axis=2), ""

    def donor(self, receiver: str, size: tuple[int, int]) -> tuple[np.ndarray, Host] | None:
        """-> (h, w, 3) uint8 RGB of another host of the receiver's family, or of any where it has none; None if none is left."""
        family = Path(receiver).parent.as_posix()
        kin = any(host.family == family and host.id != receiver for host in self.pool.hosts)
        for host in self._drawn(size, [family] if kin else None):
            unfit = host.id == receiver or (kin and host.family != family)
            found = None if unfit else self.of(host, size)
            if found is not None:
                return found, host
        return None

    def _drawn(self, size: tuple[int, int], families: list[str] | None) -> list[Host]:
        """Some hosts in random order, those that stay sharp at this size first, those of other families last."""
        members = self.pool.hosts
        weights = self.pool.weights * [1.0 if families is None or host.family in families else 1e-3 for host in members]
        count = min(HOSTS_TRIED, len(members))
        picked = self.rng.choice(len(members), count, replace=False, p=weights / weights.sum())
        return sorted((members[i] for i in picked), key=lambda host: _enlarged(host.size, size) > SHARP)

    def of(self, host: Host, size: tuple[int, int]) -> np.ndarray | None:
        """-> (h, w, 3) uint8 RGB, the liveliest free piece of this host out of a few, half the time mirrored; None if none."""
        name, shown = self._shown.get(host.group, (host.id, []))
        if name != host.id:
            return None
        pixels = self.pool.pixels(host)
        largest = min(pixels.shape[0] / size[0], pixels.shape[1] / size[1], MOST_SHRUNK)
        factor = float(self.rng.uniform(max(0.5 * largest, min(0.7, largest)), largest)) if not shown else 0.5 * largest
        height, width = max(1, int(size[0] * factor)), max(1, int(size[1] * factor))
        reach = pixels.shape[0] - height + 1, pixels.shape[1] - width + 1
        corners = self.rng.integers(0, reach, (CORNERS_TRIED, 2)).tolist()
        boxes = [(x, y, x + width, y + height) for y, x in corners]
        free = [box for box in boxes if not any(_meet(box, other) for other in shown)][:3]
        if not free:
            return None
        box = max(free, key=lambda box: pixels[box[1] : box[3] : 8, box[0] : box[2] : 8].std())
        self._shown[host.group] = (host.id, [*shown, box])
        piece = pixels[box[1] : box[3], box[0] : box[2]][:, :: self.rng.choice((-1, 1))]
        return images.resized(np.ascontiguousarray(piece), size)


def _enlarged(host: tuple[int, int], size: tuple[int, int]) -> float:
    """How many pixels of a view of `size` one pixel of the host must fill at least."""
    return max(size[0] / host[0], size[1] / host[1])


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
