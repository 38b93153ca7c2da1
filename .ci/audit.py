"""0 when no package of an environment has a known advisory, 1 when one has, 2 when the service could not be asked.

python .ci/audit.py PIP_AUDIT SITE_PACKAGES
"""

import json
import subprocess
import sys

OWN = {"shapetool"}  # on no index


def asked(program: str, place: str, service: str) -> list[dict] | str:
    """What the service says of each package, or why it says nothing."""
    command = [program, "--path", place, "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(
        [*command, "--vulnerability-service", service], capture_output=True, text=True, timeout=300, check=False
    )
    try:
        return json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        return last[-1][:300]


def main(program: str, place: str) -> int:
    """The exit code, after a line for each advisory and one for all."""
    for service in ("osv", "pypi"):
        found = asked(program, place, service)
        if isinstance(found, str):
            print(f"audit: {service} could not be asked: {found}")
            continue
        told = [entry for entry in found if "skip_reason" not in entry]
        missed = [entry["name"] for entry in found if "skip_reason" in entry and entry["name"] not in OWN]
        for entry in told:
            for advisory in entry["vulns"]:
                fixed = ", ".join(advisory["fix_versions"]) or "no version"
                print(f"{entry['name']} {entry['version']}: {advisory['id']}, fixed in {fixed}")
        bad = sum(bool(entry["vulns"]) for entry in told)
        print(f"audit: {service} knows {len(told)} of {len(told) + len(missed)} packages, {bad} with an advisory.")
        if missed and len(missed) < len(told):
            print(f"audit: not known there, look them up by hand: {', '.join(missed)}")
        if bad or (told and len(missed) < len(told)):
            return 1 if bad else 0
    print("audit: NOTHING WAS CHECKED. No advisory service can be reached from here; run `make audit` where one can.")
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
