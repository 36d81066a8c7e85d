"""docs/conformance.md: the matrix, every failure with three lines that show it, and the known cases.

Nothing in it depends on the day or the machine.
"""

from collections import Counter

from pipeline.conformance.cases import Case, read_cases
from pipeline.conformance.experiment import Verdict
from pipeline.conformance.peer import IMPORTS, Peer, version
from pipeline.conformance.peers import PEERS
from pipeline.conformance.properties import PROPERTIES, judge

HEAD = """\
# Which properties the losses of other libraries have

Made by `make conformance` (`dvc repro docs/dvc.yaml:conformance`): one suite, `pipeline/conformance/`, over the
losses of {versions}, on the CPU. The losses of this project pass the
same functions in `tests/conformance/test_properties.py`, where a broken loss shows of each that it can fail.

## Matrix

✓ pass, ✗ fail (the link leads to three lines that show it), – not offered by the loss. Each loss is called as its
documentation says to get the multi-class softmax form, with an ignored index and class weights where it offers them;
the losses of two classes are given one logit against a background of logit 0. A fail is a property that a user of a
segmentation loss may expect, not always a bug: where the documentation announces it, there is a remark.

"""

CASES = """
## Known cases

Found before this suite existed, with the number they had then; those without one were found by it. Numbers 10 to 15,
17 and 20 to 24 are about code that is not in these libraries (mmsegmentation, SegLossOdyssey, unified-focal-loss,
JDTLosses and the code of two surveys). Number 19 also says that the gradient of torch's cross-entropy is not
deterministic on a GPU ([pytorch/pytorch#46024](https://github.com/pytorch/pytorch/issues/46024)); that is not run here.
"""


def page() -> str:
    """The whole page. Raises PackageNotFoundError where a library is missing."""
    versions = {library: version(library) for library in IMPORTS}
    verdicts = [judge(peer.subject()) for peer in PEERS]
    rows = [_row(number, peer, each) for number, (peer, each) in enumerate(zip(PEERS, verdicts, strict=True), 1)]
    failures = [
        _failures(number, peer, each) for number, (peer, each) in enumerate(zip(PEERS, verdicts, strict=True), 1)
    ]
    cases = read_cases()
    return "".join(
        [
            HEAD.format(versions=", ".join(f"{library} {versions[library]}" for library in versions)),
            f"| library | loss | {' | '.join(PROPERTIES)} | passed |\n|---|---|{'---|' * len(PROPERTIES)}---|\n",
            *rows,
            "\n",
            *(f"- **{head}**: {_sentence(check.__doc__)}\n" for head, check in PROPERTIES.items()),
            "\n## Failures\n",
            *failures,
            CASES,
            *(_case(case, versions[case.library]) for case in cases),
        ]
    )


def _sentence(docstring: str | None) -> str:
    """A docstring on one line."""
    return " ".join((docstring or "").split())


def _row(number: int, peer: Peer, verdicts: dict[str, Verdict]) -> str:
    marks = {"pass": "✓", "fail": f"[✗](#loss-{number})", "not offered": "–"}
    counts = Counter(verdict.outcome for verdict in verdicts.values())
    cells = [peer.library, f"`{peer.name}`", *(marks[verdict.outcome] for verdict in verdicts.values())]
    return f"| {' | '.join(cells)} | {counts['pass']} of {counts['pass'] + counts['fail']} |\n"


def _failures(number: int, peer: Peer, verdicts: dict[str, Verdict]) -> str:
    """Every property that a loss has not, with its reproduction; empty if it has them all."""
    failed = {head: verdict for head, verdict in verdicts.items() if verdict.outcome == "fail"}
    if not failed:
        return ""
    promise = _sentence(peer.promise.__doc__)
    lines = [f'\n<a id="loss-{number}"></a>\n\n### `{peer.name}` of {peer.library}\n']
    lines += [f"\nIts name promises: {promise}\n"] if "value" in failed else []
    lines += [f"\nRemark: {peer.remark}\n"] if peer.remark else []
    for head, verdict in failed.items():
        lines.append(f"\n{head}:\n\n{_block([peer.source, verdict.given, f'{verdict.shown}  # {verdict.observed}'])}")
    return "".join(lines)


def _case(case: Case, installed: str) -> str:
    """A case, its reproduction, and whether it is still so."""
    there, observed = case.judged()
    number = f"{case.number}. " if case.number else ""
    owner, _, thread = (case.thread or "").partition("#")
    link = f" [{case.thread}](https://github.com/{owner}/issues/{thread})" if case.thread else ""
    state = "So in" if there else "Fixed in"
    return f"\n**{number}{case.library}**: {case.claim}{link} {state} {installed}.\n\n{_block(case.lines(observed))}"


def _block(lines: list[str]) -> str:
    return "```python\n" + "\n".join(lines) + "\n```\n"
