"""The peers of `pricing.py`, in their own environment: one task by one library, one line of JSON and its answers.

    .benv/pricing/bin/python benchmarks/peers/pricing_peers.py --row greeks --peer numpy --inputs FOLDER --out FILE

Each peer is called as its documentation says for many options at once; where it has no array call (QuantLib) objects are
made before the clock starts and the loop over them is in it. Answers go to FILE for `pricing.py` to judge.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path

import numpy as np
import peer_american
import peer_european
import peer_models

warnings.filterwarnings("ignore")


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--row", "--peer", "--inputs", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--cpu", type=int, default=0)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {chosen.cpu})
    name = f"{chosen.row}_{chosen.peer}"
    (room,) = (room for room in (peer_european, peer_american, peer_models) if hasattr(room, name))
    count, seconds, answers = getattr(room, name)(Path(chosen.inputs))
    np.savez(chosen.out, **answers)
    print(json.dumps({"count": count, "seconds": seconds}))


if __name__ == "__main__":
    main()
