"""Blocks that still change, as bytes, for the state row of the operational database. Nothing else belongs here."""

import io

import numpy as np

from warehouse_assets.source.simulator.rows import NEVER, Array, Block, Fault, Rows, Stage


def save_blocks(blocks: list[Block]) -> bytes:
    """Return ``blocks`` as bytes (numpy's npz), read back by ``load_blocks``."""
    arrays: dict[str, Array] = {}
    for number, block in enumerate(blocks):
        arrays[f"{number}/table"] = np.array(block.table)
        arrays[f"{number}/visible_at"] = block.visible_at
        if block.deleted_at is not None:
            arrays[f"{number}/deleted_at"] = block.deleted_at
        for name, values in block.columns.items():
            arrays[f"{number}/column/{name}"] = values
        for place, stage in enumerate(block.stages):
            arrays[f"{number}/stage/{place}/at"] = stage.at
            for name, value in stage.before.items():
                arrays[f"{number}/stage/{place}/before/{name}"] = np.asarray(value)
        for place, fault in enumerate(block.faults):
            arrays[f"{number}/fault/{place}/what"] = np.array([fault.kind, fault.detail])
            arrays[f"{number}/fault/{place}/which"] = fault.which
            arrays[f"{number}/fault/{place}/at"] = fault.at
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy types the keywords as allow_pickle's bool
    return buffer.getvalue()


def load_blocks(data: bytes) -> list[Block]:
    """Return the blocks that ``save_blocks`` wrote."""
    blocks: dict[int, Block] = {}
    stages: dict[tuple[int, int], Stage] = {}
    faults: dict[tuple[int, int], Fault] = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        for path in arrays.files:
            value = arrays[path]
            number, what, *rest = path.split("/")
            block = blocks.setdefault(int(number), Block("", Rows(), np.zeros(0, "datetime64[us]")))
            match what, rest:
                case "table", []:
                    block.table = str(value)
                case "visible_at", []:
                    block.visible_at = value
                case "deleted_at", []:
                    block.deleted_at = value
                case "column", [name]:
                    block.columns[name] = value
                case "stage", [place, "at"]:
                    stages.setdefault((int(number), int(place)), Stage(np.zeros(0), {})).at = value
                case "stage", [place, "before", name]:
                    stages.setdefault((int(number), int(place)), Stage(np.full(0, NEVER), {})).before[name] = value
                case "fault", [place, "what"]:
                    kind, detail = value.tolist()
                    fault = faults.setdefault((int(number), int(place)), Fault("", np.zeros(0), np.zeros(0)))
                    fault.kind, fault.detail = kind, detail
                case "fault", [place, "which" | "at" as name]:
                    fault = faults.setdefault((int(number), int(place)), Fault("", np.zeros(0), np.zeros(0)))
                    setattr(fault, name, value)
                case _:
                    raise ValueError(f"no block has a part {path!r}")
    for (number_of, _), stage in sorted(stages.items()):
        blocks[number_of].stages.append(stage)
    for (number_of, _), fault in sorted(faults.items()):
        blocks[number_of].faults.append(fault)
    return [blocks[number_of] for number_of in sorted(blocks)]
