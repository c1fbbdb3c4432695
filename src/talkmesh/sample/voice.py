"""The speaker's voice: PyPI `hibari` (Apache-2.0), and when it says which phoneme.

The durations are inside hibari's ONNX graph: the node output ``/Cast_32_output_0`` holds, per token, the number of
25 ms units that the decoder gets. They sum to the length of the sound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from talkmesh.errors import TalkmeshError

DURATIONS = "/Cast_32_output_0"
UNIT_S = 0.025  # seconds per unit of duration
# The sound runs ahead of the tokens: over 60 sentences, labels correlate best with band energy 50 to 62 ms earlier
# (vowels 0.53, fricatives 0.58; unshifted 0.16).
DELAY_S = 0.055
VOICED_HZ = 40.0  # a lower pitch means a sound without voice
STRESS = {"ˈ": 2, "ˌ": 1}
SILENT = frozenset(".,;:!?—… ")
NEED_EXTRA = "the embedded corpus needs the package '{}': run `uv pip install talkmesh[sample]`"


@dataclass(frozen=True)
class Phone:
    """One phoneme in time: symbol of hibari's alphabet ("" = silence), seconds, stress 0, 1 or 2 (of vowels)."""

    symbol: str
    start_s: float
    end_s: float
    stress: int = 0


@dataclass(frozen=True)
class Timbre:
    """Another person with the same way of speaking: pitch : factor on the fundamental frequency; tract : length of the
    vocal tract against the voice's own, which moves the formants down; speed : of speaking."""

    pitch: float = 1.0
    tract: float = 1.0
    speed: float = 1.0


@dataclass(frozen=True)
class Speech:
    """One spoken sentence: sound (N,) float32 in [-1, 1] at `rate` Hz, and its phones, without gaps."""

    sound: np.ndarray
    rate: int
    phones: tuple[Phone, ...]


class Voice:
    """Text to `Speech`; equal text, seed and timbre give equal samples.

    Parameters
    ----------
    speed : of speaking, 1 = the voice's own pace

    Raises
    ------
    TalkmeshError
        If `hibari` or `onnx` is not installed, or hibari's model has no such node any more.
    """

    def __init__(self, speed: float = 1.0) -> None:
        try:
            import hibari
            import onnx
            import onnxruntime
        except ImportError as error:
            raise TalkmeshError(NEED_EXTRA.format(error.name)) from None
        self.speed = speed
        self._tts: Any = hibari.Hibari()
        model = onnx.load(self._tts.model_path)
        if not any(DURATIONS in node.output for node in model.graph.node):
            raise TalkmeshError(f"hibari's model has no node {DURATIONS}: install hibari-tts 0.2.x")
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(DURATIONS))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, text: str, seed: int = 0, timbre: Timbre = Timbre()) -> Speech:
        """Speak one sentence."""
        from hibari import dsp

        symbols = "".join(self._tts.phonemize(text))
        ids = self._tts.ids(symbols)
        *spectrum, units = self._session.run(
            None,
            {"ids": np.array([ids], np.int64), "speed": np.array([self.speed * timbre.speed], np.float32)},
        )
        parts = tuple(part[0] for part in spectrum)
        if timbre != Timbre():
            parts = another(parts, timbre)
        sound = dsp.synth(*parts, np.random.default_rng(seed))
        known = [s for s in symbols if s in self._tts.vocab]
        return Speech(sound.astype(np.float32), dsp.SR, phones(["", *known, ""], units.ravel()))


def another(parts: tuple[np.ndarray, ...], timbre: Timbre) -> tuple[np.ndarray, ...]:
    """Return the five spectra (601, T) and the pitch (T,) of hibari's network as another person's.

    A longer vocal tract lowers all resonances alike: spectra are stretched along frequency. Magnitudes are
    interpolated, phases are not. Those of the voiced part mean something at the harmonics only, so the resonances are
    read there; a lower pitch has more harmonics, each of which is made weaker.
    """
    from hibari import dsp

    harmonic, turn, noise, free, phase, pitch = parts
    bins = np.arange(len(harmonic))
    place = np.minimum(bins * timbre.tract, bins[-1])
    nearest = np.rint(place).astype(int)

    def stretched(spectrum: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(place, bins, column) for column in spectrum.T], 1).astype(np.float32)

    resonances = harmonic.copy()
    for i in np.flatnonzero(pitch > VOICED_HZ):
        own = np.arange(1, bins[-1] * dsp.SR / dsp.N_FFT / pitch[i]) * pitch[i] * dsp.N_FFT / dsp.SR
        resonances[:, i] = np.interp(bins, own, np.interp(own, bins, harmonic[:, i]))
    return (
        stretched(resonances) + np.float32(np.log(timbre.pitch) / 2),
        turn[nearest],
        stretched(noise),
        stretched(free),
        phase[nearest],
        pitch * np.float32(timbre.pitch),
    )


def with_pause(speech: Speech, pause_s: float, fps: float) -> Speech:
    """Return the speech with at least `pause_s` of silence more, so that it fills a whole number of frames."""
    frames = int(np.ceil((len(speech.sound) / speech.rate + pause_s) * fps - 1e-6))
    samples = round(frames / fps * speech.rate)
    sound = np.concatenate([speech.sound, np.zeros(samples - len(speech.sound), np.float32)])
    last = replace(speech.phones[-1], end_s=samples / speech.rate)
    return Speech(sound, speech.rate, (*speech.phones[:-1], last))


def phones(symbols: list[str], units: np.ndarray) -> tuple[Phone, ...]:
    """Return the phones of tokens `symbols` that last `units` x 25 ms each: gapless, from 0 to the sound's end.

    A stress mark's time belongs to the vowel after it; the blank between words is shared by its neighbours, as nobody
    pauses there; punctuation and the ends are silence. Boundaries come `DELAY_S` before the tokens'.
    """
    spans: list[list[float]] = []  # start, end in units
    labels: list[tuple[str, int]] = []
    ends = np.cumsum(units).astype(float)
    held: float | None = None  # start of a stress mark or half a blank, kept for the phone after it
    stress = 0
    for symbol, start, end in zip(symbols, np.r_[0.0, ends[:-1]].tolist(), ends.tolist(), strict=True):
        silent = symbol == "" or symbol in SILENT
        if symbol in STRESS:
            stress, held = STRESS[symbol], start if held is None else held
        elif silent and labels and labels[-1][0] == "":
            spans[-1][1] = end
        elif symbol == " ":
            held = (start + end) / 2
            spans[-1][1] = held
        else:
            spans.append([start if held is None else held, end])
            labels.append(("", 0) if silent else (symbol, stress))
            stress, held = 0, None
    starts = np.maximum(np.array(spans)[:, 0] * UNIT_S - DELAY_S, 0.0)
    starts[0] = 0.0
    bounds = np.r_[starts, ends[-1] * UNIT_S]
    return tuple(
        Phone(symbol, float(a), float(b), s)
        for (symbol, s), a, b in zip(labels, bounds[:-1], bounds[1:], strict=True)
    )
