"""How lines of the page are put together: blocks, short cuts for numbers, and labels that are kept."""

import json
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from scripted import T0
from test_metrics import page, rich, shown
from tocsin import metrics
from tocsin.core.snapshot import Snapshot
from tocsin.metrics import Exposition, format_values


@pytest.mark.parametrize("block", [1, 2, 3, 4])
@pytest.mark.parametrize("publish", ["essential", "full"])
def test_the_page_is_the_same_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch, block: int, publish: str) -> None:
    views = (shown(), replace(rich(), signal="other"))
    whole = page(*views, publish=publish)
    monkeypatch.setattr(metrics, "_BLOCK", block)
    assert page(*views, publish=publish) == whole


def test_every_chunk_has_whole_lines() -> None:
    for chunk in Exposition(CollectorRegistry(), "full").page(Snapshot(T0, (shown(),))):
        assert chunk == b"" or chunk.endswith(b"\n")


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 1.0, 99.0],
        [0.0, 99.0, 100.0],
        [1.0, 2.5],
        [2.0, -1.0],
        [0.0, -0.0],
        [-0.0, 0.0],
        [3.0],
        [1e15, 1e22],
    ],
)
def test_whole_numbers_are_written_like_any_other(values: list[float]) -> None:
    assert [text.decode() for text in format_values(np.array(values))] == [json.dumps(value) for value in values]


def test_nothing_is_written_of_no_values() -> None:
    assert format_values(np.array([0.0])[:0]) in ([], [b""])


def test_a_resource_that_comes_is_on_the_next_page_and_one_that_goes_is_not() -> None:
    view, made = rich(), Exposition(CollectorRegistry(), "essential")
    first = b"".join(made.page(Snapshot(T0, (view,))))
    live = view.live.copy()
    live[0] = False
    resources = (None, *view.resources[1:])
    gone = b"".join(made.page(Snapshot(T0, (replace(view, version=-1, live=live, resources=resources),))))
    assert b'resource="piano"' in first
    assert b'resource="piano"' not in gone
    assert b'resource="ramp"' in gone
    assert b"".join(made.page(Snapshot(T0, (replace(view, version=-2),)))) == first
