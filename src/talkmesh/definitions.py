"""Each metric and each method in words, as the report shows them, and which value of a metric is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """How a metric is shown. better : which value is best, None if the number is not a score; says : its definition,
    with {crop} for the side of the crop in pixels, {lips} and {upper} for counts of vertices, {points} for the
    landmarks, {closure} for the gap of closed lips in mm."""

    name: str
    label: str
    unit: str
    better: Literal["low", "high", "one", "zero"] | None
    digits: int
    says: str

    @property
    def against(self) -> str:
        """What it is measured against."""
        return "film" if self in AGAINST_FILM else "true mesh"


DISTANCES = (
    Metric(
        "lve_mm",
        "lip vertex error",
        "mm",
        "low",
        2,
        "Distance between predicted and true lip vertices: the largest of each frame over the {lips} vertices of the "
        "rig's lip set, then the mean over frames. The headline, as FaceFormer's author and Imitator define it.",
    ),
    Metric(
        "lve_centered_mm",
        "lip vertex error, centred",
        "mm",
        "low",
        2,
        "The same after each mesh was moved to the centroid of its own lips, frame by frame (MeshTalk's author): "
        "lip shape alone, jaw position does not count.",
    ),
    Metric(
        "lve_rms_mm",
        "lip vertex error, root mean square",
        "mm",
        "low",
        2,
        "Root of the mean over frames of the largest squared distance (ARTalk).",
    ),
    Metric(
        "lve_sq_mm2",
        "lip vertex error, squared",
        "mm²",
        "low",
        1,
        "Mean over frames of the largest squared distance (CodeTalker, FaceDiffuser, torchmetrics).",
    ),
    Metric(
        "mve_mm",
        "mean vertex error",
        "mm",
        "low",
        2,
        "Mean distance over all frames and all vertices of the rig, most of which speech does not move.",
    ),
    Metric(
        "fdd_mm",
        "upper-face dynamics deviation",
        "mm",
        "zero",
        2,
        "How much less the upper face moves than the true one: standard deviation over time of each vertex' distance "
        "from rest, true minus predicted, mean over the {upper} vertices of the rig's upper face. Signed; the formula "
        "of CodeTalker's paper.",
    ),
    Metric(
        "fdd_sq_mm2",
        "upper-face dynamics deviation, squared",
        "mm²",
        "zero",
        2,
        "The same of squared distances, as CodeTalker's code and most tables after it have it.",
    ),
)

MOTION = (
    Metric(
        "opening_truth_r",
        "lip opening, correlation",
        "",
        "high",
        2,
        "Pearson correlation over time of the predicted lip opening with that of the true mesh.",
    ),
    Metric(
        "opening_truth_sd_ratio",
        "lip opening, amplitude",
        "of true",
        "one",
        2,
        "Standard deviation of the predicted lip opening over that of the true mesh: below 1 the lips move too little.",
    ),
    Metric(
        "opening_truth_lag_ms",
        "lip opening, lag",
        "ms",
        "zero",
        0,
        "Shift at which predicted and true lip opening correlate best, to a fraction of a frame; positive is late.",
    ),
    Metric(
        "mtm_ms",
        "mean temporal misalignment",
        "ms",
        "low",
        0,
        "Mean time between extremes of the true and the predicted lip distance that derivative dynamic time warping "
        "brings together (Chae-Yeon et al. 2025). Extremes that the prediction lacks cost nothing.",
    ),
    Metric(
        "closure_percent",
        "closed lips",
        "% of true",
        "high",
        0,
        "Share of the frames in which the true lips close, between two openings, that the predicted lips close too: "
        "gap of the inner lips at most {closure} mm wider than at rest. A face that never opens its mouth scores 100: "
        "read it beside the amplitude.",
    ),
)

AGAINST_MESHES = DISTANCES + MOTION

AGAINST_FILM = (
    Metric(
        "lle_clip_px",
        "lip landmark error, per clip",
        "px",
        "low",
        2,
        "Distance between the projected lip landmarks of the mesh and those found in the film ({points}), in pixels of "
        "the {crop} px crop: root mean square over points, mean over frames, after one similarity (scale, rotation, "
        "shift; no reflection) for all frames of the clip. How far the lips move counts.",
    ),
    Metric(
        "lle_px",
        "lip landmark error, per frame",
        "px",
        "low",
        2,
        "The same with a similarity of its own for every frame, the literal reading of Yang et al. 2023. Its scale "
        "hides part of an error of amplitude.",
    ),
    Metric(
        "lle_percent",
        "lip landmark error, per frame",
        "% of mouth",
        "low",
        1,
        "The per-frame error in percent of the mouth width in the speaker's neutral frame: independent of crop size.",
    ),
    Metric(
        "opening_r",
        "lip opening, correlation",
        "",
        "high",
        2,
        "Pearson correlation over time of the predicted lip opening with that of the lips found in the film (frames "
        "with a good face only).",
    ),
    Metric(
        "opening_sd_ratio",
        "lip opening, amplitude",
        "of film",
        "one",
        2,
        "Standard deviation of the predicted lip opening over that of the filmed lips.",
    ),
    Metric(
        "opening_lag_ms", "lip opening, lag", "ms", "zero", 0, "Lag behind the filmed lips; positive is late."
    ),
    Metric(
        "jitter_mm",
        "jitter",
        "mm/frame²",
        None,
        3,
        "Mean length of the second difference in time of the predicted lip vertices. Not a score: compare it with the "
        "truth's where there is one.",
    ),
)

METRICS = {metric.name: metric for metric in AGAINST_MESHES + AGAINST_FILM}

PREVIEWS = {
    "segment": "one frame of each of some clips",
    "crop": "the neutral frame and crops of some clips",
    "neutral": "the neutral frame that was picked, first, and other candidates: crop.neutral takes their names",
    "footage": "dropped clips, and of others the most turned good frame with the outline and lips that were found",
    "rig": "the character; its upper face (blue), lips (yellow) and lip landmarks (green)",
    "transfer": "expressions of the character on the second topology",
    "perform": "poses it was rendered in",
    "render": "pictures that the models learn from",
    "transcoder": "held-out faces and what is decoded from them",
    "regressor": "held-out renders and the meshes found in them",
}

METHODS = {
    "ours": "speech alone: E_A, de-neutralised, D_S, E_G (the paper's losses)",
    "ours_anchored": "speech alone, trained with the landmark anchor as well",
    "ours_no_deneutral": "ours without expression de-neutralisation",
    "ours_no_cycle": "ours without the cycle consistency loss",
    "ours_no_perceptual": "ours without the perceptual loss",
    "pseudo": "the filmed face: E_V, de-neutralised, D_S, E_G; the upper bound of learning from these images",
    "pseudo_anchored": "the filmed face, trained with the landmark anchor as well",
    "linear": "supervised by exact meshes: our speech encoder and a linear layer (not in the paper)",
    "voca": "supervised by exact meshes: VOCA",
    "faceformer": "supervised by exact meshes: FaceFormer",
    "meshtalk": "supervised by exact meshes: MeshTalk",
    "selftalk": "supervised by exact meshes: not autoregressive, after SelfTalk (not in the paper's tables)",
    "voca_pseudo": "VOCA supervised by the meshes of `pseudo` (three stages; VOCA* in the paper)",
    "faceformer_pseudo": "FaceFormer supervised by the meshes of `pseudo` (three stages; FaceFormer* in the paper)",
    "ground_truth": "the exact meshes themselves: what a perfect prediction scores; the film is of another face",
    "still": "the neutral face in every frame: the floor that a method must beat",
    "chance": "the exact meshes of a wrong sentence: right in size, wrong in time",
}
