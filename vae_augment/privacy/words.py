"""The evidence of a file in words. It may come from a stranger's file."""

from collections.abc import Mapping
from typing import Any

Entry = Mapping[str, Any]
UNREADABLE = "cannot be read: its entry in the file is not what this vae-augment writes"


def audit_in_words(entry: Entry) -> list[str]:
    """An audit in lines: three of figures, and one for each finding."""
    try:
        return _audit_lines(entry)
    except (KeyError, TypeError, ValueError, OverflowError):
        return [UNREADABLE]


def _audit_lines(entry: Entry) -> list[str]:
    auc, low, high = map(float, entry["membership_auc"])
    findings = list(map(str, entry["findings"]))
    outside = ["it looked at the private images, outside epsilon"] if entry.get("private") else []
    return [
        f"{int(entry['train'])} training images against {int(entry['test'])} others: the strongest "
        f"attack, by {entry['strongest_attack']}, reaches AUC {auc:.3f} ({low:.3f} to {high:.3f}; "
        "0.5 is guessing)",
        f"it finds {_percent(entry['tpr_at_1_percent'])} of the training images at 1 % false ones",
        f"samples: C_T {_number(entry['copying'])} (below -3: nearer to them than the others are), "
        f"{_percent(entry['authentic_share'])} authentic",
        *(findings or ["nothing was found, which does not prove that nothing is there"]),
        *outside,
    ]


def privacy_in_words(entry: Entry) -> list[str]:
    """What differential privacy the file has, in one sentence, and what that does not mean."""
    try:
        return [
            f"differential privacy for each image with epsilon {float(entry['epsilon']):g} and "
            f"delta {float(entry['delta']):g} ({entry['adjacency']}): {entry['mechanism']}; "
            f"public: {entry['public']}; by {entry['accountant']}",
            "it does not mean that nothing can be learned of the images as a whole, nor does it "
            "hold for a person with several images, or for settings chosen on the private images",
        ]
    except (KeyError, TypeError, ValueError, OverflowError):
        return [UNREADABLE]


def samples_only_in_words(entry: Entry) -> list[str]:
    """What a classifier learns from samples alone, and what would help where that is little."""
    try:
        return _samples_only_lines(entry)
    except (KeyError, TypeError, ValueError, OverflowError):
        return [UNREADABLE]


def _samples_only_lines(entry: Entry) -> list[str]:
    lines = [
        f"a classifier trained on samples alone reaches {float(entry['samples']):.2f} %, on the "
        f"real images {float(entry['real']):.2f} %"
    ]
    if "difference" in entry:
        mean, half_width = entry["difference"]
        interval = "" if half_width is None else f" ± {float(half_width):.2f}"
        lines[0] += f": {float(mean):+.2f}{interval} points"
        seeds = ", ".join(map(str, entry["seeds"]))
        lines.append(
            f"measured with {entry['classifier']}, {int(entry['updates'])} updates, seeds {seeds}, "
            f"on {int(entry['test_images'])} images that it was not trained on"
        )
    if entry.get("advice"):
        lines.append(str(entry["advice"]))
    if entry.get("private"):
        lines.append("it looked at the private images, outside epsilon")
    return lines


def _percent(share: object) -> str:
    return "an unknown share" if share is None else f"{float(share):.1%}"  # type: ignore[arg-type]


def _number(value: object) -> str:
    return "unknown" if value is None else f"{float(value):.1f}"  # type: ignore[arg-type]
