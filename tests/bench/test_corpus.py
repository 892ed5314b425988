import shutil

import pytest
from PIL import Image

from bench import corpus
from fixtures.images import DATA, encoded, gif, photo

FILES = ["rocket.jpg", "exif-Portrait_8.jpg", "png-rgb-depth-2.png", "raw.dng", "coffee.png"]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in FILES:
        shutil.copy(DATA / name, folder)
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_folder_is_compared_with_another_decoder_and_the_worst_are_drawn(
    folder, tmp_path, capsys
):
    corpus.main([str(folder), "--sheet", str(tmp_path / "worst.png")])

    lines = capsys.readouterr().out.splitlines()
    assert "| jpg | 2 | 0 | 0 | 0 | 0 | 0 | 0 |" in lines
    assert "| png | 1 | 0 | 0 | 0 | 0 | 1 | 0 |" in lines
    assert any(line.startswith("only ours refuses: raw.dng: unsupported") for line in lines)
    assert any(line.startswith("both refuse: notes.txt: not_an_image") for line in lines)
    with Image.open(tmp_path / "worst.png") as drawn:
        assert drawn.height == 3 * (corpus.SIDE + 16)


async def test_a_picture_that_another_decoder_reads_differently_is_reported(folder, monkeypatch):
    (folder / "one.png").write_bytes(encoded(photo(90, 60)))
    monkeypatch.setattr(corpus, "reference", lambda data: Image.new("RGB", (90, 60), "white"))

    judgements = await corpus.run(corpus.files(folder))

    assert {j.path.name: j.verdict for j in judgements}["one.png"] == corpus.DIFFERS
    assert {j.path.name: j.verdict for j in judgements}["exif-Portrait_8.jpg"] == corpus.SIZE


async def test_missing_or_oversized_files_are_reported_and_the_others_compared(tmp_path):
    (tmp_path / "bomb.gif").write_bytes(b"GIF89a" + b"\xff" * 4 + gif()[10:])
    (tmp_path / "one.png").write_bytes(encoded(photo(30, 20)))

    judgements = await corpus.run([tmp_path / "gone.png", *corpus.files(tmp_path)])

    assert [each.verdict for each in judgements] == [
        corpus.BOTH_REFUSE,
        corpus.BOTH_REFUSE,
        corpus.AGREES,
    ]
    assert judgements[0].note == "can't be opened: No such file or directory"


def test_a_path_that_is_not_a_folder_is_a_usage_error(tmp_path, capsys):
    with pytest.raises(SystemExit):
        corpus.main([str(tmp_path / "none")])

    assert "is no folder" in capsys.readouterr().err
