"""The network alone: what the card can do, faces a second, what each step gains, and how well results agree."""

import time
from collections.abc import Iterator
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_pipeline.bench import PEER, Bench
from benchmarks.machine import Row
from workers.faces.values import Vectors
from workers.models import torch_facenet, torch_session
from workers.models.torch_session import Direct, Precision

AS_IT_COMES = f"{PEER}, float32 as it comes"
"""torch lets cuDNN round the products of float32 convolutions to TF32, and facenet-pytorch leaves that as it is."""

PRECISIONS: tuple[Precision, ...] = ("fp32", "tf32", "bf16", "fp16")


def card(bench: Bench) -> Iterator[Row]:
    """How fast the card multiplies two large bf16 matrices, and what one face costs."""
    side = 512 if bench.quick else 8192
    a, b = (torch.randn(side, side, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    yield Row("this card", f"bf16 TFLOP/s, {side}x{side}x{side}", 2 * side**3 / bench.seconds(lambda: a @ b) / 1e12)
    network = torch_facenet.module(bench.weights)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 160, 160))
    yield Row("this card", "GFLOP a face", counter.get_total_flops() / 1e9)


def embedding(bench: Bench) -> Iterator[Row]:
    """Faces a second with the crops on the card already; last with the way there and back."""
    network = bench.peer()
    for size in bench.batches:
        crops = bench.standardised(size)
        with torch.no_grad():
            yield Row(AS_IT_COMES, f"{size}", size / bench.seconds(partial(network, crops)))
    for precision in _measured(bench):
        made = bench.folded(precision)
        yield Row(f"ours, {precision}", "layers at once", float(made.body[0].at_once))
        direct = Direct(made, precision, bench.device)
        for size in bench.batches:
            yield Row(f"ours, {precision}", f"{size}", size / bench.seconds(bench.replay(direct, size)))
    best = torch_session.network(bench.weights, precision=bench.best, device=bench.device)
    for size in bench.batches:
        pixels = bench.repeated(size)
        yield Row(f"ours, {bench.best}, from and to memory", f"{size}", size / bench.wall(partial(best, pixels)))


def share(bench: Bench, found: dict[str, list[Row]]) -> Iterator[Row]:
    """Of the card's bf16 peak, in percent."""
    rates, costs = found.get("Faces a second by batch", []), found.get("The card", [])
    if len(costs) < 2 or not rates:
        return
    peak, face = costs[0].value or 1.0, costs[1].value or 0.0
    for row in rates:
        if "memory" not in row.case and row.metric == f"{max(bench.batches)}":
            yield Row(row.case, "% of bf16 peak", 100 * (row.value or 0.0) * face / 1000 / peak)


def ways(bench: Bench) -> Iterator[Row]:
    """What each step towards the fastest way gains, in fp16."""
    if bench.device == "cpu":
        return
    sizes = (1, 32, 256)
    plain = bench.peer().to(memory_format=torch.channels_last)
    for name, dtype in (("channels last, autocast", torch.float32), ("channels last, half", torch.float16)):
        plain = plain.to(dtype)
        for size in sizes:
            crops = bench.standardised(size).contiguous(memory_format=torch.channels_last).to(dtype)
            with torch.no_grad(), torch.autocast(bench.device, torch.float16, enabled=dtype == torch.float32):
                yield Row(name, f"{size}", size / bench.seconds(partial(plain, crops)))
    for at_once in (False, True):
        direct = Direct(bench.folded("fp16", at_once=at_once), "fp16", bench.device)
        name = "folded, convolution and rectifier at once" if at_once else "folded"
        for size in sizes:
            pixels = torch.from_numpy(bench.repeated(size)).to(bench.device)
            with torch.inference_mode():
                rate = size / bench.seconds(partial(direct.vectors, pixels))
            yield Row(name, f"{size}", rate)
            yield Row(f"{name}, CUDA graph", f"{size}", size / bench.seconds(bench.replay(direct, size)))


def compiled(bench: Bench) -> Iterator[Row]:
    """What torch.compile makes of it, and how long that takes."""
    if bench.quick:
        return
    started = time.perf_counter()
    network = torch.compile(bench.folded("fp16", at_once=False), dynamic=False)
    size = 256
    rate = size / bench.seconds(bench.replay(Direct(network, "fp16", bench.device), size))
    yield Row("folded, torch.compile, CUDA graph", f"{size}", rate)
    yield Row("folded, torch.compile, CUDA graph", "seconds to compile", time.perf_counter() - started)


def agreement(bench: Bench) -> Iterator[Row]:
    """The least cosine to what the processor computes in float32, over real crops."""
    with torch.no_grad():
        crops = (torch.from_numpy(bench.crops).permute(0, 3, 1, 2).float() - 127.5) / 128
        expected = torch_facenet.module(bench.weights)(crops).numpy()
        theirs = bench.peer()(crops.to(bench.device)).cpu().numpy()
    yield Row(AS_IT_COMES, "1 - least cosine", 1 - least(theirs, expected))
    on_processor: tuple[Precision, ...] = ("fp32", "bf16")  # fp16 takes minutes there.
    for precision in PRECISIONS if bench.device == "cuda" else on_processor:
        run = torch_session.network(bench.weights, precision=precision, device=bench.device)
        yield Row(f"ours, {precision}", "1 - least cosine", 1 - least(run(bench.crops), expected))


def _measured(bench: Bench) -> tuple[Precision, ...]:
    return PRECISIONS if bench.device == "cuda" else PRECISIONS[:1]


def least(found: Vectors, expected: Vectors) -> float:
    """The least cosine of two sets of vectors, row by row."""
    return float((found * expected).sum(1).min())
