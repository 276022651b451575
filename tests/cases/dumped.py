"""A second opinion on what belongs to a series: derived from what DCMTK's dcmdump prints, by no code of ours.

It knows patient, study, series, auxiliary identifiers and the geometry of single images, in a few plain
comparisons, and no more: it cannot tell stacks apart or compare copies. Where that matters,
``test_real_folders`` says by hand what must come out, and why.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

TAGS = {
    "0008,0008": "type",
    "0008,0016": "class",
    "0008,0060": "modality",
    "0010,0010": "name",
    "0010,0020": "id",
    "0010,0030": "birth date",
    "0010,0040": "sex",
    "0018,0015": "body part",
    "0020,000d": "study",
    "0020,000e": "series",
    "0020,0011": "series number",
    "0020,0032": "position",
    "0020,0037": "orientation",
    "0020,0052": "frame of reference",
    "0028,0002": "samples",
    "0028,0010": "rows",
    "0028,0011": "columns",
    "0028,0030": "spacing",
}
FRAME_POSITION = "(5200,9230).(0020,9113).(0020,0032) "
"""Plane Position Sequence of one frame (PS3.3 C.7.6.16.2.3): frames that have it are images of their own."""

FILE = re.compile(r"^# dcmdump \(\d+/\d+\): (.*)$")
ELEMENT = re.compile(r"^\((\w{4},\w{4})\) \w\w (?:\[(.*)\]|\(no value available\)|(\S+))\s+#")

Dump = Mapping[str, str]

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"


def dump(dcmdump: str, paths: Iterable[Path]) -> dict[Path, Dump]:
    """Return the attributes of the top level of each file that dcmdump reads; absent and empty are alike."""
    wanted = [word for tag in TAGS for word in ("+P", tag)]
    words = [dcmdump, "-q", "+F", "+p", "+L", "-Un", *wanted, "+P", "0002,0002", *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, encoding="latin-1", check=False)
    dumps: dict[Path, dict[str, str]] = {}
    for line in done.stdout.splitlines():
        if begins := FILE.match(line):
            current = dumps.setdefault(Path(begins[1]), {})
        elif line.startswith(FRAME_POSITION):
            current["frames"] = str(int(current.get("frames", 0)) + 1)
        elif element := ELEMENT.match(line):
            tag, text, number = element.groups()
            current[TAGS.get(tag, "media class")] = (text or number or "").strip(" \0")
    return dumps


def expected(current: Path, dumps: Mapping[Path, Dump]) -> Counter[str]:
    """Return how many files (or frames) of *dumps* have which reason beside the current image."""
    counts: Counter[str] = Counter()
    for other in dumps.values():
        counts[reason(dumps[current], other)] += int(other.get("frames", 1))
    return counts


def reason(current: Dump, other: Dump) -> str:
    """Return the first objection, or ``used``."""
    if other.get("media class") == MEDIA_DIRECTORY:
        return "not-an-image"
    return next((code for code, objects in OBJECTIONS if objects(current, other)), "used")


def _name(dumped: Dump) -> str:
    return dumped.get("name", "").rstrip("^ ").casefold()


def _differs(key: str) -> Callable[[Dump, Dump], bool]:
    return lambda ours, theirs: ours.get(key, "") != theirs.get(key, "")


def _both_differ(key: str) -> Callable[[Dump, Dump], bool]:
    return lambda ours, theirs: bool(ours.get(key) and theirs.get(key)) and ours[key] != theirs[key]


def _is_type(word: str) -> Callable[[Dump, Dump], bool]:
    return lambda _, theirs: word in theirs.get("type", "").split("\\")[2:]


def _numbers(dumped: Dump, key: str) -> list[float]:
    return [float(number) for number in dumped.get(key, "").split("\\") if number]


def _apart(key: str, by: float) -> Callable[[Dump, Dump], bool]:
    return lambda ours, theirs: any(
        abs(a - b) > by for a, b in zip(_numbers(ours, key), _numbers(theirs, key), strict=True)
    )


def _nowhere(_: Dump, theirs: Dump) -> bool:
    if "frames" in theirs:
        return False
    return not (theirs.get("position") and theirs.get("orientation")) or "MOSAIC" in theirs.get("type", "")


WITNESSES = ("id", "birth date", "sex")

OBJECTIONS: tuple[tuple[str, Callable[[Dump, Dump], bool]], ...] = (
    ("other-patient", lambda ours, theirs: _name(ours) != _name(theirs)),
    ("other-patient-id", lambda ours, theirs: any(_both_differ(k)(ours, theirs) for k in WITNESSES)),
    ("other-study", _differs("study")),
    ("other-series", _differs("series")),
    ("other-series-number", _both_differ("series number")),
    ("other-modality", _both_differ("modality")),
    ("other-body-part-examined", _both_differ("body part")),
    ("not-an-image", lambda _, theirs: not theirs.get("rows") or theirs.get("class") == SEGMENTATION),
    ("localizer", _is_type("LOCALIZER")),
    ("not-a-source-image", lambda _, theirs: theirs.get("class") == SECONDARY_CAPTURE),
    ("no-geometry", _nowhere),
    ("other-orientation", _apart("orientation", 1e-3)),
    ("other-matrix", lambda ours, theirs: any(ours[k] != theirs[k] for k in ("rows", "columns"))),
    ("other-pixel-spacing", _apart("spacing", 1e-3)),
    ("other-pixel-format", _differs("samples")),
    ("other-frame-of-reference", _differs("frame of reference")),
)
