"""Encodes distinct words and giant words on one thread and prints, as JSON, what stays and what that takes, in MiB.

A program of its own, since memory that others have freed would hide what encoding takes:
`python -m must.memory_probe MODEL_DIRECTORY BATCHES CHARACTERS`.
"""

import ctypes
import functools
import json
import random
import sys

import tei
from memory import peak_growth, resident

GIANTS = {"a": "a", "ж": "ж", "marks": "e\u0301", "tone marks": "e\u302e"}
LETTERS = "abcdefghijklmnopqrstuvwxyzé中"


def main() -> None:
    """Print what stays after half and after all batches, the peak of each giant word, and what stays at last."""
    directory, batches, characters = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tokenizer = tei.Tokenizer.from_pretrained(directory)
    generator = random.Random(0)

    def words() -> list[str]:
        return [" ".join("".join(generator.choices(LETTERS, k=9)) for _ in range(7_000))]

    words()
    start, kept = resident(), []
    for _ in range(2):
        for _ in range(batches):
            tokenizer.encode_batch(words(), parallel=False)
        kept.append(resident() - start)
    peaks = {name: _peak(tokenizer, text * (characters // len(text))) for name, text in GIANTS.items()}
    print(json.dumps([kept, peaks, resident() - start]))


def _peak(tokenizer: tei.Tokenizer, text: str) -> float:
    # Python keeps the UTF-8 of a string with it; encoding only asks for it.
    ctypes.pythonapi.PyUnicode_AsUTF8(ctypes.py_object(text))
    return peak_growth(functools.partial(tokenizer.encode_batch, [text], parallel=False))


if __name__ == "__main__":
    main()
