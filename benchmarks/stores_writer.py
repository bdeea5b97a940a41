"""Write prompts into one of the candidates, and print the place of each that is written: to be killed, or traced.

stores_writer.py KIND FOLDER ROWS PROMPTS
"""

import sys
from pathlib import Path

import numpy as np
from candidates import CANDIDATES

kind, folder, rows, n = sys.argv[1:]
table = np.load(rows, allow_pickle=True).tolist()  # written by stores.py
store = CANDIDATES[kind](Path(folder), int(n), table[0])
there = set(store.read())
for i in range(int(n)):
    if i not in there:
        store.write(i, table[i % len(table)])
        print(i, flush=True)
store.close()
