import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

# As `python -m workers.tasks.alone`, with a verb of this test in the place of the evaluation's.
PROGRAM = """
import os, sys
from workers import computing
from workers.tasks import alone

def verb(wanted, bench):
    bench.tell({"stage": "counting", "done": 1, "total": 3, "loss": float("nan")})
    print("what a library prints")
    checkpoint = bench.folder / "checkpoint"
    if wanted.get("dies") and not checkpoint.exists():
        checkpoint.write_text("2")
        os.kill(os.getpid(), 9)
    made = bench.folder / "made.txt"
    made.write_text("it")
    bench.keep("it.txt", made)
    return {"resumed": checkpoint.exists(), "size": "x" * wanted.get("size", 0)}

computing.verb_of = lambda kind: verb
sys.exit(alone.main())
"""


def alone(request: Any, data: Path, program: str = PROGRAM) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "COLEGA_DATA": str(data)}
    return subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(request),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_progress_is_lines_and_the_result_one_document(tmp_path: Path) -> None:
    done = alone({"kind": "evaluation", "wanted": {"size": 200_000}, "output": str(tmp_path / "out")}, tmp_path)

    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert '{"progress": {"stage": "counting", "done": 1, "total": 3, "loss": null}}\n' in done.stderr
    assert result["files"] == {"it.txt": str(tmp_path / "out" / "it.txt")}
    assert len(result["size"]) == 200_000
    assert not list((tmp_path / "computing").iterdir())


def test_killed_and_started_again_it_goes_on_from_where_it_was(tmp_path: Path) -> None:
    request = {"kind": "training", "wanted": {"dies": True}, "output": str(tmp_path / "out")}

    killed, again = alone(request, tmp_path), alone(request, tmp_path)

    assert killed.returncode == -9
    assert json.loads(again.stdout)["resumed"] is True


def test_the_same_is_not_computed_twice_at_once(tmp_path: Path) -> None:
    waits = PROGRAM.replace('print("what a library prints")', "input_ = open(wanted['fifo']).read()")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    request = {"kind": "training", "wanted": {"fifo": str(fifo)}, "output": str(tmp_path / "out")}
    environment = {"PATH": os.environ["PATH"], "COLEGA_DATA": str(tmp_path)}
    command = [sys.executable, "-c", waits]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdin.write(json.dumps(request))
        first.stdin.close()
        with fifo.open("w"):  # The first is at work, and has what it waits for when this is closed.
            second = alone(request, tmp_path, waits)
        answered = first.stdout.read()

    assert (first.returncode, second.returncode) == (0, 2)
    assert "by another process" in second.stderr
    assert json.loads(answered)["resumed"] is False


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"kind": "magic", "wanted": {}}, "Standard input: a JSON object with kind"),
        ("nonsense", "Standard input: a JSON object with kind"),
        ({"kind": "evaluation", "wanted": {"dataset": "/nowhere"}, "output": "out"}, "There is no directory /nowhere."),
    ],
)
def test_a_refusal_is_a_line_with_its_sentence(tmp_path: Path, request_: Any, said: str) -> None:
    done = alone(request_, tmp_path, "import sys; from workers.tasks import alone; sys.exit(alone.main())")

    told = json.loads(done.stderr.splitlines()[-1])
    assert done.returncode == 2
    assert said in told["error"]
    assert done.stdout == ""


def test_without_torch_a_training_says_how_to_install_it_here(tmp_path: Path) -> None:
    program = "import sys; sys.modules['torch'] = None\nfrom workers.tasks import alone\nsys.exit(alone.main())"
    request = {"kind": "training", "wanted": {"method": "triplet", "dataset": str(tmp_path)}, "output": str(tmp_path)}

    done = alone(request, tmp_path, program)

    assert done.returncode == 3
    assert "torch is not installed. Run: make -C " in json.loads(done.stderr.splitlines()[-1])["error"]
