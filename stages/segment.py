"""Recordings to clips: constant-rate frames, 16 kHz sound, the clip table with its split."""

from pathlib import Path

from talkmesh import contracts, params, preview, synthetic
from talkmesh.clips import segment_corpus, thumbnails
from talkmesh.cutting import Segmenting
from talkmesh.log import setup


def main() -> None:
    """Write data/clips."""
    corpus = str(params.read()["corpus"])
    table = segment_corpus(
        corpus,
        params.section(Segmenting, "segment"),
        contracts.RAW,
        contracts.GROUND_TRUTH,
        Path("work/segment"),
        contracts.CLIPS,
    )
    contracts.write_clips(table)
    synthetic.hand_on(contracts.RAW / corpus, contracts.CLIPS)
    pictures, names = thumbnails(table, contracts.CLIPS, count=12, size=160)
    preview.save_png(Path("reports/preview/segment.png"), preview.contact_sheet(pictures, 6, names))


if __name__ == "__main__":
    setup()
    main()
