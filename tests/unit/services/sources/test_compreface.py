"""CompreFace's dump: read as a stream, whatever is in it."""

from pathlib import Path

import pytest

from services.errors import InvalidRequest, PhotoRefused
from services.sources.compreface import DEMO_KEY, of_dump
from services.sources.entries import Entry, Limits

KEY, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) + b"\\\t\n\r"


def _uuid(number: int) -> str:
    return f"{number:08d}-0000-0000-0000-000000000000"


def _block(table: str, columns: str, rows: list[list[str]]) -> str:
    lines = "".join("\t".join(row) + "\n" for row in rows)
    return f"--\n-- Data for Name: {table}; Type: TABLE DATA; Schema: public\n--\n\nCOPY public.{table} ({columns}) FROM stdin;\n{lines}\\.\n\n\n"


def _dump(
    subjects: list[list[str]], embeddings: list[list[str]], photos: list[list[str]], encoding: str = "UTF8"
) -> bytes:
    """As pg_dump writes it: tables by name, so that subjects come last."""
    text = f"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET statement_timeout = 0;\nSET client_encoding = '{encoding}';\n\n"
    text += _block("embedding", "id, subject_id, embedding, calculator, img_id", embeddings)
    text += _block("img", "id, content", photos)
    models = [["0", "Demo", DEMO_KEY], ["1", "Front door", KEY], ["2", "Office", OTHER]]
    text += _block("model", "id, name, api_key", models)
    text += _block("subject", "id, api_key, subject_name", subjects)
    text += "--\n-- PostgreSQL database dump complete\n--\n"
    return text.encode("latin-1" if encoding == "LATIN1" else "utf-8")


def _embedding(number: int, subject: int, photo: int | None) -> list[str]:
    return [_uuid(number), _uuid(subject), "{0.1,-0.2}", "facenet", "\\N" if photo is None else _uuid(photo)]


def _hex(data: bytes) -> str:
    return "\\\\x" + data.hex()


def _written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "compreface.sql"
    path.write_bytes(data)
    return path


def _one(tmp_path: Path, name: str = "Ana", **more: str) -> Path:
    return _written(tmp_path, _dump([[_uuid(1), KEY, name]], [_embedding(5, 1, 9)], [[_uuid(9), _hex(JPEG)]], **more))


def test_photos_are_read_with_the_names_of_whom_they_show(tmp_path: Path) -> None:
    found = of_dump(_one(tmp_path))

    [entry] = found.listed
    assert entry.path == f"Ana/{_uuid(9)}.jpeg"
    assert found.shown[entry.path].person == "Ana"
    assert entry.read() == JPEG


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("José Núñez", "José Núñez"),
        ("tab\\there", "tab\there"),
        ("back\\\\slash/and\\nmore", "back\\slash/and\nmore"),
        ("octal\\101", "octalA"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ("'; DROP TABLE subject; --", "'; DROP TABLE subject; --"),
    ],
)
def test_names_are_read_as_postgresql_means_them(tmp_path: Path, written: str, name: str) -> None:
    found = of_dump(_one(tmp_path, written))

    [entry] = found.listed
    assert found.shown[entry.path].person == name
    assert entry.path.count("/") == 1


def test_other_encodings_are_read(tmp_path: Path) -> None:
    [shown] = of_dump(_one(tmp_path, "José", encoding="LATIN1")).shown.values()
    assert shown.person == "José"
    with pytest.raises(InvalidRequest, match="--encoding=UTF8"):
        of_dump(_one(tmp_path, encoding="EUC_JP"))


def test_bytes_in_the_older_form_with_escapes_are_read(tmp_path: Path) -> None:
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte != 92 else "\\\\\\\\" if byte == 92 else f"\\\\{byte:03o}"
        for byte in JPEG
    )
    path = _written(tmp_path, _dump([[_uuid(1), KEY, "Ana"]], [_embedding(5, 1, 9)], [[_uuid(9), escaped]]))

    assert [entry.read() for entry in of_dump(path).listed] == [JPEG]


def test_who_has_no_photo_is_listed_as_such(tmp_path: Path) -> None:
    subjects = [[_uuid(n), KEY, name] for n, name in enumerate(("Ana", "Berta", "Carla"), 1)]
    embeddings = [_embedding(5, 1, 9), _embedding(6, 1, None), _embedding(7, 2, None)]
    found = of_dump(_written(tmp_path, _dump(subjects, embeddings, [[_uuid(9), _hex(JPEG)]])))

    refused = {found.shown[e.path].person: e.refused.reason for e in found.listed if e.refused is not None}
    assert refused == {"Ana": "missing_file", "Berta": "missing_file", "Carla": "missing_file"}
    assert [found.shown[entry.path].person for entry in found.listed if entry.refused is None] == ["Ana"]


def test_of_several_services_one_is_chosen_and_the_demo_never_counts(tmp_path: Path) -> None:
    subjects = [[_uuid(1), KEY, "Ana"], [_uuid(2), OTHER, "Berta"], [_uuid(3), DEMO_KEY, "Somebody"]]
    path = _written(tmp_path, _dump(subjects, [_embedding(5, 1, 9), _embedding(6, 2, 9)], [[_uuid(9), _hex(JPEG)]]))

    with pytest.raises(InvalidRequest, match=rf"Front door \({KEY}\), Office \({OTHER}\)"):
        of_dump(path)
    assert [shown.person for shown in of_dump(path, OTHER).shown.values()] == ["Berta"]
    with pytest.raises(InvalidRequest, match="no subjects"):
        of_dump(path, "33333333-3333-3333-3333-333333333333")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"PGDMP\x01\x0e\x00", "pg_restore --file"),
        (bytes(257) + b"ustar\x0000", "pg_restore --file"),
        (b"\x1f\x8b\x08\x00", "gunzip"),
        (b"INSERT INTO public.subject VALUES (1);\n", "--inserts"),
        (b"CREATE TABLE public.other ();\n", "lacks the tables embedding, img, subject"),
        (b"COPY public.subject (id, name) FROM stdin;\n1\tAna\n\\.\n", "another version"),
        (b"", "lacks the tables"),
    ],
)
def test_other_formats_are_refused_with_what_mends_them(tmp_path: Path, data: bytes, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        of_dump(_written(tmp_path, data))


def test_a_dump_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    whole = _one(tmp_path).read_bytes()
    for end in (whole.index(_hex(JPEG).encode()) + 20, whole.index(b"Ana") + 2, whole.index(b"Ana") + 4):
        with pytest.raises(InvalidRequest, match=r"cut short|lacks the tables"):
            of_dump(_written(tmp_path, whole[:end]))


def test_a_damaged_or_huge_photo_is_refused_alone(tmp_path: Path) -> None:
    photos = [[_uuid(8), _hex(JPEG)], [_uuid(9), "\\\\xzz"]]
    subjects, embeddings = [[_uuid(1), KEY, "Ana"]], [_embedding(5, 1, 8), _embedding(6, 1, 9)]
    path = _written(tmp_path, _dump(subjects, embeddings, photos))
    fine, damaged = of_dump(path).listed
    [huge, _] = of_dump(path, limits=Limits(entry_bytes=10)).listed

    assert fine.read() == JPEG
    assert _refusal(damaged) == "truncated"
    assert _refusal(huge) == "too_large"


def _refusal(entry: Entry) -> str:
    with pytest.raises(PhotoRefused) as refused:
        entry.read()
    return refused.value.reason.value
