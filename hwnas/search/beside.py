"""What stands beside a found network, in sentences."""

from __future__ import annotations

from hwnas import tasks
from hwnas.runs.found import SearchRecord


def sizes(record: SearchRecord) -> str:
    """What networks on images of other sizes reach; empty where there was one search."""
    found = record.extra.get("resolutions")
    if not found:
        return ""
    metric = tasks.of_record(record.data).metric
    parts = []
    for item in found:
        within = f" ({metric.within(item['interval'])})" if item["interval"] else ""
        verdict = f", {item['verdict']}" if item["verdict"] else ""
        parts.append(f"{item['resolution']} pixels {metric.text(item['tuned'], 2)}{within}{verdict}")
    taken = record.data["resolution"]
    return (
        f"on {found[0]['images']} validation images, each tuned for {found[0]['epochs']} epochs: "
        f"{'; '.join(parts)}: the network on {taken} pixels is taken"
    )
