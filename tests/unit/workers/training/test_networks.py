import numpy as np
import pytest

from services.errors import InvalidRequest
from tests.torch import required

torch = required()

from workers.models.bundle import Bundle  # noqa: E402
from workers.training import networks  # noqa: E402
from workers.training.networks import STAGES, Facenet  # noqa: E402

CPU = torch.device("cpu")


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_cut_at_any_stage_the_network_says_what_the_bundle_says(bundle: Bundle, stage: str) -> None:
    crops, expected = bundle.reference()
    facenet = Facenet(bundle.weights(), stage, CPU)

    through = torch.from_numpy(np.asarray(facenet.through(crops[:2])))
    with torch.no_grad():
        found = facenet.trained(through if stage == "stem" else through.float()).numpy()

    assert float((found * expected[:2]).sum(1).min()) > 0.9999


def test_weights_that_were_not_trained_come_back_as_they_were(bundle: Bundle) -> None:
    weights = bundle.weights()

    back = Facenet(weights, "head", CPU).weights()

    assert back.keys() == weights.keys()
    for name, array in weights.items():
        assert np.allclose(back[name], array, rtol=1e-5, atol=1e-6), name


def test_what_is_trained_is_what_comes_after_the_cut(bundle: Bundle) -> None:
    head, block8 = (Facenet(bundle.weights(), stage, CPU).parameters() for stage in ("head", "block8"))

    assert set(head) == {"last_linear.weight", "last_bn.weight", "last_bn.bias"}
    assert {name.split(".")[0] for name in block8} == {"block8", "last_linear", "last_bn"}


def test_a_step_changes_the_weights_of_the_bundle_and_those_before_the_cut_stay(bundle: Bundle) -> None:
    weights = bundle.weights()
    facenet = Facenet(weights, "head", CPU)
    with torch.no_grad():
        facenet.parameters()["last_linear.weight"].mul_(1.5)

    changed = facenet.weights()

    moved = {name for name, array in changed.items() if not np.allclose(array, weights[name], rtol=1e-4, atol=1e-5)}
    assert moved == {"Bottleneck/weights"}


def test_an_unknown_stage_is_refused_with_those_there_are(bundle: Bundle) -> None:
    with pytest.raises(InvalidRequest, match="no stage 'tail'; its stages are stem, repeat_1"):
        Facenet(bundle.weights(), "tail", CPU)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")

    assert networks.device_of("auto").type == "cpu"
    with pytest.raises(InvalidRequest, match="torch sees no GPU"):
        networks.device_of("cuda")
    with pytest.raises(InvalidRequest, match="no device 'tpu'"):
        networks.device_of("tpu")
