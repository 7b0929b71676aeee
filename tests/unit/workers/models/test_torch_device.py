"""A GPU whose memory ends while a graph is recorded, or at any other time. CUDA is played by a card in this file."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest

from services.errors import CannotStart, DeviceFull
from tests import torch as installed
from workers.faces.batching import NoRoom
from workers.faces.crops import StretchedBox
from workers.faces.embed import Crops, Embedder
from workers.faces.values import Vectors
from workers.models.bundle import Bundle

torch = installed.required()

from workers.models import torch_device, torch_session  # noqa: E402 - torch may be missing.
from workers.models.torch_session import Direct, Replayed  # noqa: E402

BROKEN = "CUDA error: operation failed due to a previous error during capture"
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 76.00 MiB"
FIND = "FIND was unable to find an engine to execute this computation"
GET = "GET was unable to find an engine to execute this computation"
CUBLAS = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
SIZES = (1, 4, 16)


class Card:
    """CUDA as far as recording needs it: a stream, a pool that is allocated from, and faults to order.

    As in torch 2.11, a recording that breaks leaves its stream and its pool in use, and memory cannot be given back then.
    """

    def __init__(self) -> None:
        self.most_recorded, self.most = 10**6, 10**6
        """Crops at once for which there is memory in a recording, and outside of one."""
        self.says: Callable[[], Exception] = lambda: torch.OutOfMemoryError(OUT_OF_MEMORY)
        self.breaks = False
        self.stream, self.recording, self.tried = "outside", False, list[bool]()
        self.pools: list[Any] = []
        self.again: Callable[[], object] = lambda: None
        """What was recorded last."""
        self.recorded = list[int]()
        self.directly = list[int]()

    def network(self, standardised: Any) -> Any:
        """What the crops' first pixels are, 512 times."""
        size = len(standardised)
        if self.recording:
            self.tried.append(torch.backends.cudnn.benchmark)
            self.recorded.append(size)
        if size > (self.most_recorded if self.recording else self.most):
            raise self.says()
        return (standardised[:, 0, :1, 0] * 128 + 127.5).repeat(1, 512)

    @contextmanager
    def graph(self, graph: "Graph", pool: Any) -> Iterator[None]:
        """``torch.cuda.graph``."""
        self.stream, self.recording = "recording", True
        self.pools.append(pool)
        try:
            yield
        except Exception:
            self.recording = False
            if self.breaks:
                raise torch.AcceleratorError(BROKEN)  # noqa: B904 - As C++ raises it: what was before is its context.
            self._ended()
            raise
        self._ended()
        graph.replay = self.again

    def _ended(self) -> None:
        self.recording = False
        self.stream = "outside"
        self.pools.pop()

    def empty_cache(self) -> None:
        """``torch.cuda.empty_cache``."""
        assert not self.pools, "INTERNAL ASSERT: a recording is under way"

    def end(self, _device: int, pool: Any) -> None:
        """``_cuda_endAllocateToPool``."""
        if pool not in self.pools:
            raise RuntimeError("not recording to the pool")
        self.pools.remove(pool)


class Graph:
    """``torch.cuda.CUDAGraph``."""

    replay: Callable[[], object]


class Told(Direct):
    """The network on the card, which tells a graph what to do."""

    def __init__(self, card: Card) -> None:
        super().__init__(card.network, "fp32", "cpu")
        self._card = card

    def vectors(self, pixels: Any, *, tries: bool = True) -> Any:
        """See :meth:`Direct.vectors`."""
        recording = self._card.recording
        found = super().vectors(pixels, tries=tries)
        if recording:
            self._card.again = lambda: found.copy_(Direct.vectors(self, pixels))
        else:
            self._card.directly.append(len(pixels))
        return found


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    """In the place of torch's CUDA."""
    made = Card()
    stream = type("Stream", (), {"wait_stream": lambda *_: None})

    def set_stream(_: object) -> None:
        made.stream = "outside"

    for name, part in {
        "graph_pool_handle": object,
        "CUDAGraph": Graph,
        "graph": made.graph,
        "Stream": stream,
        "stream": lambda _: nullcontext(),
        "current_stream": stream,
        "set_stream": set_stream,
        "current_device": lambda: 0,
        "is_initialized": lambda: True,
        "synchronize": lambda: None,
        "empty_cache": made.empty_cache,
    }.items():
        monkeypatch.setattr(torch.cuda, name, part)
    _without(monkeypatch, "pin_memory")
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", made.end, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", lambda *_: None, raising=False)
    return made


def test_graphs_are_recorded_once_a_size_without_trying_and_replayed(card: Card) -> None:
    replayed = Replayed(Told(card), SIZES)

    for count in (3, 4, 2, 20):
        _right(replayed.run(_crops(count)), count)

    assert card.recorded == [4, 16]
    assert card.tried == [False, False]


@pytest.mark.parametrize("says", [OUT_OF_MEMORY, FIND, GET, CUBLAS])
@pytest.mark.parametrize("breaks", [False, True])
def test_where_memory_does_not_suffice_for_a_graph_the_batch_is_computed_directly(
    card: Card, says: str, *, breaks: bool
) -> None:
    """Whatever the library says of it, and whether or not the recording can still be ended."""
    card.most_recorded, card.breaks, card.says = 4, breaks, lambda: RuntimeError(says)
    replayed = Replayed(Told(card), SIZES)
    replayed.run(_crops(4))

    _right(replayed.run(_crops(16)), 16)

    assert (card.recorded, card.directly[-1]) == ([4, 16], 16)
    assert (card.stream, card.pools) == ("outside", [])
    _right(replayed.run(_crops(16)), 16)
    _right(replayed.run(_crops(3)), 3)
    assert card.recorded == [4, 16] + ([] if breaks else [4])  # What broke once is not tried again.


def test_a_recording_that_breaks_without_a_reason_leaves_it_to_the_direct_way_to_say_one(card: Card) -> None:
    card.most_recorded, card.breaks, card.says = 0, True, lambda: torch.AcceleratorError(BROKEN)

    _right(Replayed(Told(card), SIZES).run(_crops(2)), 2)


def test_where_neither_has_memory_batches_are_halved_and_no_vector_is_lost(card: Card) -> None:
    card.most_recorded = card.most = 5
    embedder = _embedder(Replayed(Told(card), SIZES).run, batch=16)

    _right(embedder.embed(_crops(40)), 40)

    assert embedder.batch == 4
    assert (card.stream, card.pools) == ("outside", [])


def test_a_card_with_no_room_for_one_face_is_said_to_be_full(card: Card) -> None:
    card.most_recorded = card.most = 0

    with pytest.raises(DeviceFull):
        _embedder(Replayed(Told(card), SIZES).run, batch=16).embed(_crops(3))


@pytest.mark.parametrize("breaks", [False, True])
def test_what_is_wrong_in_a_recording_and_is_not_memory_is_raised(card: Card, *, breaks: bool) -> None:
    card.most_recorded, card.breaks, card.says = 0, breaks, lambda: RuntimeError("mismatched shape")

    with pytest.raises(RuntimeError, match="capture" if breaks else "shape") as raised:
        Replayed(Told(card), SIZES).run(_crops(2))

    assert "shape" in str(raised.value.__context__ if breaks else raised.value)
    assert (card.stream, card.pools) == ("outside", [])


def test_tensors_of_a_failed_attempt_are_free_before_memory_is_given_back(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[Any]] = []
    alive: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alive.append(held[0]() is not None))

    def attempt() -> None:
        tensor = torch.ones(3)
        held.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError(OUT_OF_MEMORY)

    with pytest.raises(NoRoom), torch_device.room():
        attempt()

    assert alive == [False]
    assert not card.pools


@pytest.mark.slow
def test_a_precision_that_a_gpu_lacks_is_not_taken_for_a_full_memory(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cuDNN says of a full memory it says of a type that it lacks, too; one face is never too many."""

    def lacking(*_: object) -> None:
        raise RuntimeError(GET)

    _without(monkeypatch, "device")
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *_, **__: module)
    monkeypatch.setattr(torch.nn.functional, "conv2d", lacking)

    with pytest.raises(CannotStart, match=r"bf16: GET was.*COLEGA_VARIANT=auto"):
        torch_session.folded(bundle.weights(), "bf16", "cuda")


def _without(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let ``torch.zeros`` pass over an argument that only makes sense with a GPU."""
    zeros = torch.zeros

    def made(*given: object, **named: object) -> object:
        named.pop(name, None)
        return zeros(*given, **named)

    monkeypatch.setattr(torch, "zeros", made)


def _crops(count: int) -> Crops:
    crops = np.zeros((count, 160, 160, 3), np.uint8)
    crops[:, 0, 0, 0] = np.arange(count) + 1
    return crops


def _right(vectors: Vectors, count: int) -> None:
    np.testing.assert_allclose(vectors[:, 0], np.arange(count) + 1)


def _embedder(run: Callable[[Crops], Vectors], *, batch: int) -> Embedder:
    crop = StretchedBox(160, 160)
    return Embedder(run, digest="", variant="fp16", dimension=512, crop=crop, agreement=1.0, batch=batch)
