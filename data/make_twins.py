"""Write data/results/twins.csv from the surveys of other twins: python data/make_twins.py FOLDER

``make results`` measures the surveys: FOLDER/untrained-1.zarr and so on, one for each seed of the weights.
"""

import re
import sys
from pathlib import Path

import pandas

import tokengeom_utils as tg
from tokengeom_utils.paths import data_path
from tokengeom_utils.surveys.twins import INDEX, columns

DIGITS = 4


def main(folder: Path) -> None:
    tables = []
    for path in sorted(folder.glob("untrained-*.zarr")):
        table = columns(tg.open_results(path)).to_dataframe().drop(columns=["domain", "sha256"]).reset_index()
        tables.append(table.assign(twin=int(re.findall(r"\d+", path.stem)[-1])))
    rows = pandas.concat(tables)
    values = [name for name in rows if name not in INDEX]
    rows[values] = rows[values].map(lambda value: float(f"{value:.{DIGITS}g}"))
    rows[[*INDEX, *values]].to_csv(data_path("results", "twins.csv"), index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
