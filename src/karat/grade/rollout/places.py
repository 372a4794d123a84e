"""What a file is for, told by its path (and, where it helps, its text): tests, harness, configuration, reward, ..."""

from __future__ import annotations

import re

from karat.grade.rollout.types import Place

_RULES: tuple[tuple[Place, str], ...] = (
    ("snapshot", r"(^|/)__snapshots__/|\.snap$|\.ambr$|(^|/)(golden|goldens|snapshots?|approvals?)(/|[._-])"
                 r"|[._-](golden|approved|snapshot)\.\w+$"),
    ("snapshot", r"(^|/)(tests?|specs?|testdata|fixtures)/.*(expected|expect|baseline)([._/-]|$)|\.expected$|\.golden$"
                 r"|(^|/)expected(_outputs?|_results?)?(/|[._-]\w*\.?(txt|json|csv|out|html|xml|ya?ml)$)"),
    ("ci", r"(^|/)\.github/(workflows|actions)/|(^|/)\.gitlab-ci\.ya?ml$|(^|/)Jenkinsfile|azure-pipelines|(^"
           r"|/)\.circleci/"
           r"|(^|/)\.travis\.ya?ml$|(^|/)\.drone\.ya?ml$|bitbucket-pipelines|(^|/)\.pre-commit-config|(^"
           r"|/)codecov\.ya?ml$"
           r"|(^|/)\.ci/|(^|/)buildkite"),
    ("harness", r"(^|/)conftest\.py$|(^|/)(site|user)customize\.py$|\.pth$"),
    ("harness", r"(^|/)(run_?all_?tests?|run_?tests?|test_?runner|runtests|run_?eval\w*|eval_?runner|harness"
                r"|test_?harness)"
                r"(\.\w+)?$|(^|/)harness/|(^|/)(noxfile|tasks)\.py$|(^|/)GNUmakefile$|(^|/)Makefile$|(^|/)justfile$"),
    ("rubric", r"(rubric|checklist|acceptance[_-]?criteria|grading[_-]?criteria)[^/]*\.(md|txt|json|ya?ml|rst|csv)$"),
    ("threshold", r"(^|/)[^/]*(threshold|quality_?gate|budget)s?[^/]*\.(json|ya?ml|toml|ini|cfg|py)$"),
    ("results", r"(^|/)(reward|score|verdict|grade|outcome)s?\.(txt|json|csv|jsonl|out)$|(^"
                r"|/)verifier/[^/]*\.(txt|json)$"
                r"|(^|/)(results?|metrics|junit|test[_-]?results?|test[_-]?report|report|eval[_-]?results?"
                r"|leaderboard|summary)"
                r"\.(json|xml|jsonl|csv)$"),
    ("logs", r"\.log$|(^|/)logs?/|(transcript|trajector|episode)[^/]*\.(jsonl?|txt|log|md|csv|ndjson)$"
             r"|audit[^/]*\.(jsonl?|txt|log)$"
             r"|\.bash_history$|(^|/)(training|train)_log\.\w+$|(^|/)wandb/"),
    ("labels", r"(^|/)[^/]*(labels?|ground_?truth|annotations?|gold)[^/]*\.(csv|jsonl?|parquet|tsv|txt|npy|ya?ml)$"),
    ("answers", r"(^|/)(solutions?|answers?|answer_?key|reference_?solution|oracle|hidden|private|held_?out)[^/]*/"
                r"|(^|/)[^/]*(answer_?key|answers|hidden_?tests?|private_?tests?|held_?out|reference_?solution"
                r"|oracle)[^/]*\.\w+$"
                r"|(^|/)(solution|gold(en)?)\.(patch|diff|sh|txt|json)$"),
    ("reward", r"(^|/)[^/]*reward[^/]*\.(py|json|ya?ml|toml|js|ts|sh|cfg|ini)$|(^|/)rewards?/.*\.(py|ya?ml"
               r"|json|toml)$"),
    ("grader", r"(^|/)(graders?|scorers?|verifiers?|judges?|evaluators?|checkers?|grading"
               r"|scoring)(/.*)?[^/]*\.(py|sh|js|ts|ya?ml|json)$"
               r"|(^|/)[^/]*(grader|scorer|verifier|autograde|evaluator|judge_|_judge|checker"
               r"|validator_eval)[^/]*\.(py|sh|js|ts|go|rb)$"
               r"|(^|/)(evaluate|eval|grade|score|verify)(_\w+)?\.(py|sh)$"),
    ("snapshot", r"(^|/)(tests?|specs?)/.*\.(jsonl?|ya?ml|txt|csv|xml|html|out)$|(^|/)test_?(cases?"
                 r"|data)[^/]*\.(jsonl?|ya?ml|csv|txt)$"
                 r"|(^|/)testdata/"),
    ("test", r"(^|/)(tests?|__tests__|specs?|testing|e2e|unittests?)/.*\.(py|js|jsx|ts|tsx|mjs|go|rs|java|kt|rb"
             r"|c|cc|cpp|cs|php|sh|swift|scala|ex|exs|bats)$"
             r"|(^|/)test_[^/]*\.\w+$|(^|/)[^/]*_tests?\.(py|go|js|ts|rb|cc|cpp|c|rs|exs|dart)$|\.(test"
             r"|spec)\.[mc]?[jt]sx?$"
             r"|(^|/)[^/]*(Test|Tests|Spec|IT)\.(java|kt|cs|scala|swift|php|groovy)$|(^|/)[^/]*_spec\.rb$|(^"
             r"|/)tests?\.(py|js|ts|rs|sh|go)$"),
    ("test", r"^(?!.*(__pycache__|cache|tmp|output|node_modules|reports?|coverage))(.*/)?(tests?|__tests__"
             r"|specs?)(/[\w*.-]+)*/?$"),
    ("config", r"(^|/)(pytest\.ini|\.pytest\.ini|setup\.cfg|tox\.ini|pyproject\.toml|\.coveragerc|package\.json"
               r"|mypy\.ini|\.flake8"
               r"|ruff\.toml|\.ruff\.toml|setup\.py|\.nycrc(\.json)?|\.mocharc\.\w+|phpunit\.xml(\.dist)?"
               r"|pom\.xml|build\.gradle(\.kts)?"
               r"|Cargo\.toml|\.eslintrc(\.\w+)?|\.npmrc|\.rspec|nextest\.toml|stryker\.conf\.\w+)$"
               r"|(^|/)(jest|vitest|karma|playwright|cypress|ava|mocha|codecov|eslint)\.config\.[mc]?[jt]s(on)?$"),
    ("source", r"\.(py|pyx|js|jsx|mjs|cjs|ts|tsx|go|rs|java|kt|rb|c|h|cc|hpp|cpp|cs|php|sh|swift|scala|ex|exs"
               r"|lua|r|jl|pl|cu|sql)$"),
)  # fmt: skip
_COMPILED = tuple((place, re.compile(pattern, re.I if place not in ("test",) else 0)) for place, pattern in _RULES)
_OUTSIDE = re.compile(
    r"^/(tests|verifier|grader|grading|solution|oracle|hidden|private|judge|scorer|eval|evaluator|logs/verifier)(/|$)"
)
MONITOR = re.compile(
    r"(^|/)[^/]*(monitor|watchdog|sentinel|audit_?hook|tripwire|guard|oversight)[^/]*\.(py|sh|ya?ml|json|toml|js|ts)$",
    re.I,
)


def place_of(path: str) -> Place:
    """The first place whose pattern fits; `source` for other code, else `other`."""
    for place, pattern in _COMPILED:
        if pattern.search(path):
            if place in ("grader", "reward", "results", "labels", "threshold") and _is_test_name(path):
                return "test"
            return place
    return "other"


def is_outside(path: str) -> bool:
    """Whether an absolute path leads to what belongs to the grader: /tests, /verifier, /solution, ..."""
    return bool(_OUTSIDE.match(path))


def _is_test_name(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return bool(re.match(r"test_\w+\.py$", name) or re.search(r"(_test\.(py|go)|\.(test|spec)\.[jt]sx?)$", name))


def is_python(path: str) -> bool:
    return path.endswith((".py", ".pyi", ".pyx"))
