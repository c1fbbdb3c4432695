"""The front end: the same features whatever the pieces, one loudness, no drift, bounded memory."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from talkmesh.models import hearing
from talkmesh.models.hearing import RATE, Leveller, Listener, Reader, levelled, log_mel
from talkmesh.models.speech import SpeechConfig, features, readers

CONFIG = SpeechConfig("log_mel", "", 2, 32, 2, 4, 3, 0.0)


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise in syllables, with pauses."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    loudness = np.clip(np.sin(2 * np.pi * 3 * t), 0, 1) * (np.sin(2 * np.pi * 0.3 * t) > -0.5)
    return (0.1 * loudness * rng.standard_normal(len(t))).astype(np.float32)


def mean_reader(block: int = 4_000, before: int = 2_000, after: int = 1_000) -> Reader:
    """A reader that feels all it is given, as attention does: the mean of the whole, and of each stretch of 100."""

    def function(samples: np.ndarray) -> np.ndarray:
        rows = [samples[max(i - 50, 0) : i + 50].mean() for i in range(0, len(samples) + 1, 100)]
        return np.stack([np.array(rows), np.full(len(rows), samples.mean())], 1).astype(np.float32)

    return Reader(function, 100, 0, block, before, after)


def pieces_of(samples: np.ndarray, longest: int, seed: int) -> list[np.ndarray]:
    cuts = np.cumsum(np.random.default_rng(seed).integers(1, longest, len(samples)))
    return np.split(samples, cuts[cuts < len(samples)])


@pytest.mark.parametrize("longest", [700, 9_000])
@pytest.mark.parametrize(
    "all_readers", [[mean_reader()], readers(CONFIG), [mean_reader(), mean_reader(3_000)]]
)
def test_features_do_not_depend_on_the_pieces(longest: int, all_readers: list[Reader]) -> None:
    samples, frames = speech(3.21), 80
    whole = Listener(all_readers, 25.0, 2)
    wanted = np.concatenate([whole.push(samples), whole.finish(frames)])
    assert wanted.shape[0] == frames
    listener = Listener(all_readers, 25.0, 2)
    parts = [listener.push(piece) for piece in pieces_of(samples, longest, 1)]
    parts.append(listener.finish(frames))
    np.testing.assert_allclose(np.concatenate([p for p in parts if len(p)]), wanted, atol=1e-5)


def test_a_block_is_what_its_function_says_of_it_and_its_margins() -> None:
    """Slow reference: each row from the window of its block, cut out by hand."""
    samples, reader = speech(2.0), mean_reader()
    level = levelled(samples)
    rows = []
    for begin in range(0, len(level), reader.block):
        low, high = max(begin - reader.before, 0), begin + reader.block + reader.after
        last = high > len(level)
        made = reader.function(level[low:high])[(begin - low) // 100 :]
        rows.append(made if last else made[: reader.block // 100])
        if last:
            break
    wanted = hearing.read_at(np.concatenate(rows), 100, hearing.frame_times(50, 25.0, 1))
    np.testing.assert_allclose(features_of(reader, samples, 50), wanted, atol=1e-7)


def features_of(reader: Reader, samples: np.ndarray, frames: int) -> np.ndarray:
    listener = Listener([reader], 25.0, 1)
    parts = [listener.push(samples), listener.finish(frames)]
    return np.concatenate([p for p in parts if len(p)])


@pytest.mark.parametrize("gain", [0.3, 3.0])
@pytest.mark.parametrize(("room", "tolerance"), [(0.001, 2e-3), (0.0, 0.05)])
def test_distance_to_the_microphone_does_not_matter(gain: float, room: float, tolerance: float) -> None:
    """With a room's noise in the pauses; with digital silence, which no gain makes quieter, nearly."""
    samples = speech(4.0)
    samples += room * np.random.default_rng(9).standard_normal(len(samples)).astype(np.float32)
    np.testing.assert_allclose(levelled(gain * samples), levelled(samples), atol=tolerance)


def test_the_level_is_that_of_the_loudest_syllables() -> None:
    """A steady noise of known power comes out at the target, and a quiet room stays quiet after it."""
    rng = np.random.default_rng(0)
    loud = 0.03 * rng.standard_normal(3 * RATE)
    room = 0.0003 * rng.standard_normal(8 * RATE)
    out = levelled(np.concatenate([loud, room]).astype(np.float32))
    decibels = 20 * np.log10(out[RATE : 2 * RATE].std())
    assert decibels == pytest.approx(hearing.LEVEL_TARGET, abs=0.6)
    quiet = 20 * np.log10(out[-RATE:].std())
    assert quiet == pytest.approx(decibels - 40, abs=1.0)  # as far below as before


def test_silence_with_noise_is_heard_as_silence() -> None:
    """A room in which nobody speaks: its noise must not be raised until it looks like speech."""
    noise = np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)

    def fed(samples: np.ndarray) -> np.ndarray:
        return features(samples, 75, 25.0, CONFIG)

    silent, spoken = fed(np.zeros_like(noise)), speech(3.0)
    heard = {db: fed(spoken * 10 ** (db / 20) / spoken.std()) for db in (-40, -20)}
    assert np.abs(fed(10 ** (-70 / 20) * noise) - silent).mean() < 0.02 * np.abs(heard[-20] - silent).mean()
    assert np.abs(heard[-40] - heard[-20]).mean() < 0.02 * heard[-20].std()


def test_the_gain_has_no_step() -> None:
    levels = np.arange(-100, 0, 0.1)
    gains = hearing._gain(levels)
    assert np.abs(np.diff(gains)).max() < 0.1 * hearing.LEVEL_SLOPE + 1e-9
    loud = levels >= hearing.LEVEL_FLOOR
    np.testing.assert_allclose((levels + gains)[loud], hearing.LEVEL_TARGET)
    assert gains[0] == hearing.LEAST_GAIN


def test_a_speaker_who_moves_away_is_followed_and_a_pause_is_not() -> None:
    """15 dB less are made up for at 1 dB a second; 40 dB less are taken for a pause."""
    rng = np.random.default_rng(0)
    near = 0.1 * rng.standard_normal(RATE)
    for less, seconds, wanted in ((15, 20, 0), (40, 20, -40)):
        far = 0.1 * 10 ** (-less / 20) * rng.standard_normal(seconds * RATE)
        out = levelled(np.concatenate([near, far]).astype(np.float32))
        change = 20 * np.log10(out[-RATE // 2 :].std() / out[: RATE // 2].std())
        assert change == pytest.approx(wanted, abs=1.0)


def test_levelling_follows_its_definition() -> None:
    """Slow reference, hop by hop: maximum of what was, falling, half a second ahead."""
    samples = speech(1.5, seed=3)
    hops = samples[: len(samples) // 160 * 160].reshape(-1, 160).astype(float)
    loudness = 10 * np.log10((hops**2).mean(1) + 1e-9)
    level, levels = -np.inf, []
    for i in range(len(loudness)):
        recent = [loudness[max(i - k, 0)] for k in range(hearing.LEVEL_SMOOTH)]
        pause = np.mean(recent) <= level - hearing.LEVEL_HOLD
        level = level if pause else max(float(np.mean(recent)), level - hearing.LEVEL_FALL)
        levels.append(level)
    ends = [levels[min(i + hearing.LEVEL_AHEAD, len(levels) - 1)] for i in range(len(levels))]
    got = Leveller().push(samples, last=True)
    for i in (0, 1, 40, 100, len(ends) - 1):
        decibels = hearing.LEVEL_TARGET - ends[i]  # never below the floor here
        assert got[160 * i + 159] == pytest.approx(samples[160 * i + 159] * 10 ** (decibels / 20), rel=1e-4)


def test_spectrogram_is_that_of_torchaudio() -> None:
    import torch
    import torchaudio

    samples = speech(0.5, seed=2)
    reference = torchaudio.transforms.MelSpectrogram(
        RATE, n_fft=400, hop_length=160, n_mels=80, pad_mode="constant"
    )
    wanted = (torch.log(reference(torch.from_numpy(samples)).T + 1e-5) + 4) / 4
    np.testing.assert_allclose(log_mel(samples), wanted.numpy(), atol=1e-4)


@pytest.mark.parametrize(("fps", "length"), [(24.0, 120), (25.0, 120), (29.97, 600)])
def test_no_drift_and_no_more_memory(fps: float, length: int) -> None:
    """Bursts of 50 ms in sound of a length in seconds, in pieces; each is felt at its frame, also the last."""

    def energy(samples: np.ndarray) -> np.ndarray:
        padded = np.pad(samples.astype(np.float64), (80, 240))[: (len(samples) // 160 + 1) * 160]
        return (padded.reshape(-1, 160) ** 2).sum(1, keepdims=True).astype(np.float32)

    listener = Listener([Reader(energy, 160, 0, 16_000, 320, 320)], fps, 1)
    clicks = np.array([10.0, length / 2 + 0.37, length - 0.79])
    frames, loud = round(length * fps), set()
    piece, seconds = np.zeros(5 * RATE, np.float32), 5
    tracemalloc.start()
    for begin in range(0, length, seconds):
        sound = piece.copy()
        for click in clicks:
            if begin <= click < begin + seconds:
                at = round((click - begin) * RATE)
                sound[at : at + 800] = 0.5
        first = listener.frames
        felt = listener.push(sound)
        loud |= {first + int(i) for i in np.flatnonzero(felt[:, :1] > 0.1)}
    first, felt = listener.frames, listener.finish(frames)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    loud |= {first + int(i) for i in np.flatnonzero(felt[:, :1] > 0.1)}
    assert listener.frames == frames
    assert peak < 7e6  # two minutes of samples would take 7.7 MB, ten 38 MB
    for click in clicks:
        near = [(f + 0.5) / fps for f in loud if abs((f + 0.5) / fps - click) < 0.2]
        assert abs(np.mean(near) - click - 0.025) <= 0.5 / fps + 0.01


def test_reading_ahead_approaches_what_will_be_settled() -> None:
    samples, reader = speech(3.0), mean_reader()
    listener, settled = Listener([reader], 25.0, 1), features_of(reader, samples, 75)
    for begin in range(0, 32_000, 1_600):
        listener.push(samples[begin : begin + 1_600])
        ahead = listener.ahead(int((begin + 1_600) / RATE * 25))
        assert len(ahead) == int((begin + 1_600) / RATE * 25) - listener.frames
    first = listener.frames
    np.testing.assert_allclose(ahead[:-2, 0], settled[first : first + len(ahead) - 2, 0], atol=0.02)
    rest = np.concatenate([listener.push(samples[32_000:]), listener.finish(75)])
    np.testing.assert_allclose(rest, settled[first:], atol=1e-5)  # reading ahead leaves no trace


def test_posteriors_in_pieces_and_in_one_go_are_equal() -> None:
    config = dataclasses.replace(CONFIG, front_end="hama", per_frame=1)
    samples = speech(6.5)
    wanted = features(samples, 160, 25.0, config)
    listener = Listener(readers(config), 25.0, 1)
    parts = [listener.push(piece) for piece in np.split(samples, [30_000, 31_000, 90_000])]
    parts.append(listener.finish(160))
    np.testing.assert_allclose(np.concatenate([p for p in parts if len(p)])[:160], wanted, atol=1e-4)
