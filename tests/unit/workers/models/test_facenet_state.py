"""FaceNet's weights as facenet-pytorch keeps them, and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.errors import InvalidModel
from workers.models import casia_webface, facenet_layers, facenet_state, safetensors, sources
from workers.models.bundle import Bundle
from workers.models.sources import Brought

State = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def state(bundle: Bundle) -> State:
    """The default model's."""
    return dict(facenet_state.state_of(bundle.weights()))


def test_the_layers_are_those_of_the_frozen_graph() -> None:
    """Node by node, so a network made from a state dict is the one that is translated."""
    translated = casia_webface.network()

    ours = {node.name: node.SerializeToString(deterministic=True) for node in facenet_layers.nodes()}

    assert ours == {node.name: node.SerializeToString(deterministic=True) for node in translated.nodes}
    shapes = {layer.name: layer.shape for layer in facenet_layers.layers().values()}
    assert shapes == {
        name.removesuffix("/weights"): array.shape
        for name, array in translated.weights.items()
        if name.endswith("/weights")
    }


def test_a_state_dict_has_the_tensors_of_facenet_pytorch(state: State) -> None:
    assert {name: array.shape for name, array in state.items()} == facenet_state.expected_shapes()
    assert len(state) == 602


def test_weights_come_back_from_a_state_dict(state: State, bundle: Bundle) -> None:
    """But for the last rounding."""
    weights, back = bundle.weights(), facenet_state.network_of(state).weights

    assert weights.keys() == back.keys()
    for name, array in weights.items():
        np.testing.assert_allclose(back[name], array, rtol=0, atol=2e-7 * np.abs(array).max(), err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["casia-webface", "vggface2"])
def test_facenet_pytorch_says_what_the_bundle_says(
    which: str, bundle: Bundle, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Its own class with the state dict, against ONNX with the folded weights."""
    from tests.torch import required

    torch = required()
    from facenet_pytorch import InceptionResnetV1

    if which == "vggface2":
        path: Path = request.getfixturevalue("shared") / "models" / "vggface2.safetensors"
        weights = safetensors.read(path)
        opened = sources.bundle_of(Brought(path, which, path.name), tmp_path / which)
    else:
        weights, opened = facenet_state.state_of(bundle.weights()), bundle
    crops, _ = opened.reference()
    network = InceptionResnetV1(pretrained=None).eval()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, strict=False)

    with torch.no_grad():
        theirs = network((torch.from_numpy(crops).permute(0, 3, 1, 2).float() - 127.5) / 128).numpy()

    assert (theirs * opened.embedder("fp32").embed(crops)).sum(1).min() > 0.9999


def test_a_classifier_and_counters_are_passed_over(state: State) -> None:
    more = state | {
        "logits.weight": np.zeros((8631, 512), np.float16),
        "logits.bias": np.zeros(8631),
        "last_bn.num_batches_tracked": np.array(7),
    }

    assert facenet_state.network_of(more).weights.keys() == facenet_state.network_of(state).weights.keys()


@pytest.mark.parametrize(
    ("name", "array", "told"),
    [
        ("repeat_2.3.conv2d.weight", np.zeros((896, 128, 1, 1), np.float32), r"\(896, 128, 1, 1\)"),
        ("mixed_6a.branch1.2.conv.weight", np.full((256, 192, 3, 3), np.nan, np.float32), "not finite"),
        ("last_bn.running_var", np.full(512, -1, np.float32), "negative variance"),
        ("conv2d_1a.bn.bias", np.zeros(32, np.int64), "int64"),
        ("conv2d_9z.conv.weight", np.zeros(3, np.float32), "no place"),
    ],
)
def test_a_tensor_that_is_not_facenets_is_named(state: State, name: str, array: NDArray[Any], told: str) -> None:
    with pytest.raises(InvalidModel, match=f"{name}.*{told}"):
        facenet_state.network_of(state | {name: array})


def test_another_networks_weights_are_told_apart() -> None:
    """And the way to add them is told."""
    with pytest.raises(InvalidModel, match=r"602 of its 602 tensors are missing.*ONNX"):
        facenet_state.network_of({"layer1.0.conv1.weight": np.zeros((64, 3, 7, 7), np.float32)})


def test_weights_that_are_not_facenets_have_no_state_dict(bundle: Bundle) -> None:
    weights = bundle.weights()
    del weights["Block8/Conv2d_1x1/biases"]

    with pytest.raises(InvalidModel, match="Block8/Conv2d_1x1/biases"):
        facenet_state.state_of(weights)
