"""Synthetic media of Greatest Hits: layout, contents, continuing after an interruption, refusing other folders."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from model.errors import TrainingError
from tests.waiting import within
from training.data.greatest_hits import Event
from training.synthesis.greatest_hits_media import synthesize_greatest_hits
from training.synthesis.videos import (
    VideoOptions,
    encode_video,
    pictures,
    recorded_outdoors,
    sound_track,
    write_video,
)

RATE = 16_000
OPTIONS = VideoOptions(seed=1, sample_rate=RATE, width=96, height=64, fps=2)
WHOLE, FIRST_CUT, SECOND_CUT, UNLABELLED = (
    "2015-02-16-16-49-06",
    "2015-09-24-16-38-42-1",
    "2015-09-24-16-38-42-2",
    "2015-03-01-10-00-00",
)
LABELS = {
    WHOLE: "0.8 wood hit static\n2.2 metal hit None\n3.4 wood scratch rigid-motion\n",
    FIRST_CUT: "0.5 leaf hit scatter\n1.9 dirt scratch deform\n",
    SECOND_CUT: "0.7 leaf scratch scatter\n2.1 dirt hit deform\n3.0 None hit None\n",
    UNLABELLED: "0.4 None None None\n1.2 None hit None\n",
}


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    folder = tmp_path / "annotations"
    folder.mkdir()
    for video_id, text in LABELS.items():
        (folder / f"{video_id}_times.txt").write_text(text)
    (folder / "train.txt").write_text(f"{WHOLE}\n{FIRST_CUT}\n")
    (folder / "test.txt").write_text(f"{SECOND_CUT}\n")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def level(samples: np.ndarray, start: float, end: float) -> float:
    return float(np.sqrt(np.mean(samples[int(start * RATE) : int(end * RATE)] ** 2)))


def test_layout_is_that_of_the_dataset(annotations: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = synthesize_greatest_hits(annotations, out, OPTIONS, workers=1)
    assert sorted(done.written) == sorted(LABELS)
    suffixes = ("_denoised.wav", "_denoised.mp4", "_times.txt")
    expected = {f"{video_id}{suffix}" for video_id in LABELS for suffix in suffixes}
    assert set(contents(out)) == expected | {"train.txt", "test.txt", "synthesis.json"}
    assert (out / "train.txt").read_text() == f"{WHOLE}\n{FIRST_CUT}\n"
    assert (out / f"{WHOLE}_times.txt").read_text() == LABELS[WHOLE]
    for video_id, text in LABELS.items():
        seconds = float(text.strip().splitlines()[-1].split()[0]) + 1.5
        wav = out / f"{video_id}_denoised.wav"
        info = soundfile.info(wav)
        assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")
        assert info.duration == pytest.approx(seconds, abs=0.01)
        with av.open(out / f"{video_id}_denoised.mp4") as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            assert container.streams.video[0].average_rate == 2
        assert len(frames) == round(2 * seconds)
        assert frames[0].shape == (64, 96, 3)
        assert not np.array_equal(frames[0], frames[-1])


def test_events_sound_at_their_times(annotations: Path, tmp_path: Path) -> None:
    synthesize_greatest_hits(annotations, tmp_path / "out", OPTIONS, workers=1)
    samples, _ = soundfile.read(tmp_path / "out" / f"{WHOLE}_denoised.wav")
    for at in (0.8, 2.2, 3.4):
        assert level(samples, at, at + 0.1) > 2 * level(samples, at - 0.15, at - 0.02)
    quiet, _ = soundfile.read(tmp_path / "out" / f"{UNLABELLED}_denoised.wav")
    assert np.abs(quiet).max() < 0.1 * np.abs(samples).max() + 0.1


def test_a_second_run_skips_what_is_finished(annotations: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    synthesize_greatest_hits(annotations, out, OPTIONS, workers=1)
    before = contents(out)
    stamps = {file.name: file.stat().st_mtime_ns for file in out.glob("2015*")}
    assert len(synthesize_greatest_hits(annotations, out, OPTIONS, workers=1).skipped) == 4
    assert {file.name: file.stat().st_mtime_ns for file in out.glob("2015*")} == stamps
    # As after an interruption: the sound is written, but not the labels, which come last.
    (out / f"{WHOLE}_times.txt").unlink()
    (out / f"{FIRST_CUT}_denoised.mp4").unlink()
    done = synthesize_greatest_hits(annotations, out, OPTIONS, workers=1)
    assert sorted(done.written) == [WHOLE, FIRST_CUT]
    assert contents(out) == before


def test_worker_count_changes_nothing(annotations: Path, tmp_path: Path) -> None:
    synthesize_greatest_hits(annotations, tmp_path / "one", OPTIONS, workers=1)
    synthesize_greatest_hits(annotations, tmp_path / "two", OPTIONS, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    (tmp_path / "alone").mkdir()
    write_video(annotations, tmp_path / "alone", SECOND_CUT, OPTIONS)
    alone = contents(tmp_path / "alone")
    assert alone == {name: contents(tmp_path / "one")[name] for name in alone}


def test_an_interrupted_run_leaves_no_partial_video(annotations: Path, tmp_path: Path) -> None:
    for number in range(40):
        (annotations / f"2015-03-02-10-00-00-{number}_times.txt").write_text(LABELS[WHOLE])
    out = tmp_path / "out"
    arguments = ["--seed", "1", "--sample-rate", "16000", "--width", "96", "--height", "64", "--workers", "2"]
    command = [sys.executable, "-m", "thud", "synthesize", "greatest-hits", str(annotations), str(out), *arguments]
    # A group of its own, so that the signal reaches the workers too, as Ctrl-C does.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            within(60, lambda: process.poll() is not None or any(out.glob("*_times.txt")))
            assert process.poll() is None
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "thud: interrupted" in errors.splitlines()
    assert "Traceback" not in errors
    assert not [file.name for file in out.iterdir() if file.name.startswith(".")]
    finished = len(list(out.glob("*_times.txt")))
    assert 0 < finished < 44
    done = synthesize_greatest_hits(annotations, out, OPTIONS, workers=1)
    assert len(done.skipped) == finished
    assert len(done.written) == 44 - finished


def test_without_h264_the_older_codec_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    frames = [np.full((64, 96, 3), grey, np.uint8) for grey in (40, 120, 200)]
    with av.open(io.BytesIO(encode_video(iter(frames), OPTIONS)), "r") as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [round(float(frame.mean()), -1) for frame in decoded] == [40.0, 120.0, 200.0]


def test_cuts_of_a_recording_share_place_and_things(annotations: Path) -> None:
    cuts = [f"2015-05-05-05-05-05-{number}" for number in (1, 2)]
    for cut, material in zip(cuts, ("grass", "wood"), strict=True):
        (annotations / f"{cut}_times.txt").write_text(f"0.5 {material} hit None\n")
    assert recorded_outdoors(annotations, "2015-05-05-05-05-05")
    assert not recorded_outdoors(annotations, WHOLE)
    event = Event(0.5, "metal", "hit", None)
    sheets = [next(pictures(name, [event], 2.0, OPTIONS)).mean(axis=(0, 1)) for name in (*cuts, WHOLE)]
    assert np.abs(sheets[0] - sheets[1]).max() < 0.3 * np.abs(sheets[0] - sheets[2]).max()
    tracks = [sound_track(name, [event], 2.0, True, OPTIONS) for name in (*cuts, WHOLE)]
    spectra = [np.log(np.abs(np.fft.rfft(track[RATE // 2 : RATE])) + 1e-3) for track in tracks]
    assert np.corrcoef(spectra)[0, 1] > 1.2 * np.corrcoef(spectra)[0, 2]


def test_other_options_are_refused(annotations: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    synthesize_greatest_hits(annotations, out, OPTIONS, workers=1, limit=1)
    before = contents(out)
    other = VideoOptions(seed=2, sample_rate=RATE, width=96, height=64, fps=2)
    with pytest.raises(TrainingError, match=r"made with seed 1 \(now 2\)"):
        synthesize_greatest_hits(annotations, out, other, workers=1, limit=1)
    with pytest.raises(TrainingError, match=r"limit 1 \(now None\)"):
        synthesize_greatest_hits(annotations, out, OPTIONS, workers=1)
    (annotations / f"{WHOLE}_times.txt").write_text("1.0 wood hit None\n")
    with pytest.raises(TrainingError, match="made with annotations"):
        synthesize_greatest_hits(annotations, out, OPTIONS, workers=1, limit=1)
    assert contents(out) == before
    assert json.loads(before["synthesis.json"])["options"]["seed"] == 1


def test_a_folder_of_other_things_is_left_alone(annotations: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo.jpg").write_bytes(b"mine")
    with pytest.raises(TrainingError, match=r"has no synthesis\.json"):
        synthesize_greatest_hits(annotations, out, OPTIONS, workers=1)
    assert contents(out) == {"photo.jpg": b"mine"}


def test_limit_covers_materials_and_trims_the_lists(annotations: Path, tmp_path: Path) -> None:
    done = synthesize_greatest_hits(annotations, tmp_path / "out", OPTIONS, workers=1, limit=2)
    held = {line.split()[1] for video_id in done.written for line in LABELS[video_id].splitlines()} - {"None"}
    assert held == {"wood", "metal", "leaf", "dirt"}
    listed = [(tmp_path / "out" / name).read_text().split() for name in ("train.txt", "test.txt")]
    assert sorted(listed[0] + listed[1]) == sorted(done.written)


def test_limit_covers_all_materials_of_the_real_labels(shared: Path, tmp_path: Path) -> None:
    annotations = shared / "greatest_hits_annotations"
    small = VideoOptions(sample_rate=8_000, width=32, height=32, fps=1)
    done = synthesize_greatest_hits(annotations, tmp_path / "out", small, workers=1, limit=17)
    held = {
        line.split()[1]
        for video_id in done.written
        for line in (annotations / f"{video_id}_times.txt").read_text().splitlines()
    }
    assert len(held - {"None"}) == 17
    assert all((tmp_path / "out" / name).read_text() for name in ("train.txt", "test.txt"))


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        (f"{WHOLE}_times.txt", "1.0 wood hit None\n2.0 wood\n", "line 2: 2 columns"),
        (f"{WHOLE}_times.txt", "1.0 leather hit None\n", "line 1: 'leather' is not one of the 17"),
        ("train.txt", "2015-01-01-01-01-01\n", "lists 2015-01-01-01-01-01, which has no"),
    ],
)
def test_broken_annotations_stop_it_before_anything_is_written(
    annotations: Path, tmp_path: Path, file: str, text: str, complaint: str
) -> None:
    (annotations / file).write_text(text)
    with pytest.raises(TrainingError, match=complaint):
        synthesize_greatest_hits(annotations, tmp_path / "out", OPTIONS, workers=1)
    assert not (tmp_path / "out").exists()


def test_empty_folder_and_impossible_options_are_refused(annotations: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="holds no annotations"):
        synthesize_greatest_hits(tmp_path / "empty", tmp_path / "out", OPTIONS, workers=1)
    for options, complaint in (
        (VideoOptions(width=97), "must be even"),
        (VideoOptions(sample_rate=100), "sample rate"),
        (VideoOptions(fps=0), "frames a second"),
    ):
        with pytest.raises(TrainingError, match=complaint):
            synthesize_greatest_hits(annotations, tmp_path / "out", options, workers=1)
    assert not (tmp_path / "out").exists()
