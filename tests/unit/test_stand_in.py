import subprocess
import sys

import pytest

from tests.torch import required

torch = required()
pytestmark = pytest.mark.slow  # Importing torch alone takes seconds.


def test_facenet_pytorch_can_be_imported_as_its_users_do() -> None:
    from facenet_pytorch import MTCNN

    assert MTCNN(device="cpu").pnet is not None


def test_the_product_needs_no_torchvision() -> None:
    program = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from workers.models import torch_facenet\n"
        "torch_facenet.architecture(); print('facenet_pytorch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.stdout == "False\n", done.stderr


def test_the_stand_in_does_what_facenet_pytorch_calls_of_torchvision() -> None:
    import numpy as np

    from tests.stand_in.torchvision.ops.boxes import batched_nms
    from tests.stand_in.torchvision.transforms.functional import to_tensor

    boxes = torch.tensor([[0, 0, 10, 10], [1, 1, 11, 11], [1, 1, 11, 11], [20, 20, 30, 30]], dtype=torch.float32)
    scores, groups = torch.tensor([0.8, 0.9, 0.7, 0.6]), torch.tensor([0, 0, 1, 0])
    photo = np.arange(24, dtype=np.float32).reshape(2, 4, 3)

    stay = batched_nms(boxes, scores, groups, 0.5)

    assert stay.tolist() == [1, 2, 3]
    assert to_tensor(photo).shape == (3, 2, 4)
    assert to_tensor(photo)[1, 0, 2] == photo[0, 2, 1]
    assert to_tensor(np.full((1, 1, 3), 255, np.uint8)).max() == 1
