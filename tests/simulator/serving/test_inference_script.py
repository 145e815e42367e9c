"""Artefacts that carry ``code/inference.py``, by SageMaker's contract for scikit-learn containers."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from airflow_guardrails.simulator.serving.containers import Container, LoadFailed
from airflow_guardrails.simulator.serving.inference_script import InferenceScript
from airflow_guardrails.simulator.serving.worker import replies

EXAMPLE = Path(__file__).parents[3] / "example_dags" / "serving" / "inference.py"
LOADS = """
    import joblib, os

    def model_fn(model_dir):
        return joblib.load(os.path.join(model_dir, "model.joblib"))
"""
TELLS_ALL = """
    def model_fn(model_dir):
        return "model"

    def input_fn(body, content_type):
        return ["input", type(body).__name__, len(body), content_type]

    def predict_fn(data, model):
        return [*data, "predict", model]

    def output_fn(prediction, accept):
        return " ".join(map(str, [*prediction, "output", accept])), "text/x-told"
"""


def error_of(hosting, *args, **kwargs) -> tuple[int, str]:
    with pytest.raises(hosting.runtime.exceptions.ModelError) as raised:
        hosting.ask(*args, **kwargs)
    return raised.value.response["OriginalStatusCode"], raised.value.response["OriginalMessage"]


def test_the_example_dags_own_script_is_what_answers(hosting):
    hosting.serve("blue", hosting.scripted(EXAMPLE.read_text(), model=hosting.doubling()))

    assert [round(float(line), 6) for line in hosting.ask("3,0\n4.5,1", Accept="text/csv").splitlines()] == [
        6,
        9,
    ]
    assert error_of(hosting, "{}", content_type="application/json") == (
        500,
        "ValueError: send text/csv (got application/json)",
    )
    assert error_of(hosting, "3,")[1].startswith("ValueError: Input X contains NaN")


def test_a_request_goes_through_input_predict_and_output(hosting):
    hosting.serve("blue", hosting.scripted(TELLS_ALL))

    answer = hosting.runtime.invoke_endpoint(
        EndpointName="churn", Body="é,1", ContentType="text/csv", Accept="text/csv"
    )

    assert answer["Body"].read().decode() == "input str 3 text/csv predict model output text/csv"
    assert answer["ContentType"] == "text/x-told"
    assert hosting.ask(b"\xff\x00", content_type="image/png").startswith("input bytes 2 image/png ")
    assert hosting.ask("1").endswith("output application/json")
    assert hosting.ask("1", Accept="*/*").endswith("output application/json")


def test_what_is_absent_has_the_containers_own_default(hosting):
    hosting.serve("blue", hosting.scripted(LOADS, model=hosting.doubling()))

    assert json.loads(hosting.ask("3,0\n4.5,1")) == pytest.approx([6, 9])
    assert json.loads(hosting.ask("[[3, 0]]", content_type="application/json")) == pytest.approx([6])
    assert float(
        hosting.ask("[[3, 0]]", content_type="application/json", Accept="text/csv")
    ) == pytest.approx(6)
    status, text = error_of(hosting, "3,0", content_type="text/html")
    assert (status, "text/html" in text) == (415, True)
    status, text = error_of(hosting, "3,0\n4,1", Accept="text/html")
    assert (status, "text/html" in text) == (406, True)
    assert hosting.total("Invocation4XXErrors") == 2
    # genfromtxt makes a flat array of one line: a trap of the real container.
    status, text = error_of(hosting, "3,0")
    assert (status, "Expected 2D array" in text) == (500, True)


def test_numpy_goes_in_and_comes_out_byte_by_byte(hosting):
    hosting.serve("blue", hosting.scripted(LOADS, model=hosting.doubling()))
    written = io.BytesIO()
    np.save(written, np.array([[3.0, 0.0], [4.5, 1.0]]))

    answer = hosting.runtime.invoke_endpoint(
        EndpointName="churn",
        Body=written.getvalue(),
        ContentType="application/x-npy",
        Accept="application/x-npy",
    )

    assert np.load(io.BytesIO(answer["Body"].read())) == pytest.approx(np.array([6, 9]))


def test_the_environment_says_what_is_accepted_by_default_and_which_script_it_is(hosting):
    content = hosting.scripted(
        "from neighbour import WORD\n" + TELLS_ALL.replace("\n    ", "\n").replace('"model"', "WORD"),
        name="serve.py",
        neighbour="WORD = 'from-next-door'",
    )
    environment = {"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/plain"}
    hosting.serve("blue", content, Environment=environment)

    assert hosting.ask("1") == "input str 1 text/csv predict from-next-door output text/plain"


def test_a_transform_fn_does_all_of_it(hosting):
    source = """
        def model_fn(model_dir):
            return "model"

        def transform_fn(model, body, content_type, accept):
            if body == "bad":
                raise RuntimeError("transform says no")
            return f"{model} {body} {content_type} {accept}"
    """
    hosting.serve("blue", hosting.scripted(source))

    assert hosting.ask("1,2") == "model 1,2 text/csv application/json"
    assert error_of(hosting, "bad") == (500, "RuntimeError: transform says no")


@pytest.mark.parametrize(
    ("source", "environment", "why"),
    [
        ("def model_fn(model_dir): raise OSError('weights are missing')", {}, "OSError: weights are missing"),
        ("import no_such_module", {}, "ModuleNotFoundError"),
        ("def predict_fn(data, model): return data", {}, "NotImplementedError: .*define model_fn"),
        (
            "def model_fn(d): pass\ndef transform_fn(*a): pass\ndef input_fn(*a): pass",
            {},
            "transform_fn together with input_fn",
        ),
        ("", {"SAGEMAKER_PROGRAM": "other.py"}, "SAGEMAKER_PROGRAM names code/other.py"),
    ],
    ids=["model_fn raises", "import fails", "no model_fn", "two ways", "no such program"],
)
def test_a_script_that_cannot_serve_says_why(hosting, source, environment, why):
    with pytest.raises(LoadFailed, match=why):
        Container(hosting.scripted(source), environment=environment)


def test_a_model_fn_that_fails_never_passes_its_ping_and_the_update_is_undone(hosting):
    hosting.serve("blue", hosting.scripted(TELLS_ALL))
    hosting.config("green", hosting.scripted("def model_fn(model_dir): raise OSError('weights are missing')"))

    hosting.canary("green")
    hosting.advance(minutes=10)

    look = hosting.sagemaker.describe_endpoint(EndpointName="churn")
    assert (look["EndpointStatus"], look["EndpointConfigName"]) == ("InService", "blue")
    assert "did not pass the ping health check" in look["FailureReason"]


def test_a_pickle_finds_the_classes_its_script_defines(hosting):
    source = """
        import pickle

        class Doubler:
            def predict(self, rows):
                return rows[:, 0] * 2

        def model_fn(model_dir):
            return pickle.loads(b"cinference\\nDoubler\\n(tR.")
    """
    hosting.serve("blue", hosting.scripted(source))

    assert json.loads(hosting.ask("[[3, 0]]", content_type="application/json")) == [6]


def test_an_answer_that_is_no_text_is_an_error(hosting):
    source = LOADS + "\n    def output_fn(prediction, accept):\n        return prediction\n"
    hosting.serve("blue", hosting.scripted(source, model=hosting.doubling()))

    assert error_of(hosting, "3,0\n4,1") == (500, "TypeError: the answer must be str or bytes (got ndarray)")


def test_replayed_rows_are_answered_by_the_script_too(hosting):
    hosting.serve("blue", hosting.scripted(EXAMPLE.read_text(), model=hosting.doubling()))

    hosting.control.replay("churn", ["1,0", "2,1", "3,", "4,5"], per_minute=240)
    hosting.advance(minutes=1)

    assert hosting.total("Invocations") == 240
    assert hosting.total("Invocation5XXErrors") == hosting.total("InvocationModelErrors") == 60


class Counted:
    """A predict_fn that remembers how many rows it was given, call by call."""

    def __init__(self, predict_fn) -> None:
        self.predict_fn = predict_fn
        self.calls: list[int] = []

    def __call__(self, data, model):
        self.calls.append(len(data))
        return self.predict_fn(data, model)


def said_to(predict_fn, rows: list[str]) -> list[tuple[int, str]]:
    script = SimpleNamespace(
        predict_fn=predict_fn,
        input_fn=lambda body, _: np.genfromtxt(io.StringIO(body), delimiter=",", ndmin=2),
        output_fn=lambda prediction, _: str([float(value) for value in prediction]),
    )
    made = replies(
        InferenceScript(script, None), [row.encode() for row in rows], content_type="text/csv", accept=None
    )
    return [(reply.status, reply.body.decode()) for reply in made]


ROWS = [f"{n},{n % 7}" for n in range(40)]
DOUBLED = [(200, f"[{n * 2.0}]") for n in range(40)]


def test_rows_that_do_not_look_at_each_other_are_predicted_together():
    predict_fn = Counted(lambda data, _: data[:, 0] * 2)

    assert said_to(predict_fn, ROWS) == DOUBLED
    assert predict_fn.calls == [1, 1, 1, 40]


def test_requests_of_several_rows_get_their_own_back():
    assert said_to(lambda data, _: data[:, 0], ["1,0", "2,0\n3,0", "4,0", "5,0\n6,0\n7,0", "8,0"]) == [
        (200, "[1.0]"), (200, "[2.0, 3.0]"), (200, "[4.0]"), (200, "[5.0, 6.0, 7.0]"), (200, "[8.0]"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "predict_fn",
    [
        lambda data, _: data[:, 0] * 2 + (len(data) - 1),
        lambda data, _: data[:, 0] * 2 if len(data) == 1 else np.zeros(len(data)),
        lambda data, _: [data[0, 0] * 2],
        lambda data, _: (data[:, 0] * 2)[:1],
        lambda data, _: (data[:, 0] * 2).reshape(len(data), -1)[0],
    ],
    ids=["counts its rows", "one row only", "answers a list", "drops rows", "another shape"],
)
def test_a_predict_fn_that_sees_more_than_a_row_is_asked_one_by_one(predict_fn):
    predict_fn = Counted(predict_fn)

    assert said_to(predict_fn, ROWS) == DOUBLED
    assert predict_fn.calls.count(1) == 40


def test_one_row_that_raises_fails_alone():
    def predict_fn(data, _):
        if np.isnan(data).any():
            raise ValueError("a feature is missing")
        return data[:, 0] * 2

    rows = [f"{n}," if n in {2, 30} else row for n, row in enumerate(ROWS)]

    said = said_to(predict_fn, rows)

    assert [n for n, reply in enumerate(said) if reply == (500, "ValueError: a feature is missing")] == [
        2,
        30,
    ]
    assert [reply for n, reply in enumerate(said) if n not in {2, 30}] == [
        reply for n, reply in enumerate(DOUBLED) if n not in {2, 30}
    ]


def test_rows_of_different_width_are_predicted_one_by_one():
    predict_fn = Counted(lambda data, _: data[:, 0] * 2)

    assert said_to(predict_fn, [*ROWS, "40,1,2"]) == [*DOUBLED, (200, "[80.0]")]
    assert predict_fn.calls == [1] * 41
