"""The kernel's reading of plain text, built alone: with counters for the fuzzer, or with AddressSanitizer to replay."""

import ctypes
import os
import struct
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.fuzz.folders import ram

HERE = Path(__file__).with_name("native")
KERNEL = Path(__file__).resolve().parents[2] / "shapetool" / "native"
SOURCES = [str(HERE / "text.cpp"), str(KERNEL / "text.cpp")]
FLAGS = ["-std=c++17", "-O1", "-g", "-ffp-contract=off", "-I", str(KERNEL)]
ENDING = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")  # what is undefined ends the process


@cache
def library() -> ctypes.CDLL:
    """The reader as a library that counts its blocks; built when it is first asked for."""
    shim, made = ram("native") / "coverage.o", ram("native") / "libtext.so"
    build(os.environ.get("CC", "gcc"), "-O1", "-fPIC", "-c", str(HERE / "coverage.c"), "-o", str(shim))
    counted = ["-fPIC", "-shared", "-fsanitize-coverage=trace-pc,trace-cmp", *ENDING]
    build(os.environ.get("CXX", "g++"), *FLAGS, *counted, *SOURCES, str(shim), "-o", str(made))
    found = ctypes.CDLL(str(made))
    found.read_text.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    found.read_text.restype = None
    return found


def build(*words: str) -> None:
    """Nothing, once a compiler has done what the words say."""
    subprocess.run(words, check=True)


def native_text(data: bytes) -> None:
    """A place and two counts in six bytes, then a text: a broken law ends the process."""
    library().read_text(data, len(data))


def register(fuzzer: str) -> None:
    """Nothing; libFuzzer, in that library, reads the counters and the comparisons from now on."""
    core = ctypes.CDLL(fuzzer)
    names = ("8bit_counters_init", "pcs_init", "trace_cmp8")
    library().register_counters(*(getattr(core, f"__sanitizer_cov_{name}") for name in names))


@cache
def replayer() -> str:
    """A program with AddressSanitizer and UndefinedBehaviorSanitizer that reads texts from stdin."""
    made = ram("native") / "replay"
    watched = ["-DREPLAY", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    build(os.environ.get("CXX", "g++"), *FLAGS, *watched, *SOURCES, "-o", str(made))
    return str(made)


def replayed(texts: Iterable[bytes]) -> int:
    """How many texts the program with sanitizers read; raises where it stops at one."""
    stream = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    done = subprocess.run([replayer()], input=stream, capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr.decode(errors="replace")[-3000:])
    return int(done.stdout)
